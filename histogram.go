package dispatcher

import (
	"slices"
	"sync"
	"time"
)

// Histogram is how many of the measured times fall into each of some ranges.
type Histogram struct {
	// Bounds are the upper ends of the ranges, which are part of them; the last
	// range has none.
	Bounds []time.Duration

	Counts []uint64 // of each range: one more than there are bounds
	Sum    time.Duration
}

// Count is how many times were measured.
func (h Histogram) Count() uint64 {
	n := uint64(0)
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// latenessBounds go from what a good machine does to what is no longer on time.
var latenessBounds = [...]time.Duration{
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// lateness is a histogram of how late jobs were. It is safe for concurrent use.
type lateness struct {
	mu     sync.Mutex
	counts [len(latenessBounds) + 1]uint64
	sum    int64
	last   int // the range of the job before: mostly that of the next one too
}

// bucket returns the range of a time.
func (l *lateness) bucket(late int64) int {
	if i := l.last; (i == 0 || late > int64(latenessBounds[i-1])) && (i == len(latenessBounds) || late <= int64(latenessBounds[i])) {
		return i
	}
	i := 0
	for i < len(latenessBounds) && late > int64(latenessBounds[i]) {
		i++
	}
	l.last = i
	return i
}

// observeLateness counts how late jobs were, of those of which it is known.
func observeLateness[T any](l *lateness, done []finished[T]) {
	if len(done) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range done {
		if late := done[i].late; late != unknown {
			l.counts[l.bucket(late)]++
			l.sum += late
		}
	}
}

func (l *lateness) read() Histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Histogram{
		Bounds: slices.Clone(latenessBounds[:]),
		Counts: slices.Clone(l.counts[:]),
		Sum:    time.Duration(l.sum),
	}
}
