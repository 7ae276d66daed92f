package engine

import (
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// SetParams gives a limit these params, which must be valid, whatever params its jobs bring.
func (e *Engine) SetParams(key string, params gcra.FreqLimitParams) {
	e.do(func(l *loop, now int64) { l.setParams(now, key, params) })
}

// UnsetParams undoes SetParams: the limit has the params that its jobs bring.
func (e *Engine) UnsetParams(key string) {
	e.do(func(l *loop, now int64) { l.unsetParams(now, key) })
}

// setting is what SetParams has set for a limit.
type setting struct {
	params gcra.FreqLimitParams
	own    gcra.FreqLimitParams // the params that a job brought last; zero if none did
}

func (l *loop) setParams(now int64, key string, params gcra.FreqLimitParams) {
	set, ok := l.settings.Get(key)
	if !ok {
		set = &setting{own: l.paramsOf(key)}
		l.settings.Set(key, set)
	}
	set.params = params
	l.changeParams(now, key, params)
}

func (l *loop) unsetParams(now int64, key string) {
	set, ok := l.settings.Get(key)
	l.settings.Delete(key)
	if ok && set.own != (gcra.FreqLimitParams{}) {
		l.changeParams(now, key, set.own)
	}
}

// changeParams changes the params of a limit for waiting jobs.
func (l *loop) changeParams(now int64, key string, params gcra.FreqLimitParams) {
	l.sched.SetParams(now, key, l.adapted(key, params))
	l.sched.Invalidate(now, key)
}

// tellParams tells the backend which params have changed, because jobs brought others or SetParams was
// called. The backend measures the debt of a limit in the interval that it was told last. If it were
// told only when the next job asks, debt would be paid off at the old rate until then. tellParams also
// invalidates what is known of the limit and answers in flight, which go by the old params.
func (l *loop) tellParams(now int64) {
	for {
		lim, repaced, ok := l.sched.ChangedParams()
		if !ok {
			return
		}
		l.reserver.ParamsChanged(lim)
		if repaced {
			l.sched.Invalidate(now, lim.Key)
			l.reserver.Remeasure(lim)
		}
	}
}

// paramsOf returns the params of a limit, not slowed down by Config.Adaptive, or zero if there are none.
func (l *loop) paramsOf(key string) gcra.FreqLimitParams {
	if lim := l.adaptive.Get(key); lim != nil {
		return lim.Base
	}
	params, _ := l.sched.Params(key)
	return params
}

// effectiveParams returns the params that apply to a limit that a job brings: the params of SetParams,
// if it was called, and slowed down if the limit adapts.
func (l *loop) effectiveParams(lim *backend.Limit) gcra.FreqLimitParams {
	params := lim.Params
	if set, ok := l.settings.Get(lim.Key); ok {
		set.own, params = params, set.params
	}
	return l.adapted(lim.Key, params)
}

// effectiveLimits returns the limits of a job with the params that apply. It returns an error if the
// job costs more than one of them allows.
func (l *loop) effectiveLimits(limits []backend.Limit) ([]backend.Limit, error) {
	if l.settings.Len() == 0 && l.adaptive.Len() == 0 {
		return limits, nil
	}
	var changed []backend.Limit
	for i := range limits {
		p := l.effectiveParams(&limits[i])
		if limits[i].Params == p {
			continue
		}
		if changed == nil {
			changed = slices.Clone(limits)
		}
		changed[i].Params = p
	}
	if changed != nil {
		return changed, backend.Validate(changed)
	}
	return limits, nil
}

// rejectImpossible fails jobs that cost more than a lowered Burst, some at a time.
func (l *loop) rejectImpossible(now int64) {
	l.moreImpossible = l.sched.RemoveImpossible(now, blocks.Size, func(j *schedule.Job) {
		l.end(j, Rejected, backend.Validate(l.sched.Request(j, nil)))
	})
}
