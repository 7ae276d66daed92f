package gcra

import (
	"math"
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/internal/seeds"
)

// charges are the slots of a record.
func (r run) charges(t int64) (slots []int64) {
	for i := range r.size() {
		slot := r.slot
		if r.count < 0 {
			slot += i * int64(r.cost) * t
		}
		slots = append(slots, slot)
	}
	return slots
}

// A record holds the charges that were added to it, and no others: each can be taken out
// once, and leads to the same TAT as they do.
func TestRunHoldsWhatWasAdded(t *testing.T) {
	const interval = 3
	longest, runs := 0, 0
	for _, random := range seeds.First(t, 3000) {
		cost := 1 + random.IntN(2)
		r, want := run{slot: 10, cost: int32(cost), count: 1}, []int64{10}
		for range 30 {
			slot := 10 + int64(random.IntN(5)*cost)*interval - int64(random.IntN(8)/7)
			if r.add(slot, cost, interval) {
				want = append(want, slot)
			}
			if other := r; other.add(slot, cost+1, interval) {
				t.Fatalf("%+v takes in another cost", r)
			}
		}
		longest, runs = max(longest, len(want)), runs+1
		if got := r.charges(interval); !slices.Equal(got, want) || r.last(interval) != slices.Max(want) {
			t.Fatalf("%+v holds %d, the last at %d, want %d", r, got, r.last(interval), want)
		}
		for _, tat := range []int64{0, 9, 10, 11, 20, 50} {
			after := tat
			for _, slot := range want {
				after = max(after, slot) + int64(cost)*interval
			}
			if got := r.after(tat, interval); got != after {
				t.Fatalf("TAT %d after %+v = %d, want %d", tat, r, got, after)
			}
		}
		for slot := range int64(100) {
			before, after, ok := r.split(slot, cost, interval)
			if i := slices.Index(want, slot); !ok {
				if i >= 0 {
					t.Fatalf("%+v.split(%d) = false, want true", r, slot)
				}
			} else if got := append(before.charges(interval), after.charges(interval)...); i < 0 || !slices.Equal(got, slices.Delete(slices.Clone(want), i, i+1)) {
				t.Fatalf("%+v.split(%d) = %+v, %+v, want the others", r, slot, before, after)
			}
			if _, _, ok := r.split(slot, cost+1, interval); ok {
				t.Fatalf("%+v.split(%d) with another cost = true, want false", r, slot)
			}
		}
	}
	if longest < 4 && runs > 1 { // one seed alone may do so
		t.Errorf("the longest record has %d charges, want 4 at least", longest)
	}
}

// A record that is full takes in no more.
func TestRunIsFull(t *testing.T) {
	for _, count := range []int32{math.MaxInt32, -math.MaxInt32} {
		r := run{slot: 5, cost: 1, count: count}
		if r.add(5, 1, 1) || r.add(5+math.MaxInt32, 1, 1) {
			t.Errorf("a record of %d charges takes in one more", count)
		}
	}
}
