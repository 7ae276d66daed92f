package histogram

import (
	"testing"
	"time"
)

// A duration is in the first bucket whose bound is not below it, whatever was counted before.
func TestBuckets(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int
	}{
		{0, 0},
		{10 * time.Microsecond, 0},
		{10*time.Microsecond + 1, 1},
		{20 * time.Microsecond, 1},
		{time.Millisecond, 6},
		{time.Millisecond + 1, 7},
		{10 * time.Second, len(bounds) - 1},
		{10*time.Second + 1, len(bounds)},
		{time.Hour, len(bounds)},
	} {
		for last := range len(bounds) + 1 {
			h := Histogram{last: last}
			if got := h.bucket(c.d); got != c.want {
				t.Errorf("bucket(%v) = %d after one in bucket %d, want %d", c.d, got, last, c.want)
			}
			if h.last != c.want {
				t.Errorf("last = %d after bucket(%v), want %d", h.last, c.d, c.want)
			}
		}
	}
}

func TestRead(t *testing.T) {
	var h Histogram
	h.Lock()
	for _, d := range []time.Duration{time.Microsecond, 2 * time.Microsecond, time.Minute, 15 * time.Microsecond} {
		h.Add(d)
	}
	h.Unlock()
	counts, sum := h.Read()
	if want := time.Minute + 18*time.Microsecond; sum != want {
		t.Errorf("Read() has the sum %v, want %v", sum, want)
	}
	if len(counts) != len(Bounds())+1 {
		t.Fatalf("Read() has %d buckets, want %d", len(counts), len(Bounds())+1)
	}
	for i, got := range counts {
		if want := map[int]uint64{0: 2, 1: 1, len(counts) - 1: 1}[i]; got != want {
			t.Errorf("Read() has %d in bucket %d, want %d", got, i, want)
		}
	}
	counts[0], Bounds()[0] = 0, 0
	if again, _ := h.Read(); again[0] != 2 || Bounds()[0] == 0 {
		t.Error("what Read and Bounds return is not a copy")
	}
}

func BenchmarkAdd(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Lock()
		h.Add(time.Duration(i%32) * time.Microsecond)
		h.Unlock()
	}
}
