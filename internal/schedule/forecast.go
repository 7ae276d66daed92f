package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
)

// Expected is a start in a forecast.
type Expected struct {
	Job  *Job // a job of the forecast: its Key and Priority are those of the real job
	Slot int64

	// Binding is the limit for which the job waited longest while it was the head of its lane.
	// Bound is false if there was none, or if the job waited longer for something else, such
	// as a worker.
	Binding string
	Bound   bool
}

// Forecast plays a snapshot to its end, as if each job ran for takes nanoseconds and nothing else
// happened. It calls each for every start, in order, until each returns false. It is slow, and
// does not touch the scheduler of the snapshot.
func (snap *Snapshot) Forecast(takes int64, each func(Expected) bool) Unstarted {
	for _, e := range snap.started {
		if !each(e) {
			return Unstarted{}
		}
	}
	s, running, _ := snap.scheduler(nil)
	return s.play(snap.now, running, takes, each)
}

// Unstarted counts the jobs that do not start in a forecast.
type Unstarted struct {
	Expired int // by their deadlines
	Failed  int // cost more than the Burst of a limit
	Stuck   int // are paused, or would start over 100 years from now
}

// ForecastOf is Forecast up to the start of one job. It returns false if the job does not start.
func (snap *Snapshot) ForecastOf(target *Job, takes int64) (e Expected, ok bool) {
	s, running, stand := snap.scheduler(target)
	if stand == nil {
		return e, false
	}
	s.play(snap.now, running, takes, func(x Expected) bool {
		if x.Job == stand {
			e, ok = x, true
		}
		return !ok
	})
	return e, ok
}

// Play plays all that waits to its end, from an instant on: see [Snapshot.Forecast].
func (s *Scheduler) Play(now, takes int64, each func(Expected) bool) Unstarted {
	return s.play(now, nil, takes, each)
}

// play stands in for the caller, the clock and a backend that grants everything. The jobs in
// running run at first, in the order of their slots, and so of their ends.
func (s *Scheduler) play(now int64, running []*Job, takes int64, each func(Expected) bool) (u Unstarted) {
	defer func() { u.Stuck = s.jobs }()
	end := now + int64(gcra.MaxSpan) // beyond, instants overflow
	first := 0                       // of running
	s.RemoveImpossible(now, math.MaxInt, func(*Job) { u.Failed++ })
	s.startWaitLogs()
	for {
		for first < len(running) && running[first].Slot+takes <= now {
			s.Finished(now, running[first], false)
			running[first] = nil
			first++
		}
		if first == len(running) {
			running, first = running[:0], 0
		}
		u.Expired += s.expireAll(now)
		for {
			j, ask := s.Next(now)
			if j == nil {
				break
			}
			e := Expected{Job: j, Slot: j.Slot}
			if ask {
				if lim := j.lane.waitLog().binding(j.Slot); lim != nil {
					e.Binding, e.Bound = lim.keyState.key, true
				}
				s.Granted(now, j, j.Slot)
			}
			if !each(e) {
				return u
			}
			running = append(running, j)
		}
		u.Expired += s.expireAll(now)
		at, ok := s.Wake()
		if first < len(running) {
			if over := running[first].Slot + takes; !ok || over < at {
				at, ok = over, true
			}
		}
		if !ok || at > end {
			return u
		}
		now = max(now, at)
	}
}

// expireAll drops the jobs that have expired, and returns how many there were.
func (s *Scheduler) expireAll(now int64) (n int) {
	for s.Expired(now) != nil {
		n++
	}
	return n
}
