package gcra_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// FuzzLedger takes a ledger through any charges and refunds under any params, at
// instants that jump both ways (traps 2, 4, 5, 11, 13). Each nine bytes of ops
// are a step: what to do, and an instant.
func FuzzLedger(f *testing.F) {
	steps := func(bytes ...byte) (ops []byte) {
		for i, b := range bytes {
			ops = binary.LittleEndian.AppendUint64(append(ops, b), uint64(i)*1e8)
		}
		return ops
	}
	f.Add(30, int64(time.Second), 30, steps(0, 0, 0, 3, 0, 0, 3, 0))
	f.Add(1, int64(24*time.Hour), 1, steps(0, 3, 0, 3))
	f.Add(1_000_000_000, int64(time.Second), 0, steps(0, 0, 0, 0))
	f.Add(1, int64(gcra.MaxSpan), 1, steps(0, 0, 0))
	f.Add(7, int64(time.Second), 5, append(steps(0, 4, 8, 3), 0, 255, 255, 255, 255, 255, 255, 255, 255))
	f.Add(0, int64(0), -1, []byte{})

	f.Fuzz(func(t *testing.T, limit int, period int64, burst int, ops []byte) {
		p := gcra.FreqLimitParams{Limit: limit, Period: time.Duration(period), Burst: burst}
		if err := p.Validate(); err != nil {
			var wrong *gcra.ParamError
			if !errors.Is(err, gcra.ErrParams) || !errors.As(err, &wrong) || wrong.Field == "" {
				t.Fatalf("%+v.Validate() = %v, want a *ParamError", p, err)
			}
			return
		}
		if p.Interval() < 1 || p.Tau() < 0 || p.Tau() > gcra.MaxSpan {
			t.Fatalf("%+v: Interval %d, Tau %d, want no overflow", p, p.Interval(), p.Tau())
		}
		var (
			l    gcra.Ledger
			held []charge
		)
		for step := range slices.Chunk(ops[:min(len(ops), 60*9)/9*9], 9) {
			now := int64(binary.LittleEndian.Uint64(step[1:]) % uint64(gcra.MaxSpan/2))
			cost := int(step[0])%max(burst, 1)%16 + 1
			before := l.State()
			if step[0]%4 == 3 && len(held) > 0 {
				last := held[len(held)-1]
				if l.Refund(last.slot, p, last.cost) {
					held = held[:len(held)-1]
				}
				if !slices.Contains(held, last) && l.Refund(last.slot, p, last.cost) {
					t.Fatalf("%+v.Refund(%d) a second time = true, want false", before, last.slot)
				}
				if s := l.State(); s.TAT > before.TAT || s.Last > before.Last {
					t.Fatalf("%+v.Refund(%d) = %+v, want no more debt", before, last.slot, s)
				}
				continue
			}
			slot := l.Slot(now, p, cost)
			if slot < now {
				t.Fatalf("%+v.Slot(%d, %v, %d) = %d, want no earlier than now", before, now, p, cost, slot)
			}
			if slot-now > int64(gcra.MaxSpan) {
				continue // beyond any horizon
			}
			l.Charge(now, slot, p, cost)
			if s := l.State(); s != before.Charge(slot, p, cost) || s.TAT <= before.TAT || s.TAT < slot || s.Last < before.Last || s.Last < slot {
				t.Fatalf("%+v.Charge(%d, %v, %d) = %+v, want it to move forward", before, slot, p, cost, s)
			}
			held = append(held, charge{slot, cost})
		}
		if err := checkWindows(slotsOf(held), p); err != nil {
			t.Fatal(err)
		}
	})
}
