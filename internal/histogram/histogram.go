// Package histogram counts durations by bucket, from ten microseconds to ten seconds.
package histogram

import (
	"slices"
	"sync"
	"time"
)

// bounds are the upper bounds of the buckets: the lowest ones tell good machines apart, the highest
// ones tell how bad things are.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations. The zero value is ready to use.
//
// Its lock guards it. To add many durations, lock it once for all of them.
type Histogram struct {
	sync.Mutex

	counts [len(bounds) + 1]uint64
	sum    time.Duration
	last   int // the bucket of the latest duration: consecutive ones are often alike
}

// Bounds returns the upper bounds of the buckets. A bound belongs to its bucket. The last bucket
// has none.
func Bounds() []time.Duration { return slices.Clone(bounds[:]) }

// Add counts a duration. The caller holds the lock.
func (h *Histogram) Add(d time.Duration) {
	h.counts[h.bucket(d)]++
	h.sum += d
}

// bucket returns the bucket of a duration. The caller holds the lock.
func (h *Histogram) bucket(d time.Duration) int {
	if i := h.last; (i == 0 || d > bounds[i-1]) && (i == len(bounds) || d <= bounds[i]) {
		return i
	}
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.last = i
	return i
}

// Read returns how many durations each bucket has, one bucket more than there are bounds, and the
// sum of all durations. It takes the lock.
func (h *Histogram) Read() (counts []uint64, sum time.Duration) {
	h.Lock()
	defer h.Unlock()
	return slices.Clone(h.counts[:]), h.sum
}
