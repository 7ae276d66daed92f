package schedule

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// The scheduler and the brute-force oracle agree start by start.
func TestAgreesWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agree(t, drawLively(t))
	})
}

func FuzzAgreesWithOracle(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { agree(t, drawLively(t)) }))
}

func agree(t *rapid.T, w workload) {
	m := newSchedulerMachine(w.cfg)
	h := run(t, w, m)
	oracle := run(t, w, oracleMachine{newOracle(w.cfg), map[int]*oracleJob{}})
	got, want := h.starts, oracle.starts
	for i := range min(len(got), len(want)) {
		if got[i].job != want[i].job || got[i].slot != want[i].slot {
			t.Fatalf("start %d: got %+v, want %+v\ngot  %v\nwant %v\n%v", i, got[i], want[i], got, want, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d starts, want %d\ngot  %v\nwant %v\n%v", len(got), len(want), got, want, w)
	}
	if !maps.Equal(h.ended, oracle.ended) || len(h.ended) != len(w.work) {
		t.Fatalf("the outcomes of %d jobs are\n%v, want\n%v\n%v", len(w.work), h.ended, oracle.ended, w)
	}
	if w.steady() {
		var all []started
		for _, s := range got {
			all = append(all, started{slot: s.slot, limits: w.work[s.job].limits})
		}
		if err := checkLimits(all); err != nil {
			t.Fatalf("%v\n%v", err, w)
		}
	}
	if m.Waiting() != 0 || m.Idle() != m.cfg.Workers {
		t.Fatalf("at the end %d jobs wait and %d of %d workers are idle", m.Waiting(), m.Idle(), m.cfg.Workers)
	}
}
