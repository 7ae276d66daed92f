package wakeup

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func withBell(t *testing.T, test func(t *testing.T, a *Timer)) {
	with(t, true, func(t *testing.T, a *Timer) {
		if a.kernel == nil {
			t.Fatal("the Timer has no timerfd, want one on Linux")
		}
		test(t, a)
	})
}

func TestTheClockOfABubbleIsNotReal(t *testing.T) {
	for range 100 {
		if !clockIsReal() {
			t.Fatal("outside of a bubble, the clock is not real")
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			if clockIsReal() {
				t.Fatal("in a bubble, the clock is real")
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func TestOnlyAPreciseTimerHasATimerfd(t *testing.T) {
	withBell(t, func(*testing.T, *Timer) {})
	with(t, false, func(t *testing.T, a *Timer) {
		if a.kernel != nil {
			t.Error("a coarse Timer has a timerfd")
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	with(t, true, func(*testing.T, *Timer) {}) // the runtime's poller stays
	before := descriptors(t)
	for range 10 {
		withBell(t, func(_ *testing.T, a *Timer) {
			news := make(chan struct{}, 1)
			a.Wait(time.Now().Add(time.Millisecond), news, nil)
			news <- struct{}{}
			a.Wait(time.Now().Add(time.Hour), news, nil)
		})
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, want %d as before", after, before)
	}
	goleak.VerifyNone(t)
}

func descriptors(t *testing.T) int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(files)
}

// Waits for the timerfd, not only by watching the clock, end.
func TestTheBellRings(t *testing.T) {
	withBell(t, func(t *testing.T, a *Timer) {
		a.aim.budget.left = -time.Hour // so that there is no margin
		for range 10 {
			at := time.Now().Add(time.Millisecond)
			a.Wait(at, nil, nil)
			if early := time.Until(at); early > 0 {
				t.Errorf("it is %v early", early)
			}
		}
		if spent := a.aim.budget.spent; spent != 0 {
			t.Errorf("without a budget, %v were spent", spent)
		}
	})
}

// Each firing teaches how long waking up takes.
func TestRingsAreObserved(t *testing.T) {
	withBell(t, func(t *testing.T, a *Timer) {
		before := a.aim
		for range 10 { // this goroutine may itself come too late for a ring
			a.Wait(time.Now().Add(2*time.Millisecond), nil, nil)
		}
		if a.aim.fast == before.fast || a.aim.slow == before.slow {
			t.Errorf("%+v and %+v are as before", a.aim.fast, a.aim.slow)
		}
	})
}

func TestARingOfAnEarlierWaitIsNothing(t *testing.T) {
	withBell(t, func(t *testing.T, a *Timer) {
		ring := func() {
			select {
			case a.kernel.fired <- struct{}{}:
			default:
			}
		}
		for range 20 {
			ring()
			at := time.Now().Add(2 * time.Millisecond)
			a.Wait(at, nil, nil)
			if early := time.Until(at); early > 0 {
				t.Errorf("it is %v early", early)
			}
		}
		before, news := a.aim, make(chan struct{})
		for range 20 {
			ring()
			go func() { news <- struct{}{} }()
			a.Wait(time.Now().Add(time.Hour), news, nil)
		}
		if a.aim.fast != before.fast || a.aim.slow != before.slow {
			t.Errorf("%+v and %+v have been learned from it", a.aim.fast, a.aim.slow)
		}
	})
}

func TestTheBellIsSetOnlyIfItHasTo(t *testing.T) {
	withBell(t, func(t *testing.T, a *Timer) {
		now := a.now()
		first := now + time.Hour
		for _, step := range []struct{ due, want time.Duration }{
			{first, first},
			{first, first},
			{first + near, first},
			{first - near, first},
			{first - near - 1, first - near - 1}, // so does an earlier instant,
			{first + time.Hour, first + time.Hour},
			{first, first},
			{now + 1e6*time.Hour, now + farthest}, // and there is a bound
		} {
			if !a.armTimerfd(now, step.due) || a.due != step.want {
				t.Errorf("to ring at %v it is set to %v, want %v", step.due-now, a.due-now, step.want-now)
			}
		}
	})
}

// With a timerfd that fails, a wait goes on without it.
func TestABrokenBellDoesNotEndAWait(t *testing.T) {
	for name, beforehand := range map[string]bool{"beforehand": true, "meanwhile": false} {
		t.Run(name, func(t *testing.T) {
			withBell(t, func(t *testing.T, a *Timer) {
				if file := a.kernel.file; beforehand {
					_ = file.Close()
				} else {
					a.armTimerfd(a.now(), a.now()+time.Hour)
					time.AfterFunc(time.Millisecond, func() { _ = file.Close() })
				}
				for range 3 {
					at := time.Now().Add(5 * time.Millisecond)
					a.Wait(at, nil, nil)
					if early := time.Until(at); early > 0 {
						t.Errorf("it is %v early", early)
					}
				}
				if a.kernel != nil {
					t.Error("the Timer has a timerfd still")
				}
			})
		})
	}
}
