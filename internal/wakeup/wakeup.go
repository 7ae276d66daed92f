// Package wakeup wakes a goroutine exactly at an instant.
//
// A timer of package time is up to a millisecond late on Linux, because the
// runtime sleeps for whole milliseconds (golang/go#44343). A kernel timer is
// exact, but the goroutine still runs about a tenth of a millisecond later,
// sometimes half of that and sometimes twice. So a [Timer] measures this delay,
// sets the kernel timer early by as much, and spins on the clock for the rest. The
// time that it may spin is bounded: see budget.
package wakeup

import "time"

// Timer waits for instants. It is for one goroutine: no two of its methods may be
// called at the same time. Use [New], and [Timer.Close] in the end.
type Timer struct {
	timer  *time.Timer   // for coarse waits
	kernel *timerfd      // for precise waits; nil if all are coarse
	epoch  time.Time     // what follows counts from here, on the monotonic clock
	due    time.Duration // when the timerfd fires,
	set    bool          // if it does
	aim    aim
}

// farthest is how far ahead the timerfd is set. To wait longer, it is set again. On
// 32-bit systems, the kernel would take no more than 68 years.
const farthest = 24 * time.Hour

// near is how far the timerfd may be set from the instant that is wanted, so that waiting
// for one instant again and again, as news comes, takes no system call each time.
const near = 5 * time.Microsecond

// New returns a Timer. If it is not precise, it uses a timer of package time. It
// does so too on systems other than Linux, if no file descriptor is available, and in
// the bubble of a [testing/synctest] test. A Timer for use in a bubble must be made in it.
func New(precise bool) *Timer {
	a := &Timer{timer: time.NewTimer(time.Hour), epoch: time.Now(), aim: newAim()}
	a.timer.Stop()
	if precise {
		a.kernel = newTimerfd()
	}
	return a
}

// Close ends the Timer's goroutine and closes its file descriptor. A closed Timer still
// works, with coarse waits.
func (a *Timer) Close() {
	a.timer.Stop()
	a.drop()
}

// Wait returns at an instant, never before it, or as soon as it has received from
// news or done. With the zero instant it waits for these alone; any other must have a
// monotonic clock reading.
func (a *Timer) Wait(at time.Time, news, done <-chan struct{}) {
	switch {
	case at.IsZero():
		select {
		case <-news:
		case <-done:
		}
	case a.kernel != nil && a.waitPrecise(at.Sub(a.epoch), news, done):
	default:
		a.drop() // it is broken, or there is none
		a.waitCoarse(at, news, done)
	}
}

func (a *Timer) waitCoarse(at time.Time, news, done <-chan struct{}) {
	left := time.Until(at)
	if left <= 0 {
		return
	}
	a.timer.Reset(left)
	select {
	case <-news:
	case <-done:
	case <-a.timer.C:
	}
}

// waitPrecise returns false if the timerfd does not work. Then the wait is not over.
func (a *Timer) waitPrecise(at time.Duration, news, done <-chan struct{}) bool {
	now := a.now()
	for at > now {
		margin := a.aim.margin(now)
		if at-now <= margin {
			a.spin(now, at, news, done)
			return true
		}
		if !a.armTimerfd(now, at-margin) {
			return false
		}
		select {
		case <-news:
			return true
		case <-done:
			return true
		case _, ok := <-a.kernel.fired:
			if !ok {
				return false
			}
		}
		// It may have fired for an instant for which it was set before: then it
		// fires once more.
		now = a.now()
		if !a.set || now < a.due {
			continue
		}
		a.set = false
		a.aim.observe(now - a.due)
		// Not by the margin as it is now: that may have become a little shorter.
		if at > now && at-now <= mostMargin {
			a.spin(now, at, news, done)
			return true
		}
	}
	return true
}

// armTimerfd makes the timerfd fire at due, or near it. It reports whether it could.
func (a *Timer) armTimerfd(now, due time.Duration) bool {
	due = min(due, now+farthest)
	if a.set && (a.due-due).Abs() <= near {
		return true
	}
	a.due, a.set = due, a.kernel.arm(due-now)
	return a.set
}

// watch looks at the clock until an instant has come, or something from news or
// done.
func (a *Timer) spin(now, at time.Duration, news, done <-chan struct{}) {
	start := now
	for came := false; now < at && !came; now = a.now() {
		// To look at one of them at a time takes no lock, as a select of both would.
		select {
		case <-news:
			came = true
		default:
			select {
			case <-done:
				came = true
			default:
			}
		}
	}
	// In what is longer, the system let others run.
	a.aim.budget.spend(min(now, at) - start)
}

// drop makes the Timer a plain one.
func (a *Timer) drop() {
	if a.kernel != nil {
		a.kernel.close()
		a.kernel, a.set = nil, false
	}
}

func (a *Timer) now() time.Duration { return time.Since(a.epoch) }
