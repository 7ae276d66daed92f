package wakeup

import "time"

// mostMargin bounds by how much the timerfd is set early, and so for how long the
// clock is watched for one instant.
const mostMargin = 300 * time.Microsecond

// aim decides by how much the timerfd is set early, its margin.
//
// The clock is watched from the moment at which the goroutine is awake. So it does
// not cost how long waking up takes, only how much that varies: a margin that few
// wake-ups exceed makes nearly all of them exact, and one as short as the fastest
// ones costs nothing. The fuller the budget, the more of the way from the short
// one to the long one is taken.
type aim struct {
	fast, slow quantile // of how long waking up takes
	budget     budget
}

// newAim starts with what is common; what is true is learned in some 20 wake-ups.
func newAim() aim {
	return aim{
		fast:   quantile{value: 50 * time.Microsecond, share: 0.1},
		slow:   quantile{value: 150 * time.Microsecond, share: 0.9},
		budget: budget{left: budgetSize},
	}
}

// observe notes how long after the timerfd the goroutine was awake.
func (m *aim) observe(took time.Duration) {
	m.fast.observe(took)
	m.slow.observe(took)
}

// margin returns how long before an instant the clock may be watched. If the
// budget is used up, that is zero: there would be no use in being early.
func (m *aim) margin(now time.Duration) time.Duration {
	full := m.budget.full(now)
	if full <= 0 {
		return 0
	}
	way := max(0, m.slow.value-m.fast.value)
	return m.fast.value + time.Duration(full*float64(way))
}

// One part in budgetShare of the time may be spent watching the clock. After a
// while in which it was not, up to budgetSize may be at once.
const (
	budgetShare = 20
	budgetSize  = 4 * time.Millisecond
)

// budget bounds the time that is spent watching the clock: a bucket that time
// fills.
type budget struct {
	left  time.Duration // can be below zero: only afterwards it is known what was spent
	asOf  time.Duration // when left was true
	spent time.Duration // in all
}

// full returns how full the budget is, of 1. If it is used up, that is 0 or less.
func (b *budget) full(now time.Duration) float64 {
	earned := (now - b.asOf) / budgetShare
	b.asOf += earned * budgetShare // a remainder counts the next time
	b.left = min(b.left+earned, budgetSize)
	return float64(b.left) / float64(budgetSize)
}

func (b *budget) spend(d time.Duration) {
	b.left -= d
	b.spent += d
}

// quantile follows a quantile of recent values. Each value moves it by a small
// step, up or down. The sizes of the steps are such that they balance when the
// share of the values that are below it is right.
//
// Source: H. Robbins and S. Monro, A Stochastic Approximation Method, 1951.
type quantile struct {
	value time.Duration // mostMargin at most
	share float64
}

func (q *quantile) observe(v time.Duration) {
	step := float64(max(q.value/16, 2*time.Microsecond))
	if v > q.value {
		q.value += time.Duration(step * q.share)
	} else {
		q.value -= time.Duration(step * (1 - q.share))
	}
	q.value = min(max(0, q.value), mostMargin)
}
