package dispatcher

import "time"

// The horizon that a measured round trip makes.
const (
	leastHorizon = 40 * time.Millisecond
	mostHorizon  = time.Second
)

// roundTrip says how long the backend takes to answer, as TCP estimates it to
// know when an answer is overdue: a mean and a mean deviation, both smoothed.
//
// Source: RFC 6298.
type roundTrip struct {
	mean, deviation time.Duration
	trips           int
}

func (r *roundTrip) observe(took time.Duration) {
	r.trips++
	switch r.trips {
	case 1:
		return // this one has made the connection
	case 2:
		r.mean, r.deviation = took, took/2
		return
	}
	// One that has stalled says nothing of the others. If they are slower from now
	// on, the mean follows within a few of them.
	took = min(took, 4*max(r.mean, time.Millisecond))
	r.deviation += ((took - r.mean).Abs() - r.deviation) / 4
	r.mean += (took - r.mean) / 8
}

// horizon is how far ahead slots are taken. They are asked for when they are half
// of that ahead, which leaves room for twice the time that an answer takes, a slow
// one included.
func (r *roundTrip) horizon() time.Duration {
	return min(max(leastHorizon, 4*(r.mean+2*r.deviation)), mostHorizon)
}
