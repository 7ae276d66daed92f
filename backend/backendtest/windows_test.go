package backendtest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// obeys is the bound word for word: every half-open window that begins at a
// slot, of every length.
func obeys(slots []int, interval, burst int) bool {
	if len(slots) == 0 {
		return true
	}
	for _, begin := range slots {
		for w := 1; w <= slices.Max(slots)-begin+1; w++ {
			n := 0
			for _, s := range slots {
				if begin <= s && s < begin+w {
					n++
				}
			}
			if n > burst-1+(w+interval-1)/interval {
				return false
			}
		}
	}
	return true
}

func instants(slots []int) []time.Time {
	base := time.Now()
	var times []time.Time
	for _, s := range slots {
		times = append(times, base.Add(time.Duration(s)))
	}
	return times
}

// Trap 13: the oracle agrees with the definition on slots in any order, near
// the bound on either side of it.
func TestCheckWindowsIsTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var obeyed, broken int
	for range 20_000 {
		interval, burst := 1+rng.IntN(5), 1+rng.IntN(4)
		slots := make([]int, rng.IntN(8))
		for i := range slots {
			slots[i] = i*interval - rng.IntN(burst*interval+1) + rng.IntN(4)
		}
		rng.Shuffle(len(slots), func(i, j int) { slots[i], slots[j] = slots[j], slots[i] })
		p := gcra.FreqLimitParams{Limit: 1, Period: time.Duration(interval), Burst: burst}
		err, want := CheckWindows(instants(slots), p, 0), obeys(slots, interval, burst)
		if (err == nil) != want {
			t.Fatalf("CheckWindows(%v, %v) = %v, want nil: %v", slots, p, err, want)
		}
		if want {
			obeyed++
		} else {
			broken++
		}
	}
	if obeyed < 1000 || broken < 1000 {
		t.Errorf("cases that obey and break the bound = %d, %d, want many of both", obeyed, broken)
	}
}

func TestCheckWindowsSlack(t *testing.T) {
	p := gcra.FreqLimitParams{Limit: 1, Period: 100, Burst: 1}
	for _, c := range []struct {
		slots []int
		slack time.Duration
		ok    bool
	}{
		{[]int{0, 100, 200}, 0, true},
		{[]int{0, 99, 200}, 0, false},
		{[]int{0, 99, 200}, 1, true},
		{[]int{0, 95, 190, 285}, 10, false}, // the slack does not add up
		{[]int{0, 95, 195, 295}, 5, true},
		{[]int{200, 0, 100}, 0, true},
		{nil, 0, true},
	} {
		if err := CheckWindows(instants(c.slots), p, c.slack); (err == nil) != c.ok {
			t.Errorf("CheckWindows(%v, %v, %v) = %v, want nil: %v", c.slots, p, c.slack, err, c.ok)
		}
	}
	if err := CheckWindows(nil, gcra.FreqLimitParams{}, 0); err == nil {
		t.Error("CheckWindows() of invalid params = nil, want an error")
	}
}

func BenchmarkCheckWindows(b *testing.B) {
	p := gcra.FreqLimitParams{Limit: 30, Period: time.Second, Burst: 30}
	slots := make([]time.Time, 100_000)
	for i := range slots {
		slots[i] = time.Unix(0, int64(i)*int64(p.Interval()))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckWindows(slots, p, 0); err != nil {
			b.Fatal(err)
		}
	}
}
