package roundtrip

import (
	"testing"
	"testing/synctest"
	"time"
)

// The horizon follows the round trips as RFC 6298 says, within bounds.
func TestHorizon(t *testing.T) {
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
		{"none", nil, MinHorizon},
		{"the first, which makes the connection", []time.Duration{time.Second}, MinHorizon},
		{"fast ones", repeat(ms/10, 100), MinHorizon},
		{"the second", []time.Duration{ms, 20 * ms}, 4 * (20 + 20) * ms},
		{"the third", []time.Duration{ms, 20 * ms, 36 * ms}, 4 * (28 + 2*16) * ms}, // equal weights
		{"steady ones", repeat(20*ms, 200), 80 * ms},
		{"slow ones", repeat(3*time.Second, 10), MaxHorizon},
		{"one that stalled counts as four means", append(repeat(20*ms, 200), time.Minute), 4 * (20 + 60/8. + 2*60/4.) * ms},
		{"of fast ones as four milliseconds", append(repeat(ms/10, 200), time.Minute), MinHorizon},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e Estimator
			for _, d := range c.trips {
				e.Observe(time.Now(), d)
			}
			if got := e.Horizon(); (got - c.want).Abs() > ms/100 {
				t.Errorf("Horizon() = %v, want %v", got, c.want)
			}
		})
	}
}

// A slow start is forgotten within some seconds, however few trips there are.
func TestForgets(t *testing.T) {
	var e Estimator
	now := time.Now()
	trip := func(every, took time.Duration, n int) {
		for range n {
			now = now.Add(every)
			e.Observe(now, took)
		}
	}
	trip(300*time.Millisecond, 60*time.Millisecond, 10)
	if got := e.Horizon(); got < 240*time.Millisecond {
		t.Fatalf("Horizon() = %v after trips of 60ms, want at least 240ms", got)
	}
	trip(time.Second, time.Millisecond, 8)
	if got := e.Horizon(); got != MinHorizon {
		t.Errorf("Horizon() = %v 8s later, want %v", got, MinHorizon)
	}
}

// A longer horizon of another process lengthens this one for 10 seconds.
func TestReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Estimator
		e.ObserveReach(240 * time.Millisecond)
		e.ObserveReach(100 * time.Millisecond)
		e.ObserveReach(MinHorizon)
		for _, c := range []struct{ after, want time.Duration }{
			{0, 240 * time.Millisecond}, {reachMemory - 1, 240 * time.Millisecond}, {1, MinHorizon},
		} {
			time.Sleep(c.after)
			if got := e.Horizon(); got != c.want {
				t.Errorf("Horizon() = %v, want %v", got, c.want)
			}
		}
		if got := e.OwnHorizon(); got != MinHorizon {
			t.Errorf("OwnHorizon() = %v, want %v", got, MinHorizon)
		}
		e.ObserveReach(time.Hour)
		if got := e.Horizon(); got != MaxHorizon {
			t.Errorf("Horizon() = %v, want at most %v", got, MaxHorizon)
		}
	})
}

// When all trips become slower, the horizon follows within 20 of them.
func TestFollows(t *testing.T) {
	var e Estimator
	for range 100 {
		e.Observe(time.Now(), time.Millisecond)
	}
	for range 20 {
		e.Observe(time.Now(), 50*time.Millisecond)
	}
	if got := e.Horizon(); got < 200*time.Millisecond {
		t.Errorf("Horizon() = %v after 20 trips of 50ms, want at least 200ms", got)
	}
}
