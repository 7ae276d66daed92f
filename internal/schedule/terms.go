package schedule

import (
	"slices"

	"github.com/freqlimit/dispatcher/backend"
)

// terms is the limits of a job. Jobs of a lane that follow each other mostly are
// under the same ones, and share them.
type terms struct {
	limits []backend.Limit // as they were named
	under  []*limit        // what the scheduler knows of each
	one    [1]*limit       // the memory of under, if it is no more
	jobs   int32           // that have not ended
	costly bool            // they have a bill: see costly.go
}

// agree returns the terms of a job with these limits that comes behind another,
// if last is not nil. A limit has one set of params, the newest: those named
// here.
func (s *Scheduler) agree(now int64, limits []backend.Limit, last *Job) *terms {
	if len(limits) == 0 {
		return nil
	}
	var t *terms
	if last != nil && last.sharesTerms() && slices.Equal(last.terms.limits, limits) {
		t = last.terms
	} else {
		t = s.resolve(limits)
		s.appraise(t)
	}
	for i, lim := range t.under {
		s.setParams(now, lim, limits[i].Params)
	}
	t.jobs++
	return t
}

// sharesTerms reports whether jobs behind this one may have its terms too.
func (j *Job) sharesTerms() bool {
	return j.terms != nil && !j.gone() && !(j.terms.costly && j.hasDates())
}

// resolve finds the limits that a job names.
func (s *Scheduler) resolve(limits []backend.Limit) *terms {
	t := &terms{limits: slices.Clone(limits)}
	if t.under = t.one[:0]; len(limits) > len(t.one) {
		t.under = make([]*limit, 0, len(limits))
	}
	for i := range limits {
		lim := s.limitOf(limits[i].Key)
		lim.terms++
		t.under = append(t.under, lim)
	}
	return t
}

// over gives up the terms of a job that has ended.
func (s *Scheduler) over(j *Job) {
	if j.hasDates() {
		s.dated.Delete(j)
	}
	t := j.terms
	if t == nil {
		return
	}
	if t.jobs--; t.jobs > 0 {
		return
	}
	if t.costly {
		s.worthless(t)
	}
	for _, lim := range t.under {
		lim.terms--
		s.unused(lim)
	}
}
