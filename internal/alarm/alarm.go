// Package alarm wakes up a goroutine exactly at an instant.
//
// A timer of package time is late by up to a millisecond on Linux, since the
// runtime sleeps for whole milliseconds (golang/go#44343). A timer of the kernel
// is exact, but from there to a goroutine it still takes about a tenth of a
// millisecond, at times half of that and at times twice. So an [Alarm] learns how
// long it takes, sets the kernel's timer early by that much, and spends the little
// that is then left watching the clock. How much it may spend so is bounded, see
// budget.
package alarm

import "time"

// Alarm waits for instants. It is for one goroutine: no two of its methods may be
// called at the same time. Use [New], and [Alarm.Close] in the end.
type Alarm struct {
	timer *time.Timer   // for plain waits
	bell  *bell         // for precise waits; nil if all are plain
	epoch time.Time     // what follows counts from here, on the monotonic clock
	due   time.Duration // when the bell rings,
	set   bool          // if it does
	aim   aim
}

// farthest is how far ahead the bell is set. To wait longer, it is set again. On
// 32-bit systems, the kernel would take no more than 68 years.
const farthest = 24 * time.Hour

// near is how far from the instant that is wanted the bell may be set: to wait for
// one instant again and again, as news come, takes no system call each time.
const near = 5 * time.Microsecond

// New returns an alarm. One that is not precise uses a timer of package time. So
// does one that is, where there is nothing better: on systems other than Linux, if
// no file descriptor can be had, and in the bubble of a [testing/synctest] test.
// An alarm for use in a bubble must be made in it.
func New(precise bool) *Alarm {
	a := &Alarm{timer: time.NewTimer(time.Hour), epoch: time.Now(), aim: newAim()}
	a.timer.Stop()
	if precise {
		a.bell = newBell()
	}
	return a
}

// Close gives back what the alarm holds: a goroutine and a file descriptor. If it
// is used nevertheless, it is a plain one.
func (a *Alarm) Close() {
	a.timer.Stop()
	a.drop()
}

// Wait returns at an instant, never before it, or as soon as it has received from
// news or done. The zero instant is none. Any other must have a monotonic clock
// reading.
func (a *Alarm) Wait(at time.Time, news, done <-chan struct{}) {
	switch {
	case at.IsZero():
		select {
		case <-news:
		case <-done:
		}
	case a.bell != nil && a.precisely(at.Sub(a.epoch), news, done):
	default:
		a.drop() // it is broken, or there is none
		a.plainly(at, news, done)
	}
}

func (a *Alarm) plainly(at time.Time, news, done <-chan struct{}) {
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

// precisely returns false if the bell does not work. Then the wait is not over.
func (a *Alarm) precisely(at time.Duration, news, done <-chan struct{}) bool {
	now := a.now()
	for at > now {
		margin := a.aim.margin(now)
		if at-now <= margin {
			a.watch(now, at, news, done)
			return true
		}
		if !a.setBell(now, at-margin) {
			return false
		}
		select {
		case <-news:
			return true
		case <-done:
			return true
		case _, ok := <-a.bell.rings:
			if !ok {
				return false
			}
		}
		// It may have rung for an instant for which it was set before: then it
		// rings once more.
		now = a.now()
		if !a.set || now < a.due {
			continue
		}
		a.set = false
		a.aim.observe(now - a.due)
		// Not by the margin as it is now: that may have become a little shorter.
		if at > now && at-now <= mostMargin {
			a.watch(now, at, news, done)
			return true
		}
	}
	return true
}

// setBell makes the bell ring at due, or near it. It reports whether it could.
func (a *Alarm) setBell(now, due time.Duration) bool {
	due = min(due, now+farthest)
	if a.set && (a.due-due).Abs() <= near {
		return true
	}
	a.due, a.set = due, a.bell.ringIn(due-now)
	return a.set
}

// watch looks at the clock until an instant has come, or something from news or
// done.
func (a *Alarm) watch(now, at time.Duration, news, done <-chan struct{}) {
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

// drop makes the alarm a plain one.
func (a *Alarm) drop() {
	if a.bell != nil {
		a.bell.close()
		a.bell, a.set = nil, false
	}
}

func (a *Alarm) now() time.Duration { return time.Since(a.epoch) }
