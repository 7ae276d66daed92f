package dispatcher

import (
	"time"

	"github.com/freqlimit/dispatcher/internal/histogram"
)

// Histogram counts durations by bucket.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, in rising order. A bound belongs to
	// its bucket. The last bucket has none.
	Bounds []time.Duration

	Counts []uint64 // of each bucket: one more than there are bounds
	Sum    time.Duration
}

// Count returns the number of durations that were counted.
func (h Histogram) Count() uint64 {
	n := uint64(0)
	for _, c := range h.Counts {
		n += c
	}
	return n
}

func readHistogram(h *histogram.Histogram) Histogram {
	counts, sum := h.Read()
	return Histogram{Bounds: histogram.Bounds(), Counts: counts, Sum: sum}
}
