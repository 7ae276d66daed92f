package freqlimit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/gcra"
)

// wantAllow checks what Allow returns, and that it returns at once.
func wantAllow(t *testing.T, f *freqlimit.Limiter, key string, want bool) {
	t.Helper()
	begin := time.Now()
	if got, err := f.Allow(t.Context(), key); got != want || err != nil {
		t.Errorf("Allow(%q) = %v, %v; want %v, nil", key, got, err, want)
	}
	if took := time.Since(begin); took > 20*time.Millisecond {
		t.Errorf("Allow(%q) took %v, want no wait", key, took)
	}
}

// Allow uses the slots that are free, of each key by itself, and charges nothing when there is none.
func TestAllow(t *testing.T) {
	for name, b := range map[string]func() backend.Backend{
		"in process":          func() backend.Backend { return inMemory() },
		"remote":              func() backend.Backend { return &remote{inner: inMemory(), trip: 2 * time.Millisecond} },
		"remote with release": func() backend.Backend { return &giver{remote{inner: inMemory(), trip: 2 * time.Millisecond}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				params := gcra.FreqLimitParams{Limit: 1, Period: time.Second, Burst: 2}
				f, err := freqlimit.New(b(), params)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"", "a"} {
					wantAllow(t, f, key, true)
					wantAllow(t, f, key, true)
					for range 100 {
						wantAllow(t, f, key, false)
					}
				}
				time.Sleep(time.Second)
				wantAllow(t, f, "a", true)
				wantAllow(t, f, "a", false)
				time.Sleep(time.Hour)
				wantAllow(t, f, "a", true)
				wantAllow(t, f, "a", true)
				wantAllow(t, f, "a", false)
			})
		})
	}
}

// Allow returns false within the horizon of a slot, to the nanosecond.
func TestAllowIsNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1))
		wantAllow(t, q.Limiter, "key", true)
		time.Sleep(time.Second - 1)
		wantAllow(t, q.Limiter, "key", false)
		time.Sleep(time.Nanosecond)
		wantAllow(t, q.Limiter, "key", true)
		wantNextSlot(t, q.Backend(), "key", perSecond(1), time.Second)
	})
}

// Calls of Allow, however many, take no slot from a wait.
func TestAllowLetsWaitsGoFirst(t *testing.T) {
	for _, far := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var b backend.Backend = inMemory()
			if far {
				b = &remote{inner: inMemory()}
			}
			q := newQueue(t, b, perSecond(1))
			for i := range 3 {
				q.join("first", named("", i))
			}
			for range 25 { // of the first 2.5 s, in which the waits have all slots
				wantAllow(t, q.Limiter, "first", false)
				time.Sleep(100 * time.Millisecond)
			}
			q.wg.Wait()
			if names, at := q.passed(); len(names) != 3 || at[2] > 2*time.Second+10*time.Millisecond {
				t.Errorf("the waits end at %v, want 0s, 1s and 2s", at)
			}
			time.Sleep(time.Second)
			wantAllow(t, q.Limiter, "first", true)
		})
	}
}

// Waits and calls of Allow together keep the limit.
func TestAllowKeepsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		params := gcra.FreqLimitParams{Limit: 100, Period: time.Second, Burst: 5}
		q := newQueue(t, inMemory(), params)
		var mu sync.Mutex
		var slots []time.Time
		use := func() {
			mu.Lock()
			defer mu.Unlock()
			slots = append(slots, time.Now())
		}
		for i := range 20 {
			q.wg.Go(func() {
				for j := range 50 {
					time.Sleep(time.Duration(7*i+j) * time.Millisecond)
					if i%2 == 0 {
						if err := q.Wait(t.Context(), "key"); err != nil {
							t.Error(err)
						}
						use()
					} else if ok, err := q.Allow(t.Context(), "key"); err != nil {
						t.Error(err)
					} else if ok {
						use()
					}
				}
			})
		}
		q.wg.Wait()
		if err := backendtest.CheckWindows(slots, params, 0); err != nil {
			t.Error(err)
		}
	})
}

// A key that is held has no slot.
func TestAllowHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, inMemory(), perSecond(1))
		if err := q.Backend().Hold(t.Context(), "key", time.Minute); err != nil {
			t.Fatal(err)
		}
		wantAllow(t, q.Limiter, "key", false)
		time.Sleep(time.Minute)
		wantAllow(t, q.Limiter, "key", true)
	})
}

// broken is a backend that panics.
type broken struct{ backend.Backend }

func (broken) Reserve(context.Context, []backend.Request, []backend.Decision) error { panic("no") }

// The errors of Allow match their causes, and come with false.
func TestAllowErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errNever := errors.New("never")
		down := &failing{Backend: inMemory()}
		down.down.Store(true)
		ended, end := context.WithCancelCause(t.Context())
		end(errEnough)
		ending, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errEnough)
		defer cancel()
		for _, c := range []struct {
			name string
			b    backend.Backend
			ctx  context.Context
			want []error
		}{
			{"the backend is down", down, t.Context(), []error{errDown}},
			{"never granted", &remote{inner: inMemory(), change: func(_ []backend.Request, ds []backend.Decision) {
				ds[0] = backend.Decision{Binding: -1, Err: errNever}
			}}, t.Context(), []error{errNever}},
			{"ctx has ended", inMemory(), ended, []error{context.Canceled, errEnough}},
			{"ctx ends", &remote{inner: inMemory(), trip: time.Second}, ending, []error{context.DeadlineExceeded, errEnough}},
			{"the backend panics", broken{inMemory()}, t.Context(), nil},
		} {
			ok, err := newQueue(t, c.b, perSecond(1)).Allow(c.ctx, "key")
			if ok || err == nil {
				t.Errorf("%s: Allow() = %v, %v; want false and an error", c.name, ok, err)
			}
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("%s: Allow() = %v, want an error that matches %v", c.name, err, want)
				}
			}
		}
		q := newQueue(t, inMemory(), perSecond(1))
		var none context.Context
		_, err := q.Allow(none, "key")
		wantConfigError(t, err, "ctx", "nil")
		_, err = new(freqlimit.Limiter).Allow(t.Context(), "key")
		wantConfigError(t, err, "Limiter", "zero")
		wantNextSlot(t, q.Backend(), "key", perSecond(1), 0)
	})
}

// A wait that has been refused goes before Allow, also when the limit has opened since.
func TestAllowAfterClearIsBehindAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := freqlimit.New(inMemory(), gcra.PerSecond(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Wait(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		let := make(chan time.Duration)
		go func() {
			if err := f.Wait(t.Context(), "key"); err != nil {
				t.Error(err)
			}
			let <- time.Since(began)
		}()
		synctest.Wait()
		if err := f.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		if ok, err := f.Allow(t.Context(), "key"); ok || err != nil {
			t.Errorf("Allow() = %v, %v while a wait goes first, want false, nil", ok, err)
		}
		if after := <-let; after != 0 {
			t.Errorf("the wait ends after %v, want 0s", after)
		}
	})
}
