package freqlimit

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// The memory of a limiter follows the keys that have waiters.
func TestLinesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := New(memory.New(memory.Config{}), gcra.FreqLimitParams{Limit: 1, Period: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		const keys = 5_000
		for i := range 2 * keys {
			go func() { _ = f.Wait(t.Context(), strconv.Itoa(i/2)) }()
		}
		synctest.Wait()
		if room := f.keys.Room(); room < keys {
			t.Fatalf("there is room for %d keys that are waited for, want at least %d", room, keys)
		}
		for i := range 2 { // the first waits end, then the others
			if err := f.Wait(t.Context(), strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if room := f.keys.Room(); f.keys.Len() > 0 || room > keys/4 {
			t.Errorf("all waits have ended, and %d keys are kept, with room for %d; want none, with little room", f.keys.Len(), room)
		}
	})
}
