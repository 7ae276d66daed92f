package gcra_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// FuzzState takes a state through any charges and refunds under any params, at
// instants that jump both ways (traps 2, 4, 5, 11, 13). Each nine bytes of ops
// are a step: what to do, and an instant.
func FuzzState(f *testing.F) {
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
		type event struct {
			slot int64
			cost int
		}
		var (
			s    gcra.State
			held []event
		)
		for step := range slices.Chunk(ops[:min(len(ops), 60*9)/9*9], 9) {
			now := int64(binary.LittleEndian.Uint64(step[1:]) % uint64(gcra.MaxSpan/2))
			cost := int(step[0])%max(burst, 1)%16 + 1
			if step[0]%4 == 3 && len(held) > 0 {
				last := held[len(held)-1]
				after, ok := s.Refund(last.slot, p, last.cost)
				if ok {
					held = held[:len(held)-1]
				}
				if again, ok := after.Refund(last.slot, p, last.cost); ok || again != after {
					t.Fatalf("%+v.Refund(%d) a second time = %+v, true, want false", after, last.slot, again)
				}
				s = after
				continue
			}
			slot := s.Slot(now, p, cost)
			if slot < now {
				t.Fatalf("%+v.Slot(%d, %v, %d) = %d, want no earlier than now", s, now, p, cost, slot)
			}
			if slot-now > int64(gcra.MaxSpan) {
				continue // beyond any horizon
			}
			before := s
			s = s.Charge(slot, p, cost)
			if s.TAT <= before.TAT || s.TAT < slot || s.Last < before.Last || s.Last < slot {
				t.Fatalf("%+v.Charge(%d, %v, %d) = %+v, want it to move forward", before, slot, p, cost, s)
			}
			held = append(held, event{slot, cost})
		}
		var slots []int64
		for _, e := range held {
			for range e.cost {
				slots = append(slots, e.slot)
			}
		}
		if err := checkWindows(slots, p); err != nil {
			t.Fatal(err)
		}
	})
}
