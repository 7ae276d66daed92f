package schedule

import (
	"math"

	"github.com/freqlimit/dispatcher/gcra"
)

// Expected is a start that is to be expected.
type Expected struct {
	Job  *Job // in the forecast: Key and Priority are those of the real one
	Slot int64

	// Binding is the limit that kept the job, as the head of its lane, waiting for longest.
	// Bound is false if there was none, or if the job waited for longer for something else,
	// such as a worker.
	Binding string
	Bound   bool
}

// Forecast plays an image to its end, if each job runs for takes nanoseconds and
// nothing else happens, and calls each for every start, in their order, until it
// returns false. It is slow, and touches nothing of the scheduler that the image is of.
func (im *Image) Forecast(takes int64, each func(Expected) bool) Unstarted {
	for _, e := range im.started {
		if !each(e) {
			return Unstarted{}
		}
	}
	s, running, _ := im.scheduler(nil)
	return s.play(im.now, running, takes, each)
}

// Unstarted is how many jobs have no start in a forecast.
type Unstarted struct {
	Expired int // by their deadlines
	Failed  int // cost more than the Burst of a limit
	Stuck   int // are paused, or would start over 100 years from now
}

// ForecastOf is Forecast, up to the start of one job; false if it expires or does not
// start.
func (im *Image) ForecastOf(target *Job, takes int64) (e Expected, ok bool) {
	s, running, stand := im.scheduler(target)
	if stand == nil {
		return e, false
	}
	s.play(im.now, running, takes, func(x Expected) bool {
		if x.Job == stand {
			e, ok = x, true
		}
		return !ok
	})
	return e, ok
}

// Play plays all that waits to its end, from an instant on: see [Image.Forecast].
func (s *Scheduler) Play(now, takes int64, each func(Expected) bool) Unstarted {
	return s.play(now, nil, takes, each)
}

// play takes the place of the caller, the clock and a backend that grants all it is
// asked for. Some jobs run at first; running is in the order of slots, and so of ends.
func (s *Scheduler) play(now int64, running []*Job, takes int64, each func(Expected) bool) (u Unstarted) {
	defer func() { u.Stuck = s.jobs }()
	end := now + int64(gcra.MaxSpan) // beyond, instants overflow
	first := 0                       // of running
	s.RuleOut(now, math.MaxInt, func(*Job) { u.Failed++ })
	s.watchStays()
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
				if lim := j.lane.stay().binding(j.Slot); lim != nil {
					e.Binding, e.Bound = lim.name.key, true
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

// expireAll returns how many jobs have expired.
func (s *Scheduler) expireAll(now int64) (n int) {
	for s.Expired(now) != nil {
		n++
	}
	return n
}
