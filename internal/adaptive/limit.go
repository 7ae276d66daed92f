package adaptive

import (
	"math"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// Config says how limits adapt.
type Config struct {
	Refusals  int           // number of refusals before the first cut, from 1
	Cut       float64       // what a refusal multiplies the factor by, above 0 and below 1
	MinFactor float64       // above 0 and at most 1
	Recovery  time.Duration // from factor 0 to factor 1; also when refusals and limits are forgotten
}

// recoverySteps is the number of equal steps from factor 0 to factor 1.
const recoverySteps = 100

func (c *Config) stepTime() int64 { return int64(c.Recovery / recoverySteps) }

// Limit is a limit that was refused.
type Limit struct {
	Key  string
	Base gcra.FreqLimitParams // the params at factor 1

	factor   float64 // of the rate of Base: 1 until there were enough refusals
	refusals int     // while factor is 1
	ignore   int64   // refusals of jobs with earlier slots count as the same one
	at       int64   // when the factor rises next or, at factor 1, the limit is forgotten
	position int32   // in Limits.byTime
}

// Factor returns what the rate of Base is multiplied by, at most 1.
func (l *Limit) Factor() float64 { return l.factor }

// Refusal says that a server refused a job.
type Refusal struct {
	Slot  int64         // the slot of the job
	Until int64         // the end of the hold, or a little earlier
	Delay time.Duration // the length of the hold
}

// refuse takes in a refusal, and reports whether it cuts the factor.
func (l *Limit) refuse(r Refusal, c *Config) (cut bool) {
	if r.Slot < l.ignore {
		return false
	}
	// The hold's end itself would not do: two clocks may disagree about it.
	l.ignore = max(r.Until-int64(r.Delay)/2, r.Slot+1)
	l.refusals++
	if cut = l.factor < 1 || l.refusals >= c.Refusals; cut {
		l.refusals = 0
		l.factor = max(c.MinFactor, l.factor*c.Cut)
		l.at = r.Until + c.stepTime()
	} else {
		l.at = r.Until + int64(c.Recovery)
	}
	return cut
}

// recover raises the factor as far as it may be by now, and reports whether that changes it.
func (l *Limit) recover(now int64, c *Config) bool {
	if l.factor == 1 || now < l.at {
		return false
	}
	steps := (now-l.at)/c.stepTime() + 1
	l.factor += float64(steps) / recoverySteps
	l.at += steps * c.stepTime()
	if l.factor > 1-1e-9 {
		l.factor = 1
		l.at = now + int64(c.Recovery)
	}
	return true
}

// Params returns the params at the present factor, or the slowest valid ones if those would be
// too slow. Only the rate differs from Base; Burst is the same.
func (l *Limit) Params() gcra.FreqLimitParams {
	params := l.Base
	if l.factor == 1 {
		return params
	}
	slowest := time.Duration(math.MaxInt64)
	interval := gcra.MaxSpan / time.Duration(max(params.Burst, 1))
	if interval > time.Microsecond {
		interval = interval.Truncate(time.Microsecond) // some backends round up to a microsecond
	}
	if limit := time.Duration(params.Limit); limit <= slowest/interval {
		slowest = max(limit*interval, params.Period)
	}
	if period := math.Ceil(float64(params.Period) / l.factor); period < float64(slowest) {
		params.Period = max(time.Duration(period), params.Period)
	} else {
		params.Period = slowest
	}
	return params
}
