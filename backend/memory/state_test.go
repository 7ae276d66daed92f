package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// A state that is read from one backend and set in another decides as before, also after
// some time.
func TestStateMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memory.New(memory.Config{}), memory.New(memory.Config{})
		l, held := limit("k", every(time.Minute).WithBurst(3)), limit("held", every(time.Second))
		for range 5 {
			books(t, from, l)
		}
		if err := from.Hold(t.Context(), held.Key, time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for _, key := range []string{"k", "held"} {
			s, ok := from.State(key)
			if !ok {
				t.Fatalf("State(%q) = not kept, want it kept", key)
			}
			to.SetState(key, s)
		}
		time.Sleep(10 * time.Second)
		for _, l := range []backend.Limit{l, held} {
			opens(t, to, l, reserve(t, from, 0, l).Slot)
		}
	})
}

// A key without debt is not kept, or its state has passed.
func TestStateOfARestedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		if s, ok := b.State("k"); ok {
			t.Errorf("State of an unknown key = %+v, want not kept", s)
		}
		l := limit("k", every(time.Minute))
		books(t, b, l)
		time.Sleep(time.Hour)
		if s, ok := b.State("k"); ok && s.TAT.After(time.Now()) {
			t.Errorf("State of a key that has rested = %+v, want no debt", s)
		}
		b.SetState("k", memory.KeyState{})
		opens(t, b, l, time.Now())
	})
}

// A hold that was set is reported to those who watch.
func TestSetStateTellsHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(memory.Config{})
		until := time.Now().Add(time.Hour)
		b.SetState("k", memory.KeyState{HeldUntil: until})
		var news []backend.Change
		defer b.Watch(func(c backend.Change) { news = append(news, c) })()
		if len(news) != 2 || news[0].Kind != backend.ChangeHold || !news[0].Until.Equal(until) {
			t.Errorf("changes = %+v, want the hold of k until %v", news, until)
		}
	})
}
