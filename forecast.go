package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Forecast is what is to be expected of jobs at the present limits, if nothing else
// happens: no more jobs, none that is retried, no other users of the limits.
type Forecast struct {
	Jobs    int // that will start
	Expired int // that will not, by their deadlines
	Failed  int // that will not: they cost more than the Burst of one of their limits
	Stuck   int // that will not, or not within 100 years: they are paused or very slow

	// Last is how long it takes until the last one has started, from now on.
	Last time.Duration

	// Curve is how many will have started after some times, up to Last, at most
	// 1,000 points. Between them it goes steadily.
	Curve []Point
}

// Point is one of a [Forecast.Curve].
type Point struct {
	After   time.Duration
	Started int
}

// Forecast says when the jobs will start that wait, if each runs for takes: those that waited
// at an instant between the call and its return. It plays them in virtual time, some
// microseconds a job, in the goroutine of the caller. Before, the goroutine that schedules
// copies what waits, a microsecond or two a job, a few jobs at a time, so that it makes no
// start late by more than a fraction of a millisecond. What starts meanwhile is told as it
// was; jobs that come meanwhile are left out. Calls at one time share a copy.
//
// For a backend in this process, with jobs that take that long, it is as exact as
// Config.Horizon; with one that others use, it is a guess. A job without limits that runs is
// taken to have just begun.
//
// It waits for Run, if that has not been called. The error is that of ctx, or
// [ErrClosed] once Run stops.
func (d *Dispatcher[T]) Forecast(ctx context.Context, takes time.Duration) (Forecast, error) {
	return d.forecast(ctx, takes, func(schedule.Expected) bool { return true })
}

// ForecastKey is [Dispatcher.Forecast] of the jobs of one key, among all others. What
// expires, fails or is stuck is not told by key.
func (d *Dispatcher[T]) ForecastKey(ctx context.Context, key string, takes time.Duration) (Forecast, error) {
	f, err := d.forecast(ctx, takes, func(e schedule.Expected) bool { return e.Job.Key() == key })
	f.Expired, f.Failed, f.Stuck = 0, 0, 0
	return f, err
}

func (d *Dispatcher[T]) forecast(ctx context.Context, takes time.Duration, of func(schedule.Expected) bool) (Forecast, error) {
	if err := d.check(ctx); err != nil {
		return Forecast{}, err
	}
	type image struct {
		*schedule.Image
		begun int64
	}
	im, err := ask(ctx, d, func(l *loop[T], _ int64, reply chan<- image) {
		l.looks.pending = append(l.looks.pending, func(_ *loop[T], im *schedule.Image, begun int64) { reply <- image{im, begun} })
	})
	if err != nil {
		return Forecast{}, fmt.Errorf("dispatcher: forecast: %w", err)
	}
	c := curve{begin: im.begun}
	u := im.Image.Forecast(played(takes), func(e schedule.Expected) bool {
		if of(e) {
			c.add(e.Slot)
		}
		return ctx.Err() == nil
	})
	if ctx.Err() != nil {
		return Forecast{}, fmt.Errorf("dispatcher: forecast: %w", context.Cause(ctx))
	}
	return c.forecast(u), nil
}

// played returns how long jobs are to take in virtual time.
func played(takes time.Duration) int64 { return int64(min(max(takes, 0), backend.Unlimited)) }

// Plan says how long jobs would take that have not been submitted, at full limits: by a
// dispatcher with this Config and a backend in this process, if each job runs for takes.
// It needs some microseconds a job, and no time passes for it. A job whose limits or
// options Submit would refuse is the error; Config.Capacity and equal IDs do not matter. Nil
// jobs are a [*ConfigError].
func Plan[T any](cfg Config[T], jobs iter.Seq[Job[T]], takes time.Duration) (Forecast, error) {
	cfg, err := cfg.withDefaults(nil)
	if err != nil {
		return Forecast{}, err
	}
	if jobs == nil {
		return Forecast{}, errNil("jobs")
	}
	s := schedule.New(schedule.Config{Workers: cfg.Workers, Order: schedule.Order(cfg.Order), Serial: cfg.Serial})
	now, n := time.Now(), 0
	for job := range jobs {
		if err := plan(&cfg, s, now, &job); err != nil {
			return Forecast{}, fmt.Errorf("dispatcher: plan: job %d: %w", n, err)
		}
		n++
	}
	c := curve{}
	u := s.Play(0, played(takes), func(e schedule.Expected) bool {
		c.add(e.Slot)
		return true
	})
	return c.forecast(u), nil
}

// plan submits a job to a scheduler in virtual time, whose instant 0 is now.
func plan[T any](cfg *Config[T], s *schedule.Scheduler, now time.Time, job *Job[T]) error {
	if err := job.Options.validate(); err != nil {
		return err
	}
	limits := job.Limits
	switch {
	case limits != nil:
	case cfg.Limits != nil:
		var err error
		if limits, err = cfg.callLimits(job.Key, job.Payload); err != nil {
			return err
		}
	case cfg.Params != gcra.FreqLimitParams{}:
		limits = []Limit{{Key: job.Key, Params: cfg.Params}}
	}
	if err := backend.Validate(limits); err != nil {
		return err
	}
	s.SubmitDated(0, new(schedule.Job), job.Key, job.Priority, limits, job.Options.dates(now, 0))
	return nil
}

// curve counts starts, and keeps a number of points that does not grow with them.
type curve struct {
	begin  int64
	n      int
	last   int64
	every  int // starts from point to point
	points []Point
}

const mostPoints = 1000

func (c *curve) add(slot int64) {
	c.n++
	c.last = slot
	c.every = max(c.every, 1)
	if c.n%c.every != 0 {
		return
	}
	c.points = append(c.points, Point{time.Duration(slot - c.begin), c.n})
	if len(c.points) == mostPoints {
		for i := range mostPoints / 2 {
			c.points[i] = c.points[2*i+1]
		}
		c.points = c.points[:mostPoints/2]
		c.every *= 2
	}
}

func (c *curve) forecast(u schedule.Unstarted) Forecast {
	f := Forecast{Jobs: c.n, Expired: u.Expired, Failed: u.Failed, Stuck: u.Stuck, Curve: c.points}
	if c.n > 0 {
		f.Last = time.Duration(c.last - c.begin)
		if k := len(c.points); k == 0 || c.points[k-1].Started < c.n {
			f.Curve = append(f.Curve, Point{f.Last, c.n})
		}
	}
	return f
}

// Estimate is when a job is to be expected to start.
type Estimate struct {
	Start time.Time

	// Limit is the key of the limit that binds it: that keeps it, when it is the next
	// of its key, waiting for longest. Bound is false if it waits for longer for something
	// else, such as a worker or its date, or for nothing.
	Limit string
	Bound bool
}

// ErrNoStart is returned by [Handle.Estimate] for a job that will not start, as far as
// is known: it has ended, is paused, its deadline comes first, or the start is over 100
// years away.
var ErrNoStart = errors.New("dispatcher: no start is to be expected")

// Estimate says when the job will start, if jobs take no time: see
// [Dispatcher.Forecast] for what that costs and for the errors. For a job that runs it
// is when it did.
func (h *Handle[T]) Estimate(ctx context.Context) (Estimate, error) {
	type found struct {
		*schedule.Image
		slot int64
	}
	if err := h.check(ctx); err != nil {
		return Estimate{}, err
	}
	e := h.entry
	if h.hasEnded() {
		return Estimate{}, ErrNoStart
	}
	// Where the job is when the image is there: it may have started meanwhile.
	find := func(im *schedule.Image) found {
		switch e.extra.stage {
		case stageComing, stageWorking:
			return found{slot: e.sched.Slot}
		case stageWaiting, stageAsking:
			return found{Image: im}
		}
		return found{slot: noSlot}
	}
	f, err := ask(ctx, h.d, func(l *loop[T], _ int64, reply chan<- found) {
		if s := e.extra.stage; s != stageWaiting && s != stageAsking {
			reply <- find(nil)
			return
		}
		l.looks.pending = append(l.looks.pending, func(_ *loop[T], im *schedule.Image, _ int64) { reply <- find(im) })
	})
	switch {
	case err != nil:
		return Estimate{}, fmt.Errorf("dispatcher: estimate: %w", err)
	case f.Image == nil && f.slot == noSlot:
		return Estimate{}, ErrNoStart
	case f.Image == nil:
		return Estimate{Start: h.d.epoch.Add(time.Duration(f.slot))}, nil
	}
	x, ok := f.ForecastOf(&e.sched, 0)
	if !ok {
		return Estimate{}, ErrNoStart
	}
	return Estimate{Start: h.d.epoch.Add(time.Duration(x.Slot)), Limit: x.Binding, Bound: x.Bound}, nil
}
