package goredis

import (
	"math"
	"time"
)

// clock maps the server's clock to the local monotonic one.
//
// A server's instant s, read while a call went out at local time sent and came
// back at received, says that local - server lies between sent - s and
// received - s. To add the upper bound to a slot makes it late by a part of the
// round trip, but never early. The least upper bound of all calls is the best
// one, as long as neither clock drifts nor steps: so it grows with time, and
// gives way to a call that proves it wrong.
type clock struct {
	bound int64 // on local - server, nanoseconds, as found at
	at    int64 // the local time
	known bool
}

// drift is how fast the two clocks may part: 1 ms per second, which is more than
// clocks that are kept in step by slewing do.
const drift = 1e-3

// sample takes in a call and returns what to add to the server's instants in its
// answer. Local times are in nanoseconds, server in microseconds, rounded down.
func (c *clock) sample(sent, received, server int64) int64 {
	low := sent - (server+1)*1000
	high := received - server*1000
	if c.known {
		apart := received - c.at
		if apart < 0 {
			apart = -apart // answers of calls that overlap are taken in in any order
		}
		bound := c.bound + int64(math.Ceil(float64(apart)*drift))
		if bound >= low {
			high = min(high, bound)
		}
	}
	c.bound, c.at, c.known = high, received, true
	return high
}

// forget makes the next call count alone: the server may be another.
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
