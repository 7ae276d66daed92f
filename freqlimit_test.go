package dispatcher_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
)

// Traps 4 and 13: many goroutines wait for few keys, and share one of them with a dispatcher.
// Every window of every key is kept, and no slot is lost.
func TestTrap4And13FreqLimitOfManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inMemory()
		params := gcra.FreqLimitParams{Limit: 1000, Period: time.Second, Burst: 3}
		f, err := dispatcher.NewFreqLimit(b, params)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var waits sync.WaitGroup
		s := open(t, b, config{Params: params}, nil)
		slots := map[string]*[]time.Time{"a": {}, "b": {}, "": {}}
		var mu sync.Mutex // guards what slots points at
		for range 50 {
			for key, of := range slots {
				waits.Go(func() {
					for range 20 {
						if err := f.Wait(context.Background(), key); err != nil {
							t.Errorf("Wait() = %v, want nil", err)
						}
						mu.Lock()
						*of = append(*of, time.Now())
						mu.Unlock()
					}
				})
			}
			for range 10 {
				s.submit("a", "job")
			}
		}
		waits.Wait()
		s.drain()
		for _, st := range s.starts {
			*slots["a"] = append(*slots["a"], st.Slot())
		}
		for key, of := range slots {
			if err := backendtest.CheckWindows(*of, params, 0); err != nil {
				t.Errorf("key %q: %v", key, err)
			}
			last := slices.MaxFunc(*of, time.Time.Compare).Sub(begin)
			if want := time.Duration(len(*of)-3) * time.Millisecond; last != want {
				t.Errorf("key %q: the last of %d slots is at %v, want %v", key, len(*of), last, want)
			}
		}
	})
}
