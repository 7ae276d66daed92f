package wakeup

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/internal/seeds"
)

// both runs a test with a plain Timer and with a precise one.
func both(t *testing.T, test func(t *testing.T, a *Timer)) {
	t.Run("plain", func(t *testing.T) { with(t, false, test) })
	t.Run("precise", func(t *testing.T) { with(t, true, test) })
}

func with(t *testing.T, precise bool, test func(t *testing.T, a *Timer)) {
	a := New(precise)
	defer a.Close()
	test(t, a)
}

// bubble is both, in bubbles.
func bubble(t *testing.T, test func(t *testing.T, a *Timer)) {
	t.Run("plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { with(t, false, test) })
	})
	t.Run("precise", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { with(t, true, test) })
	})
}

func TestWakesUpAtTheInstantInABubble(t *testing.T) {
	bubble(t, func(t *testing.T, a *Timer) {
		for _, d := range []time.Duration{1, time.Microsecond, time.Millisecond, time.Second, 1000 * time.Hour} {
			at := time.Now().Add(d)
			a.Wait(at, nil, nil)
			if late := time.Since(at); late != 0 {
				t.Errorf("after a wait of %v it is %v later, want 0", d, late)
			}
		}
	})
}

func TestAnInstantInThePastIsNotWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, a *Timer) {
		news := make(chan struct{}, 1)
		news <- struct{}{}
		start := time.Now()
		for _, d := range []time.Duration{0, -1, -time.Hour} {
			a.Wait(start.Add(d), news, nil)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v, want 0", took)
		}
		if len(news) != 1 {
			t.Error("news was taken, want that left for the next wait")
		}
	})
}

func TestNewsAndDoneWakeUpInABubble(t *testing.T) {
	bubble(t, func(t *testing.T, a *Timer) {
		for _, at := range []time.Time{{}, time.Now().Add(time.Hour)} {
			news, done := make(chan struct{}, 1), make(chan struct{})
			for _, wake := range []func(){
				func() { news <- struct{}{} },
				func() { close(done) },
			} {
				begun := time.Now()
				time.AfterFunc(time.Second, wake)
				a.Wait(at, news, done)
				if took := time.Since(begun); took != time.Second {
					t.Errorf("it wakes up after %v, want 1s", took)
				}
			}
			if len(news) != 0 {
				t.Error("news is left, want it taken")
			}
		}
	})
}

// A timer that was set by an earlier wait wakes up no later one.
func TestAWaitKnowsNothingOfTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T, a *Timer) {
		news := make(chan struct{}, 1)
		news <- struct{}{}
		a.Wait(time.Now().Add(time.Second), news, nil)
		at := time.Now().Add(2 * time.Second)
		a.Wait(at, news, nil)
		if late := time.Since(at); late != 0 {
			t.Errorf("it is %v later, want 0", late)
		}
		time.AfterFunc(time.Minute, func() { news <- struct{}{} })
		a.Wait(time.Time{}, news, nil)
		if late := time.Since(at); late != time.Minute {
			t.Errorf("without an instant it waits %v, want 1m", late)
		}
	})
}

func TestIsNeverEarly(t *testing.T) {
	both(t, func(t *testing.T, a *Timer) {
		for _, r := range seeds.Random(t, 1) {
			for i := range 300 {
				// Now and then much too short for a timerfd, and sometimes past.
				d := time.Duration(r.Int64N([]int64{2e6, 3e5, 1e4}[i%3])) - time.Microsecond
				at := time.Now().Add(d)
				a.Wait(at, nil, nil)
				if early := time.Until(at); early > 0 {
					t.Fatalf("after a wait of %v it is %v early", d, early)
				}
			}
		}
	})
}

// While news comes at any time, a wait that ends before its instant has received
// some.
func TestIsNotEarlyButForNews(t *testing.T) {
	both(t, func(t *testing.T, a *Timer) {
		const messages = 200
		news, done := make(chan struct{}), make(chan struct{})
		var sent atomic.Int64
		go func() {
			defer close(done)
			pause := New(false)
			defer pause.Close()
			for range messages {
				pause.Wait(time.Now().Add(rand.N(time.Millisecond)), nil, nil)
				sent.Add(1)
				news <- struct{}{}
			}
		}()
		early, at := int64(0), time.Now()
		for open := true; open; {
			if !time.Now().Before(at) {
				at = time.Now().Add(rand.N(time.Millisecond))
			}
			a.Wait(at, news, nil)
			if time.Now().Before(at) {
				early++
			}
			if most := sent.Load(); early > most {
				t.Fatalf("%d waits have ended early and %d messages been sent", early, most)
			}
			select {
			case <-done:
				open = false
			default:
			}
		}
	})
}

func TestNewsAndDoneWakeUp(t *testing.T) {
	both(t, func(t *testing.T, a *Timer) {
		for _, at := range []time.Time{{}, time.Now().Add(time.Hour)} {
			news, done := make(chan struct{}), make(chan struct{})
			go func() { news <- struct{}{} }()
			a.Wait(at, news, done)
			go func() { close(done) }()
			a.Wait(at, news, done)
		}
	})
}

// They also do so while the clock is watched, which here would last for an hour.
func TestNewsAndDoneEndTheWatch(t *testing.T) {
	with(t, true, func(_ *testing.T, a *Timer) {
		news, done := make(chan struct{}), make(chan struct{})
		go func() { news <- struct{}{} }()
		a.spin(a.now(), a.now()+time.Hour, news, done)
		go func() { close(done) }()
		a.spin(a.now(), a.now()+time.Hour, news, done)
	})
}

func TestAWatchIsPaidFor(t *testing.T) {
	with(t, true, func(t *testing.T, a *Timer) {
		before := a.aim.budget
		const d = 100 * time.Microsecond
		now := a.now()
		a.spin(now, now+d, nil, nil)
		if paid := before.left - a.aim.budget.left; paid != d || a.aim.budget.spent != d {
			t.Errorf("%v is paid and %v noted, want %v", paid, a.aim.budget.spent, d)
		}
	})
}

func TestAWaitTakesNoMemory(t *testing.T) {
	both(t, func(t *testing.T, a *Timer) {
		news := make(chan struct{}, 1)
		n := testing.AllocsPerRun(50, func() {
			news <- struct{}{}
			a.Wait(time.Now().Add(time.Hour), news, nil)
			a.Wait(time.Now().Add(500*time.Microsecond), news, nil)
			a.Wait(time.Now().Add(20*time.Microsecond), news, nil)
		})
		if n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}

func TestAClosedTimerIsCoarse(t *testing.T) {
	both(t, func(t *testing.T, a *Timer) {
		a.Close()
		a.Close()
		at := time.Now().Add(time.Millisecond)
		a.Wait(at, nil, nil)
		if early := time.Until(at); early > 0 {
			t.Errorf("it is %v early", early)
		}
	})
}
