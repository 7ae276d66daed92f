package dispatcher

import (
	"testing"
	"time"
)

// The horizon follows the round trips, as RFC 6298 follows them, within bounds.
func TestRoundTripHorizon(t *testing.T) {
	const ms = time.Millisecond
	repeat := func(d time.Duration, n int) (all []time.Duration) {
		for range n {
			all = append(all, d)
		}
		return all
	}
	for _, c := range []struct {
		name  string
		trips []time.Duration
		want  time.Duration
	}{
		{"none", nil, leastHorizon},
		{"the first, which makes the connection", []time.Duration{time.Second}, leastHorizon},
		{"fast ones", repeat(ms/10, 100), leastHorizon},
		{"the second", []time.Duration{ms, 20 * ms}, 4 * (20 + 20) * ms},
		{"the third", []time.Duration{ms, 20 * ms, 36 * ms}, 4 * (20 + 2 + 2*(10+1.5)) * ms},
		{"steady ones", repeat(20*ms, 200), 80 * ms},
		{"slow ones", repeat(3*time.Second, 10), mostHorizon},
		{"one that stalled counts as four means", append(repeat(20*ms, 200), time.Minute), 4 * (20 + 60/8. + 2*60/4.) * ms},
		{"of fast ones as four milliseconds", append(repeat(ms/10, 200), time.Minute), leastHorizon},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r roundTrip
			for _, d := range c.trips {
				r.observe(d)
			}
			if got := r.horizon(); (got - c.want).Abs() > ms/100 {
				t.Errorf("horizon() = %v, want %v", got, c.want)
			}
		})
	}
}

// When all trips become slower, the horizon has followed within 20 of them.
func TestRoundTripFollows(t *testing.T) {
	var r roundTrip
	for range 100 {
		r.observe(time.Millisecond)
	}
	for range 20 {
		r.observe(50 * time.Millisecond)
	}
	if got := r.horizon(); got < 200*time.Millisecond {
		t.Errorf("horizon() = %v after 20 trips of 50ms, want 200ms or more", got)
	}
}
