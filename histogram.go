package dispatcher

import (
	"slices"
	"sync/atomic"
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

// lateness is a histogram that one goroutine writes and any may read.
type lateness struct {
	counts [len(latenessBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

// observe counts a time, unless it is unknown.
func (l *lateness) observe(late int64) {
	if late == unknown {
		return
	}
	i := 0
	for i < len(latenessBounds) && late > int64(latenessBounds[i]) {
		i++
	}
	// There is one writer: to load and store costs less than to add.
	l.counts[i].Store(l.counts[i].Load() + 1)
	l.sum.Store(l.sum.Load() + late)
}

func (l *lateness) read() Histogram {
	h := Histogram{Bounds: slices.Clone(latenessBounds[:]), Sum: time.Duration(l.sum.Load())}
	for i := range l.counts {
		h.Counts = append(h.Counts, l.counts[i].Load())
	}
	return h
}
