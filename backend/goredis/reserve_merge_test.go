package goredis

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// What is asked for while two calls are on their way travels together, as soon as
// one of them is back. A call has as many runs of the script as it needs.
func TestRequestsTravelTogether(t *testing.T) {
	b, g := gated(t)
	shared := limit("shared", every(time.Hour, 1))
	var calls []<-chan answer
	for range maxCalls {
		calls = append(calls, reserveLater(t.Context(), b, booking(shared)))
		receive(t, "a call", g.came)
	}
	const waiting = 5
	for i := range waiting {
		reqs := []backend.Request{booking(shared)}
		for j := range partSize / 2 {
			reqs = append(reqs, request(limit(fmt.Sprint(i, j), every(time.Hour, 1))))
		}
		calls = append(calls, reserveLater(t.Context(), b, reqs...))
		eventually(t, "the requests wait", func() bool { return b.pendingForTest() == (i+1)*(partSize/2+1) })
	}
	select {
	case <-g.came:
		t.Errorf("calls on their way = %d, want %d", maxCalls+1, maxCalls)
	default:
	}
	b.mu.Lock()
	if got := len(b.pending.parts); got != 3 {
		t.Errorf("parts of %d requests = %d, want 3", len(b.pending.places), got)
	}
	b.mu.Unlock()
	g.open()
	tokens := map[int64]bool{}
	for i, c := range calls {
		got := receive(t, "an answer", c)
		if got.err != nil {
			t.Fatalf("Reserve() = %v, want nil", got.err)
		}
		for j, d := range got.ds {
			if !d.Granted {
				t.Errorf("decision %d of caller %d = %+v, want it granted", j, i, d)
			}
		}
		tokens[got.ds[0].Token] = true
	}
	if len(tokens) != maxCalls+waiting {
		t.Errorf("different slots of the shared limit = %d, want %d", len(tokens), maxCalls+waiting)
	}
	// Two calls, then one with all that waited: each goes out and comes back.
	events := len(g.came)
	if want := 2*maxCalls + 2 - maxCalls; events != want {
		t.Errorf("calls that went out and came back since = %d, want %d", events, want)
	}
}

// Each caller gets the decisions on its own requests, in their order, with its own
// keys and errors, whatever else is asked.
func TestAnswersGoToWhoAsked(t *testing.T) {
	b, g := gated(t)
	g.open()
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for round := range 20 {
				k := limit(fmt.Sprint(c, round), every(time.Hour, 1+c))
				bad := k
				bad.Cost = 100
				reqs := []backend.Request{request(bad), {}}
				for range c + 3 {
					reqs = append(reqs, request(k))
				}
				ds := make([]backend.Decision, len(reqs))
				if err := b.Reserve(t.Context(), reqs, ds); err != nil {
					t.Errorf("Reserve() = %v, want nil", err)
					return
				}
				for i, d := range ds {
					want := i == 1 || i >= 2 && i < 2+1+c
					if d.Granted != want || (d.Err != nil) != (i == 0) || d.Undecided {
						t.Errorf("decision %d of caller %d = %+v, want Granted %v", i, c, d, want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// If there are more decisions than requests, Reserve leaves the rest alone.
func TestReserveWritesItsDecisions(t *testing.T) {
	b, g := gated(t)
	g.open()
	ds := make([]backend.Decision, 2)
	ds[1].Binding = 77
	if err := b.Reserve(t.Context(), []backend.Request{request(limit("k", every(time.Hour, 1)))}, ds); err != nil {
		t.Fatalf("Reserve() = %v, want nil", err)
	}
	if !ds[0].Granted || ds[1] != (backend.Decision{Binding: 77}) {
		t.Errorf("decisions = %+v, want the first granted and the second as it was", ds)
	}
}

// A run of the script may have more keys than Lua takes as arguments.
func TestManyKeysInOneRun(t *testing.T) {
	b, g := gated(t)
	g.open()
	together, alone := make([]backend.Request, 18), make([]backend.Request, 9000)
	for i := range alone {
		l := limit(fmt.Sprint(i), every(time.Hour, 2))
		alone[i] = request(l)
		r := &together[i%len(together)]
		r.Limits = append(r.Limits, l)
	}
	for range 2 {
		for i, d := range decide(t, b, together...) {
			if !d.Granted {
				t.Errorf("decision %d on 500 keys = %+v, want it granted", i, d)
			}
		}
	}
	for i, d := range decide(t, b, alone...) {
		if d.Granted {
			t.Errorf("decision on key %d alone = %+v, want it refused: its burst is used up", i, d)
		}
	}
}
