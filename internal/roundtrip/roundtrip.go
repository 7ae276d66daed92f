// Package roundtrip estimates how long a backend in another process takes to answer, and
// derives the horizon: how far ahead of now slots have to be taken.
//
// The estimate works like TCP's retransmission timer: a smoothed mean and a smoothed mean
// deviation (RFC 6298). The first trip is left out, because it makes the connection. The next
// ones, and those after a pause, weigh more, so that old measurements are soon forgotten.
package roundtrip

import "time"

// The bounds of every horizon.
const (
	MinHorizon = 40 * time.Millisecond
	MaxHorizon = time.Second
)

const (
	tripMemory  = 2 * time.Second  // after a pause this long, earlier trips have no weight
	reachMemory = 10 * time.Second // after this long without news, other processes are gone
)

// Estimator estimates the round trips to one backend. The zero value is ready to use. It is not
// safe for concurrent use.
type Estimator struct {
	mean, deviation time.Duration
	trips           int
	last            time.Time // of the latest trip's observation

	reach   time.Duration // the longest horizon of other processes that share a limit
	reachAt time.Time     // when it was observed
}

// Observe takes in a trip that ended now.
func (e *Estimator) Observe(now time.Time, took time.Duration) {
	pause := now.Sub(e.last)
	e.last = now
	e.trips++
	switch e.trips {
	case 1:
		return // this one has made the connection
	case 2:
		e.mean, e.deviation = took, took/2
		return
	}
	weight := min(max(1/8., 1/float64(e.trips-1), float64(pause)/float64(tripMemory)), 1)
	// A single trip that stalled says nothing about the next one. If all are slower from
	// now on, the mean follows within a few trips.
	took = min(took, 4*max(e.mean, time.Millisecond))
	e.deviation += time.Duration(min(2*weight, 1) * float64((took-e.mean).Abs()-e.deviation))
	e.mean += time.Duration(weight * float64(took-e.mean))
}

// ObserveReach takes in the horizon of another process that shares a limit.
func (e *Estimator) ObserveReach(horizon time.Duration) {
	if now := time.Now(); horizon >= e.reach || now.Sub(e.reachAt) > reachMemory {
		e.reach, e.reachAt = horizon, now
	}
}

// Mean returns how long a trip takes on average, or 0 if that is not known yet.
func (e *Estimator) Mean() time.Duration { return e.mean }

// OwnHorizon returns the horizon that the trips call for, from [MinHorizon] to [MaxHorizon].
//
// Slots are asked for when they are half of the horizon ahead. That leaves room for twice the
// time of an answer, even of a slow one.
func (e *Estimator) OwnHorizon() time.Duration {
	return min(max(MinHorizon, 4*(e.mean+2*e.deviation)), MaxHorizon)
}

// Horizon returns the horizon to use: [Estimator.OwnHorizon], or the horizon of another process if it
// is longer and was observed in the last 10 seconds. It is at most [MaxHorizon].
func (e *Estimator) Horizon() time.Duration {
	h := e.OwnHorizon()
	if e.reach > h && time.Since(e.reachAt) < reachMemory {
		return min(e.reach, MaxHorizon)
	}
	return h
}
