//go:build race

package schedule

func init() { underRace = true }
