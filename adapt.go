package dispatcher

import (
	"cmp"
	"log/slog"
	"math"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Adapt makes limits find their own pace, for servers that don't publish theirs: when
// handlers keep returning [RetryAfter] for a key, the limit with that key is slowed
// down, and then creeps back. The params of the limit are the fastest that it gets, so
// they are what the server is hoped to take.
//
// It is additive increase, multiplicative decrease, as in TCP (Chiu and Jain, "Analysis
// of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks",
// 1989). After Refusals the pace is multiplied by Cut, and so at each one that follows
// while it has not crept back; meanwhile it rises steadily, from nothing to the params
// in Recovery. Refusals of jobs that had started before half of the last hold was over
// are the same one. Only the pace changes: Burst stays.
//
// Each dispatcher adapts for itself. Others that share the backend don't hear of it, and
// a limit has the params that were used last: let one dispatcher have such a limit, or
// all of them meet the same refusals.
type Adapt struct {
	// Limits says whether the limit with a key adapts. It must be quick and safe for
	// concurrent use; if it panics, that is logged. Defaults to all limits.
	Limits func(key string) bool

	// Refusals is after how many the pace is cut for the first time; they are forgotten
	// when there is none for Recovery. Defaults to 3.
	Refusals int

	// Cut is what the pace is multiplied by, above 0 and below 1. Defaults to 0.5.
	Cut float64

	// Least is the slowest pace, as a share of that of the params, above 0 and at most
	// 1. Defaults to 0.01.
	Least float64

	// Recovery is how long it takes from the slowest imaginable pace back to that of
	// the params, from 1ms. Shorter, the server's limit is found again sooner after it
	// has risen, and hit more often while it has not. Defaults to 5 minutes.
	Recovery time.Duration
}

// Defaults of [Adapt].
const (
	DefaultAdaptRefusals = 3
	DefaultAdaptCut      = 0.5
	DefaultAdaptLeast    = 0.01
	DefaultAdaptRecovery = 5 * time.Minute
)

// paceSteps is in how many steps a pace creeps from nothing to that of the params.
const paceSteps = 100

func (a Adapt) withDefaults() Adapt {
	a.Refusals = cmp.Or(a.Refusals, DefaultAdaptRefusals)
	a.Cut = cmp.Or(a.Cut, DefaultAdaptCut)
	a.Least = cmp.Or(a.Least, DefaultAdaptLeast)
	a.Recovery = min(cmp.Or(a.Recovery, DefaultAdaptRecovery), backend.Unlimited)
	return a
}

func (a Adapt) validate() error {
	switch {
	case a.Refusals < 1:
		return &ConfigError{Field: "Adapt.Refusals", Value: a.Refusals, Reason: "must not be negative"}
	case !(a.Cut > 0 && a.Cut < 1):
		return &ConfigError{Field: "Adapt.Cut", Value: a.Cut, Reason: "must be above 0 and below 1"}
	case !(a.Least > 0 && a.Least <= 1):
		return &ConfigError{Field: "Adapt.Least", Value: a.Least, Reason: "must be above 0 and at most 1"}
	case a.Recovery < time.Millisecond:
		return &ConfigError{Field: "Adapt.Recovery", Value: a.Recovery, Reason: "must be at least 1ms"}
	}
	return nil
}

// pace is what a limit that adapts goes at.
type pace struct {
	key      string
	base     gcra.FreqLimitParams // those without it
	share    float64              // of the rate of base; 1 until there were enough refusals
	refusals int                  // while share is 1
	known    int64                // jobs with slots before that tell nothing new by a refusal
	at       int64                // when it creeps next or, at 1, is forgotten
	index    int                  // in paces.byAt
}

// refusal is what a handler was told.
type refusal struct {
	slot  int64 // of the job
	until int64 // the end of the hold, or a little before
	delay time.Duration
}

// refused notes a refusal, and returns whether it cuts the pace.
func (p *pace) refused(r refusal, a *Adapt) (cut bool) {
	if r.slot < p.known {
		return false
	}
	// Of the end itself two clocks may be of different opinions.
	p.known = max(r.until-int64(r.delay)/2, r.slot+1)
	p.refusals++
	if cut = p.share < 1 || p.refusals >= a.Refusals; cut {
		p.refusals = 0
		p.share = max(a.Least, p.share*a.Cut)
		p.at = r.until + a.step()
	} else {
		p.at = r.until + int64(a.Recovery)
	}
	return cut
}

func (a *Adapt) step() int64 { return int64(a.Recovery / paceSteps) }

// creep lets the pace rise as it may by now, and returns whether it does.
func (p *pace) creep(now int64, a *Adapt) bool {
	if p.share == 1 || now < p.at {
		return false
	}
	steps := (now-p.at)/a.step() + 1
	p.share += float64(steps) / paceSteps
	p.at += steps * a.step()
	if p.share > 1-1e-9 {
		p.share = 1
		p.at = now + int64(a.Recovery)
	}
	return true
}

// params returns those of the limit at this pace, or at the slowest that is valid.
func (p *pace) params() gcra.FreqLimitParams {
	eff := p.base
	if p.share == 1 {
		return eff
	}
	slowest := time.Duration(math.MaxInt64)
	interval := gcra.MaxSpan / time.Duration(max(eff.Burst, 1))
	if interval > time.Microsecond {
		interval = interval.Truncate(time.Microsecond) // some backends round up to that
	}
	if limit := time.Duration(eff.Limit); limit <= slowest/interval {
		slowest = max(limit*interval, eff.Period)
	}
	if period := math.Ceil(float64(eff.Period) / p.share); period < float64(slowest) {
		eff.Period = max(time.Duration(period), eff.Period)
	} else {
		eff.Period = slowest
	}
	return eff
}

// tellRefused has the loop hear that a job was refused because of some keys.
func (d *Dispatcher[T]) tellRefused(keys []string, r refusal) {
	for _, key := range keys {
		if d.adapts(key) {
			d.command(func(l *loop[T], now int64) { l.refused(now, key, r) })
		}
	}
}

func (d *Dispatcher[T]) adapts(key string) bool {
	defer d.logPanic("Adapt.Limits", slog.String("key", key))
	return d.cfg.Adapt.Limits == nil || d.cfg.Adapt.Limits(key)
}

func (l *loop[T]) refused(now int64, key string, r refusal) {
	p := l.paces.of(key)
	if p == nil {
		base, ok := l.sched.Params(key)
		if !ok {
			return // no limit has that key
		}
		p = &pace{key: key, base: base, share: 1}
		l.paces.add(p)
	}
	was := *p
	cut := p.refused(r, l.cfg.Adapt)
	if cut && backend.Check(l.backend, []Limit{{Key: key, Params: p.params()}}) != nil {
		p.share = was.share // the backend knows no limit as slow as that
	}
	l.paces.moved(p)
	if p.share != was.share {
		l.repace(now, p)
		l.logSoon(slog.LevelWarn, "dispatcher: slowed down a limit", slog.String("key", key), slog.Float64("share", p.share))
	}
}

// creepMost is how many paces rise at a time, so that the others don't make a start late.
const creepMost = 128

// creep lets paces rise as they may by now. Those that it leaves are due still.
func (l *loop[T]) creep(now int64) {
	for range creepMost {
		p := l.paces.next()
		if p == nil || now < p.at {
			return
		}
		if !p.creep(now, l.cfg.Adapt) {
			l.paces.remove(p) // it has been at its full pace for long
			continue
		}
		l.paces.moved(p)
		l.repace(now, p)
		if p.share == 1 {
			l.logSoon(slog.LevelInfo, "dispatcher: a limit is back at its pace", slog.String("key", p.key))
		}
	}
}

// repace makes the jobs that wait go at the pace of their limit.
func (l *loop[T]) repace(now int64, p *pace) { l.changeParams(now, p.key, p.base) }

// atPace returns params of a limit at the pace that it has found.
func (l *loop[T]) atPace(key string, params gcra.FreqLimitParams) gcra.FreqLimitParams {
	if p := l.paces.of(key); p != nil {
		p.base = params
		return p.params()
	}
	return params
}
