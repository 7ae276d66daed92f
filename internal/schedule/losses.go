package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
)

// binding is the limit that opened last for a job that was taken.
type binding struct {
	limit *limit
	opens int64
	since int64 // when the job could have started without limits, but for its submission
}

// bind notes which limit binds the head of a lane that is being taken, if it has
// waited for one. Few do where limits rarely bind, hence a map and no field.
func (s *Scheduler) bind(l *lane) {
	b := binding{opens: math.MinInt64, since: max(l.lastSlot, s.notBefore(l), s.outage)}
	for i := range l.uses {
		if u := &l.uses[i]; u.index >= 0 && u.gate.slot() > b.opens {
			b.limit, b.opens = u.limit(), u.gate.slot()
		}
	}
	if b.opens <= b.since {
		return
	}
	if s.bound == nil {
		s.bound = make(map[*Job]binding)
	}
	s.bound[l.head] = b
}

// unbind forgets what bind noted.
func (s *Scheduler) unbind(j *Job) (b binding, waited bool) {
	if len(s.bound) == 0 {
		return b, false
	}
	b, waited = s.bound[j]
	delete(s.bound, j)
	return b, waited
}

// Lost is to be called before [Scheduler.Granted] for a job that was submitted at an
// instant: how long it has waited for the limit that opened last counts as lost to it.
func (s *Scheduler) Lost(j *Job, submitted int64) {
	b, waited := s.unbind(j)
	lost := b.opens - max(b.since, submitted)
	if !waited || lost <= 0 {
		return
	}
	if s.lost == nil {
		s.lost = make(map[string]loss)
	}
	key := b.limit.name.key
	s.lost[key] = loss{b.limit.params, s.lost[key].time + lost}
}

// loss is the time that jobs have waited for a limit, and its params then.
type loss struct {
	params gcra.FreqLimitParams
	time   int64
}

// Losses calls visit for each limit that jobs have waited for: nanoseconds, of all that
// were granted. Where there are many, those that are not in use and not in debt are left
// out.
func (s *Scheduler) Losses(visit func(key string, p gcra.FreqLimitParams, lost int64)) {
	for key, l := range s.lost {
		visit(key, l.params, l.time)
	}
}
