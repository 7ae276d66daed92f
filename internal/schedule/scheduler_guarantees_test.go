package schedule

import (
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/gcra"
)

// play runs a random workload, of those on which the oracle agrees.
func (w *world) play(work workload) {
	w.tb.Helper()
	w.takes = func(j *Job) int64 { return work.work[idOf(j)].takes }
	retried := map[int]bool{}
	w.again = func(j *Job) bool {
		id := idOf(j)
		if d := work.work[id].again; d > 0 && !retried[id] {
			retried[id] = true
			w.delay(j.Key(), d)
			return true
		}
		return false
	}
	for _, e := range work.events {
		w.runUntil(e.at)
		if e.do == holdsKey {
			if e.until > w.now {
				w.delay(e.key, e.until-w.now)
			}
			continue
		}
		j := work.work[e.job]
		setID(w.submitAt(j.priority, j.key, j.limits...), e.job)
	}
	w.run()
	w.wantIdle()
}

// steady reports whether every limit of a workload has the same params
// throughout.
func (w workload) steady() bool {
	params := map[string]gcra.FreqLimitParams{}
	if slices.ContainsFunc(w.events, func(e event) bool { return e.do == setsParams }) {
		return false
	}
	for _, j := range w.work {
		for _, l := range j.limits {
			if p, ok := params[l.Key]; ok && p != l.Params {
				return false
			}
			params[l.Key] = l.Params
		}
	}
	return true
}

// inWorkloads runs random workloads, of those whose params stay, in worlds that
// prepare has been at, and has them checked.
func inWorkloads(t *testing.T, prepare func(w *world), check func(t *rapidT, w *world, work workload)) {
	checkSome(t, func(t *rapidT) {
		work := draw(t)
		if !work.steady() {
			t.Skip()
		}
		w := newWorld(t, work.cfg)
		if prepare != nil {
			prepare(w)
		}
		w.play(work)
		if check != nil {
			check(t, w, work)
		}
	})
}

// Guarantee 1: no job starts before each of its limits allows, by a ledger of
// its own, and none is decided on more than the horizon ahead; the world sees to it.
func TestGuarantee1NeverEarly(t *testing.T) {
	inWorkloads(t, nil, func(t *rapidT, w *world, _ workload) {
		for _, s := range w.starts {
			if s.slot < s.decided {
				t.Fatalf("a job of %q decided at %d has slot %d, want it not in the past", s.Key(), s.decided, s.slot)
			}
		}
	})
}

// Guarantee 2, trap 13: no limit is exceeded, in any window.
func TestGuarantee2NeverOver(t *testing.T) {
	inWorkloads(t, nil, func(t *rapidT, w *world, work workload) {
		if err := checkLimits(w.starts); err != nil {
			t.Fatalf("%v\n%v", err, work)
		}
	})
}

// Guarantee 3: when nothing more can start and a worker is free, every head
// that waits has a closed limit. Claims are an exception that is kept small:
// without them there is none.
func TestGuarantee3WorkConserving(t *testing.T) {
	inWorkloads(t, func(w *world) {
		w.withoutClaims = true
		w.after = func() {
			if l := w.neglected(); l != nil {
				w.tb.Fatalf("at %d the head of lane %q waits, its limits are open and a worker is free", w.now, l.keyState.key)
			}
		}
	}, nil)
}

// Guarantee 3, with claims: only where another head is overdue may one wait
// whose limits are open.
func TestGuarantee3OnlyTheOverdueHoldOthersUp(t *testing.T) {
	inWorkloads(t, func(w *world) {
		w.after = func() {
			l := w.neglected()
			if l == nil {
				return
			}
			for _, n := range w.keys.All() {
				for o := range n.lanes() {
					if o != l && o.state == waiting && o.overdue() <= w.now+w.cfg.Horizon {
						return
					}
				}
			}
			w.tb.Fatalf("at %d the head of lane %q waits for nothing", w.now, l.keyState.key)
		}
	}, nil)
}

// neglected returns a lane whose head could start, by the world's own ledger.
func (w *world) neglected() *lane {
	if w.Idle() == 0 {
		return nil
	}
	for _, n := range w.keys.All() {
		for l := range n.lanes() {
			if l.length == 0 || w.cfg.Serial && w.busyKey(l.keyState.key) || w.behind(l) {
				continue
			}
			opens := w.closed[l.keyState.key]
			for _, lim := range w.Request(l.head, nil) {
				opens = max(opens, w.closed[lim.Key], w.ledger[lim.Key].Slot(0, lim.Params, lim.Units()))
			}
			if opens <= w.now+w.cfg.Horizon {
				return l
			}
		}
	}
	return nil
}

// busyKey reports whether a job of the key runs.
func (w *world) busyKey(key string) bool {
	for _, e := range w.running {
		if e.Key() == key {
			return true
		}
	}
	return false
}

// Guarantee 5: jobs of one key and priority start in the order of submission,
// at slots that do not go back.
func TestGuarantee5OrderInLane(t *testing.T) {
	inWorkloads(t, nil, func(t *rapidT, w *world, work workload) {
		type lane struct {
			key      string
			priority int
		}
		last := map[lane]started{}
		seen := map[*Job]bool{}
		for _, s := range w.starts {
			l := lane{s.Key(), s.Priority()}
			before, ok := last[l]
			if ok && s.slot < before.slot {
				t.Fatalf("job %d starts at %d, after job %d at %d\n%v", idOf(s.Job), s.slot, idOf(before.Job), before.slot, work)
			}
			if seen[s.Job] {
				s.Job = before.Job // it runs again: its first start is what counts
			} else if ok && idOf(s.Job) < idOf(before.Job) {
				t.Fatalf("job %d starts after job %d\n%v", idOf(s.Job), idOf(before.Job), work)
			}
			seen[s.Job] = true
			last[l] = s
		}
	})
}

// Guarantee 8, here: every job starts once, and once more if it is to run again.
func TestGuarantee8EveryJobStartsOnce(t *testing.T) {
	inWorkloads(t, nil, func(t *rapidT, w *world, work workload) {
		starts := map[int]int{}
		for _, s := range w.starts {
			starts[idOf(s.Job)]++
		}
		for id, j := range work.work {
			want := 1
			if j.again > 0 {
				want = 2
			}
			if starts[id] != want {
				t.Fatalf("job %d starts %d times, want %d\n%v", id, starts[id], want, work)
			}
		}
	})
}

// With Serial no two jobs of a key overlap, whatever their priorities.
func TestSerialKeysNeverOverlap(t *testing.T) {
	inWorkloads(t, func(w *world) { w.cfg.Serial = true },
		func(t *rapidT, w *world, work workload) {
			ends := map[string]int64{}
			for _, s := range w.starts {
				if s.slot < ends[s.Key()] {
					t.Fatalf("job %d of %q starts at %d, while another runs until %d\n%v",
						idOf(s.Job), s.Key(), s.slot, ends[s.Key()], work)
				}
				ends[s.Key()] = s.slot + work.work[idOf(s.Job)].takes
			}
		})
}
