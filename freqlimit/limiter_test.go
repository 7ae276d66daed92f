package freqlimit_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/gcra"
)

// Waits for one key end in the order in which they began, at the key's slots.
func TestWait(t *testing.T) {
	for _, b := range []string{"in process", "remote", "remote with release"} {
		t.Run(b, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := remote{inner: inMemory(), trip: 2 * time.Millisecond}
				b := map[string]backend.Backend{
					"in process": far.inner, "remote": &far, "remote with release": &giver{far},
				}[b]
				q := newQueue(t, b, gcra.FreqLimitParams{Limit: 10, Period: time.Second, Burst: 2})
				var want []string
				for i := range 20 {
					name := named("", i)
					want = append(want, name)
					q.join("key", name)
				}
				q.wg.Wait()
				names, at := q.passed()
				if !slices.Equal(names, want) {
					t.Errorf("the order is %v, want %v", names, want)
				}
				for i := range at {
					due := time.Duration(max(0, i-1)) * 100 * time.Millisecond
					if at[i] < due || at[i] > due+20*time.Millisecond {
						t.Errorf("wait %d ends at %v, want %v", i, at[i], due)
					}
				}
			})
		})
	}
}

// Without a network the slots are met to the nanosecond.
func TestIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(7))
		var names []string
		var at []time.Duration
		for i := range 70 {
			names, at = append(names, named("", i)), append(at, time.Duration(i)*perSecond(7).Interval())
			q.join("key", named("", i))
		}
		q.want(names, at...)
	})
}

// Keys are independent of each other. The empty key is one of them.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1))
		for _, name := range []string{"first ", "second "} {
			for _, key := range []string{"", "None", "a", "b\x00\xff"} {
				q.join(key, name+key)
			}
		}
		q.wg.Wait()
		names, at := q.passed()
		slices.Sort(names[:4])
		slices.Sort(names[4:])
		want := []string{"first ", "first None", "first a", "first b\x00\xff", "second ", "second None", "second a", "second b\x00\xff"}
		if !slices.Equal(names, want) || at[3] != 0 || at[4] != time.Second || at[7] != time.Second {
			t.Errorf("let through: %q at %v, want the first of each key at 0 and the second at 1s", names, at)
		}
	})
}

// Do calls the function at the slot and returns its error. Without a slot it does not call it.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1))
		errBad := errors.New("bad")
		for i := range 3 {
			var at time.Duration
			err := q.Do(t.Context(), "key", func(ctx context.Context) error {
				at = time.Since(q.begin)
				if ctx != t.Context() {
					t.Error("the function's context is not the context of Do")
				}
				return errBad
			})
			if err != errBad || at != time.Duration(i)*time.Second {
				t.Errorf("Do() = %v at %v, want %v at %ds", err, at, errBad, i)
			}
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errEnough)
		defer cancel()
		never := func(context.Context) error {
			t.Error("the function is called without a slot")
			return nil
		}
		if err := q.Do(ctx, "key", never); !errors.Is(err, errEnough) {
			t.Errorf("Do() = %v, want the cause, %v", err, errEnough)
		}
		if err := q.Do(ctx, "key", never); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do() with a context that has ended = %v, want context.DeadlineExceeded", err)
		}
	})
}

// A function that panics or takes long keeps nobody else waiting.
func TestDoKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1))
		go func() {
			_ = q.Do(context.Background(), "key", func(context.Context) error {
				time.Sleep(time.Hour)
				return nil
			})
		}()
		go func() {
			defer func() { _ = recover() }()
			_ = q.Do(context.Background(), "key", func(context.Context) error { panic("bad") })
		}()
		synctest.Wait()
		q.join("key", "next")
		q.want([]string{"next"}, 2*time.Second)
		time.Sleep(time.Hour)
	})
}

// Clear forgets the debt, also for those who wait.
func TestClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), every(time.Hour))
		for _, name := range []string{"a", "b", "c"} {
			q.join("key", name)
		}
		time.Sleep(time.Minute)
		if err := q.Clear(t.Context()); err != nil {
			t.Errorf("Clear() = %v, want nil", err)
		}
		q.want([]string{"a", "b", "c"}, 0, time.Minute, time.Minute+time.Hour)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Clear(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Clear() with a cancelled context = %v, want context.Canceled", err)
		}
	})
}

// An error of the backend ends the wait that asked, and no other.
func TestBackendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &failing{Backend: inMemory()}
		q := newQueue(t, b, perSecond(1))
		b.down.Store(true)
		if err := q.Wait(t.Context(), "key"); !errors.Is(err, errDown) {
			t.Errorf("Wait() = %v, want %v", err, errDown)
		}
		b.down.Store(false)
		for _, name := range []string{"a", "b", "c", "d"} {
			q.join("key", name)
		}
		time.AfterFunc(900*time.Millisecond, func() { b.down.Store(true) })
		time.AfterFunc(1500*time.Millisecond, func() { b.down.Store(false) })
		q.wg.Wait()
		// Each fails in turn, as it comes to ask.
		if names, _ := q.passed(); !slices.Equal(names, []string{"a"}) {
			t.Errorf("let through: %q, want a", names)
		}
		for _, w := range q.done[1:] {
			if !errors.Is(w.err, errDown) {
				t.Errorf("%s: %v, want %v", w.name, w.err, errDown)
			}
		}
		time.Sleep(time.Second)
		q.join("key", "e")
		q.wg.Wait()
		if names, _ := q.passed(); !slices.Equal(names, []string{"a", "e"}) {
			t.Errorf("let through: %q, want a and e", names)
		}
	})
}

// A limit that the backend will never grant is an error at once.
func TestDecisionErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errNever := errors.New("never")
		b := &remote{inner: inMemory(), change: func(_ []backend.Request, ds []backend.Decision) {
			ds[0] = backend.Decision{Binding: -1, Err: errNever}
		}}
		if err := newQueue(t, b, perSecond(1)).Wait(t.Context(), "key"); !errors.Is(err, errNever) {
			t.Errorf("Wait() = %v, want %v", err, errNever)
		}
	})
}

// Guarantee 1 in real time, with real timers: none of 300 waits at 1000 per second
// ends early, counted from the first slot.
func TestGuarantee1InRealTime(t *testing.T) {
	q := newQueue(t, inMemory(), perSecond(1000))
	var ends []time.Time
	for range 300 {
		q.wg.Go(func() {
			err := q.Wait(context.Background(), "key")
			q.mu.Lock()
			defer q.mu.Unlock()
			ends = append(ends, time.Now())
			if err != nil {
				t.Errorf("Wait() = %v, want nil", err)
			}
		})
	}
	q.wg.Wait()
	slices.SortFunc(ends, time.Time.Compare)
	for i, end := range ends {
		if due := q.begin.Add(time.Duration(i) * time.Millisecond); end.Before(due) {
			t.Errorf("wait %d ends %v early", i, due.Sub(end))
		}
	}
}

// Many waiters keep the rate: at 1000 per second every slot is used.
func TestKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1000))
		var names []string
		var at []time.Duration
		for i := range 3000 {
			names, at = append(names, named("", i)), append(at, time.Duration(i)*time.Millisecond)
			q.join("key", named("", i))
		}
		q.want(names, at...)
	})
}

// Trap 33: wrong arguments of New, and what Params and Backend return.
func TestTrap33New(t *testing.T) {
	_, err := freqlimit.New(nil, perSecond(1))
	wantConfigError(t, err, "backend", "nil")
	_, err = freqlimit.New(inMemory(), gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: -1})
	wantConfigError(t, err, "params", "-1")
	if !errors.Is(err, gcra.ErrParams) {
		t.Errorf("New() = %v, want ErrParams", err)
	}
	b := inMemory()
	f, err := freqlimit.New(b, perSecond(3))
	if err != nil || f.Params() != perSecond(3) || f.Backend() != backend.Backend(b) {
		t.Errorf("New() = %v, %v, want the params and backend given", f, err)
	}
}

// A request that is under way while the backend is cleared does not count.
func TestClearWhileItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &remote{inner: inMemory(), trip: 20 * time.Millisecond}
		f, err := freqlimit.New(b, every(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var waits sync.WaitGroup
		waits.Go(func() {
			if err := f.Wait(t.Context(), "key"); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(15 * time.Millisecond) // the refusal is on its way back
		if err := f.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		waits.Wait()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the wait ends after %v, want it to ask again", took)
		}
	})
}
