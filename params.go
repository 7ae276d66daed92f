package dispatcher

import (
	"fmt"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// SetParams changes the params of the limit with a key, for the jobs that wait and for
// those to come, whatever params they bring, until it is called again; with the zero
// params, they bring their own again. If the limit is raised, jobs start at the new pace
// at once; if it is lowered, what was used up before is paid for, and no burst slips
// through. A job that costs more than a lowered Burst fails. Slots that were taken under
// another interval, at most Config.Horizon ahead, can't be given back any more.
//
// Others that share the backend must be told too: a limit has the params that were used
// last. The error is what the params have against them; nothing is changed then.
func (d *Dispatcher[T]) SetParams(key string, params gcra.FreqLimitParams) error {
	if d.isZero() {
		return errZero("Dispatcher", "New")
	}
	if params == (gcra.FreqLimitParams{}) {
		d.command(func(l *loop[T], now int64) { l.unsetParams(now, key) })
		return nil
	}
	if err := backend.Check(d.backend, []Limit{{Key: key, Params: params}}); err != nil {
		return fmt.Errorf("dispatcher: set params: %w", err)
	}
	d.command(func(l *loop[T], now int64) { l.setParams(now, key, params) })
	return nil
}

// setting is what SetParams has set for a limit.
type setting struct {
	params gcra.FreqLimitParams
	own    gcra.FreqLimitParams // those that jobs bring, the latest; zero: none has
}

func (l *loop[T]) setParams(now int64, key string, params gcra.FreqLimitParams) {
	set, ok := l.settings.Get(key)
	if !ok {
		set = &setting{own: l.paramsOf(key)}
		l.settings.Set(key, set)
	}
	set.params = params
	l.changeParams(now, key, params)
}

func (l *loop[T]) unsetParams(now int64, key string) {
	set, ok := l.settings.Get(key)
	l.settings.Delete(key)
	if ok && set.own != (gcra.FreqLimitParams{}) {
		l.changeParams(now, key, set.own)
	}
}

// changeParams lets the jobs that wait for a limit go by other params.
func (l *loop[T]) changeParams(now int64, key string, params gcra.FreqLimitParams) {
	l.sched.SetParams(now, key, l.atPace(key, params))
	l.sched.Doubt(now, key)
}

// tellParams has the backend hear of params that have changed, since jobs brought others
// or they were set. It measures the debt of a limit in the interval that it is told: if
// that were only done when the next job asks, the time until then would be paid for at
// the old pace. And what is known of the limit, or is on its way, is by the old params.
func (l *loop[T]) tellParams(now int64) {
	for {
		lim, repaced, ok := l.sched.Renewed()
		if !ok {
			return
		}
		l.asker.renew(lim)
		if repaced {
			l.sched.Doubt(now, lim.Key)
			l.asker.repace(lim)
		}
	}
}

// paramsOf returns the params of a limit without its pace, zero if there are none.
func (l *loop[T]) paramsOf(key string) gcra.FreqLimitParams {
	if p := l.paces.of(key); p != nil {
		return p.base
	}
	params, _ := l.sched.Params(key)
	return params
}

// rule returns the params of a limit that a job brings, as they are to be: those that
// were set for it, at the pace that it has found.
func (l *loop[T]) rule(lim *Limit) gcra.FreqLimitParams {
	params := lim.Params
	if set, ok := l.settings.Get(lim.Key); ok {
		set.own, params = params, set.params
	}
	return l.atPace(lim.Key, params)
}

// ruled returns the limits of a job with the params that they are to have. The error is
// that it costs more than one of those allows.
func (l *loop[T]) ruled(limits []Limit) ([]Limit, error) {
	if l.settings.Len() == 0 && l.paces.len() == 0 {
		return limits, nil
	}
	var changed []Limit
	for i := range limits {
		p := l.rule(&limits[i])
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

// ruleOut fails jobs that cost more than a lowered Burst, some at a time.
func (l *loop[T]) ruleOut(now int64) {
	l.ruling = l.sched.RuleOut(now, blockSize, func(j *schedule.Job) {
		e := entryOf[T](j)
		l.drop(e, l.lastOf(e), Failed, backend.Validate(l.sched.Request(j, nil)))
	})
}
