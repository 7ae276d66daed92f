package main

import (
	"fmt"
	"math"
	"time"
)

// meterSpan is how far back the rate looks: long enough to be steady, short
// enough to show a stall.
const meterSpan = 10 * time.Second

// meter tells the rate of late and the time left at that rate.
type meter struct {
	total   int
	samples []sample // oldest first; the first is meterSpan old, if any is
	held    held     // now
}

type sample struct {
	at   time.Time
	done int
}

func newMeter(total int, start time.Time) *meter {
	return &meter{total: total, samples: []sample{{at: start}}}
}

// observe notes how much is done now.
func (m *meter) observe(now time.Time, done int) {
	m.samples = append(m.samples, sample{now, done})
	for now.Sub(m.samples[1].at) >= meterSpan {
		m.samples = m.samples[1:]
	}
}

// rate is how much was done per second within meterSpan before the last
// observation.
func (m *meter) rate() float64 {
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	return perSecond(last.done-first.done, last.at.Sub(first.at))
}

// String reads like "140/980 done, 28.0/s, 30s left". While nothing gets done it gives no
// time, since there is none to give, unless all that is left is held: then it gives the
// end of that.
func (m *meter) String() string {
	last := m.samples[len(m.samples)-1]
	rate := m.rate()
	s := fmt.Sprintf("%d/%d done, %s", last.done, m.total, formatRate(rate))
	free := m.total - last.done - m.held.messages
	left := 0.0
	if m.held.messages > 0 {
		left = m.held.until.Sub(last.at).Seconds()
	}
	if free > 0 && rate > 0 {
		left = max(left, float64(free)/rate)
	}
	if left > 0 && (free <= 0 || rate > 0) {
		s += ", " + seconds(left) + " left"
	}
	if m.held.messages > 0 {
		s += ", " + m.held.String()
	}
	return s
}

func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// formatRate counts by the minute when there is less than one a second.
func formatRate(rate float64) string {
	if rate > 0 && rate < 1 {
		return fmt.Sprintf("%.1f/min", 60*rate)
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// seconds rounds up to whole seconds, as in "1m30s".
func seconds(s float64) string {
	return (time.Duration(math.Ceil(min(s, 1e9))) * time.Second).String()
}
