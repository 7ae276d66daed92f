package engine

import (
	"log/slog"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/adaptive"
)

// Refused notes that a server refused a job because of a key, for limits that adapt.
func (e *Engine) Refused(key string, r adaptive.Refusal) {
	e.do(func(l *loop, now int64) { l.refused(now, key, r) })
}

func (l *loop) refused(now int64, key string, r adaptive.Refusal) {
	lim := l.adaptive.Get(key)
	if lim == nil {
		base, ok := l.sched.Params(key)
		if !ok {
			return // no limit has that key
		}
		lim = l.adaptive.Add(key, base)
	}
	allowed := func(params gcra.FreqLimitParams) bool {
		return l.e.traits.Check([]backend.Limit{{Key: key, Params: params}}) == nil
	}
	if l.adaptive.Refuse(lim, r, allowed) {
		l.applyFactor(now, lim)
		l.e.LogSoon(slog.LevelWarn, "dispatcher: limit slowed down", slog.String("key", key), slog.Float64("factor", lim.Factor()))
	}
}

// maxRecoveries is how many limits recover in one step, so that they make no start late.
const maxRecoveries = 128

// recoverLimits raises the factors of limits that are due by now, up to maxRecoveries. The others stay
// due.
func (l *loop) recoverLimits(now int64) {
	for range maxRecoveries {
		lim, forgotten := l.adaptive.Recover(now)
		switch {
		case lim == nil:
			return
		case forgotten:
			continue
		}
		l.applyFactor(now, lim)
		if lim.Factor() == 1 {
			l.e.LogSoon(slog.LevelInfo, "dispatcher: limit back at full rate", slog.String("key", lim.Key))
		}
	}
}

// applyFactor gives waiting jobs the present params of a limit.
func (l *loop) applyFactor(now int64, lim *adaptive.Limit) { l.changeParams(now, lim.Key, lim.Base) }

// adapted returns the params of a limit at its present factor.
func (l *loop) adapted(key string, params gcra.FreqLimitParams) gcra.FreqLimitParams {
	if lim := l.adaptive.Get(key); lim != nil {
		lim.Base = params
		return lim.Params()
	}
	return params
}
