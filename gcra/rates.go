package gcra

import "time"

// PerSecond returns params that allow n events a second, evenly spaced.
// [FreqLimitParams.WithBurst] lets some of them happen at once. If n is out of range,
// Validate of the result names Limit and n.
func PerSecond(n int) FreqLimitParams { return FreqLimitParams{Limit: n, Period: time.Second} }

// PerMinute returns params that allow n events a minute, evenly spaced.
// It is otherwise like [PerSecond].
func PerMinute(n int) FreqLimitParams { return FreqLimitParams{Limit: n, Period: time.Minute} }

// PerHour returns params that allow n events an hour, evenly spaced.
// It is otherwise like [PerSecond].
func PerHour(n int) FreqLimitParams { return FreqLimitParams{Limit: n, Period: time.Hour} }

// Every returns params that allow one event per interval. If the interval is out of
// range, Validate of the result names Period and the interval.
func Every(interval time.Duration) FreqLimitParams {
	return FreqLimitParams{Limit: 1, Period: interval}
}

// WithBurst returns p with Burst set to n: after a rest, n events may happen at once.
// The rate in the long run stays the same. Zero means 1. If n is out of range, Validate
// of the result names Burst and n.
//
//	gcra.PerMinute(20).WithBurst(5)          // 20 a minute, 5 of them at once
//	gcra.PerMinute(20).WithBurst(5).Strict() // and never more than 20 in any minute
func (p FreqLimitParams) WithBurst(n int) FreqLimitParams {
	p.Burst = n
	return p
}
