package goredis

import (
	"math"
	"time"
)

// clock maps the server's clock to the local monotonic one.
//
// Suppose that a call leaves at local time sent and returns at received, and that the server
// reads its clock as s in between. Then local - server is between sent - s and received - s.
// Adding the upper bound to a slot makes it late by part of the round trip, but never early.
// The smallest upper bound of all calls is the best one while neither clock drifts or steps.
// So the bound grows with time, and a call that proves it wrong replaces it.
type clock struct {
	bound int64 // on local - server, in nanoseconds
	at    int64 // the local time when bound was found
	known bool
}

// drift is how fast the two clocks may diverge: 1 ms per second. Clocks that are synchronized
// by slewing diverge more slowly.
const drift = 1e-3

// sample records a call and returns the offset to add to the server's instants in its
// answer. sent and received are in nanoseconds, server in microseconds, rounded down.
func (c *clock) sample(sent, received, server int64) int64 {
	low := sent - (server+1)*1000
	high := received - server*1000
	if c.known {
		apart := received - c.at
		if apart < 0 {
			apart = -apart // answers of overlapping calls arrive in any order
		}
		bound := c.bound + int64(math.Ceil(float64(apart)*drift))
		if bound >= low {
			high = min(high, bound)
		}
	}
	c.bound, c.at, c.known = high, received, true
	return high
}

// forget drops the bound, because the next answer may come from another server.
func (c *clock) forget() { c.known = false }

// ceilMicros returns d in microseconds, rounded up, and 0 if d is negative.
func ceilMicros(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	micros := int64(d / time.Microsecond)
	if d%time.Microsecond > 0 {
		micros++
	}
	return micros
}
