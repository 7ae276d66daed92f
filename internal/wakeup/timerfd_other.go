//go:build !linux

package wakeup

import "time"

// timerfd is for Linux only: elsewhere all timers are plain.
type timerfd struct {
	fired chan struct{}
}

func newTimerfd() *timerfd { return nil }

func (*timerfd) arm(time.Duration) bool { return false }

func (*timerfd) close() {}
