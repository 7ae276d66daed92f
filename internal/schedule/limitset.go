package schedule

import (
	"slices"

	"github.com/freqlimit/dispatcher/backend"
)

// limitSet is the limits of a job. Jobs that follow each other in a lane are mostly
// under the same limits: then they share one limitSet.
type limitSet struct {
	limits []backend.Limit // as they were named
	under  []*limit        // what the scheduler knows of each
	jobs   int32           // that have not ended
	costly bool            // it has a costlySet: see costly.go
}

// intern returns the limit set of a job with these limits. If last, the job in front of it, has equal
// limits, they share its set. Each limit takes on the params given here: a limit has one set of
// params, the newest.
func (s *Scheduler) intern(now int64, limits []backend.Limit, last *Job) *limitSet {
	if len(limits) == 0 {
		return nil
	}
	var t *limitSet
	if last != nil && last.sharesSet() && slices.Equal(last.set.limits, limits) {
		t = last.set
	} else {
		t = s.resolve(limits)
		s.addCostlySet(t)
	}
	for i, lim := range t.under {
		s.setParams(now, lim, limits[i].Params)
	}
	t.jobs++
	return t
}

// sharesSet reports whether jobs behind this one may share its limit set.
func (j *Job) sharesSet() bool {
	return j.set != nil && !j.gone() && !(j.set.costly && j.hasDates())
}

// resolve finds the limits that a job names. It keeps the slice, without what is behind its end:
// users who append to the limits of a job must not write there.
func (s *Scheduler) resolve(limits []backend.Limit) *limitSet {
	t := newLimitSet(slices.Clip(limits))
	for i := range limits {
		lim := s.limitOf(limits[i].Key)
		lim.sets++
		t.under = append(t.under, lim)
	}
	return t
}

// newLimitSet returns a limit set with memory for its under. The memory of limits must stay
// apart: users keep it, in jobs that have ended, and must not keep the scheduler with it.
func newLimitSet(limits []backend.Limit) *limitSet {
	switch len(limits) {
	case 1:
		var m struct {
			limitSet
			under [1]*limit
		}
		m.limits, m.limitSet.under = limits, m.under[:0]
		return &m.limitSet
	case 2:
		var m struct {
			limitSet
			under [2]*limit
		}
		m.limits, m.limitSet.under = limits, m.under[:0]
		return &m.limitSet
	}
	return &limitSet{limits: limits, under: make([]*limit, 0, len(limits))}
}

// releaseSet gives up the limit set and the dates of a job that has ended.
func (s *Scheduler) releaseSet(j *Job) {
	if j.hasDates() {
		s.dated.Delete(j)
	}
	t := j.set
	if t == nil {
		return
	}
	if t.jobs--; t.jobs > 0 {
		return
	}
	if t.costly {
		s.dropCostlySet(t)
	}
	for _, lim := range t.under {
		lim.sets--
		s.unused(lim)
	}
}
