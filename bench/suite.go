package main

import (
	"context"
	"regexp"
	"time"
)

// settings are what measurements are made with. They go to the process of each.
type settings struct {
	Time  time.Duration // how long one takes, where it goes by time
	Max   int           // the most jobs that wait at one moment
	Redis string        // the address of the Redis, where one is needed
}

// scale returns how much work there is for a measurement that has a fixed amount
// of it: n at the default time, less if there is less time, but at least some.
func (s settings) scale(n, least int) int {
	return max(int(float64(n)*s.Time.Seconds()), least)
}

// group is measurements of the same things. The first one is what the others are
// compared with.
type group struct {
	name         string
	first        string // the name of the first, also if that is left out
	figures      []figure
	redis        bool // its measurements need a Redis
	measurements []measurement
}

// figure is one of the things that the measurements of a group find out.
type figure struct {
	name string // "" if the group says it all
	unit string
}

// measurement is one line of the table for each figure. It is made in a process
// of its own.
type measurement struct {
	name  string
	goals []goal

	// rounds is in how many rounds it takes part at most, 0 if in all: some take
	// long, and say as much in one round.
	rounds int

	// series and size are its place in the pictures that are drawn against a
	// size. They are zero if it is in none.
	series string
	size   int

	// run does the work and says what has come of it, without what it takes to
	// get ready and to clear up.
	run func(ctx context.Context, s settings) (sample, error)
}

// sample is what came of making a measurement once.
type sample struct {
	Figures map[string]float64 // by name; some may be missing
	Late    []float64          `json:",omitempty"` // how late starts were in µs, for the picture
}

// only is a sample of a group with one figure.
func only(f float64) sample { return sample{Figures: map[string]float64{"": f}} }

// allGroups are the measurements that there are.
func allGroups(s settings) []group {
	var groups []group
	groups = append(groups, latenessGroups()...)
	groups = append(groups, earlyGroup(), heldGroup(), scheduledGroup())
	groups = append(groups, poolGroups()...)
	groups = append(groups, limitedGroup())
	groups = append(groups, reserveGroups()...)
	groups = append(groups, submitGroup(s), memoryGroup(s), residentGroup(s), costGroup(s))
	groups = append(groups, redisGroups()...)
	for i := range groups {
		groups[i].first = groups[i].measurements[0].name
	}
	return groups
}

// pathOf is what -only is matched against.
func pathOf(group, name string) string { return group + "/" + name }

// pick returns the groups with only those measurements that match.
func pick(groups []group, only *regexp.Regexp) []group {
	var picked []group
	for _, g := range groups {
		var some []measurement
		for _, m := range g.measurements {
			if only.MatchString(pathOf(g.name, m.name)) {
				some = append(some, m)
			}
		}
		if g.measurements = some; len(some) > 0 {
			picked = append(picked, g)
		}
	}
	return picked
}
