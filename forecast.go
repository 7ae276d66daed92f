package dispatcher

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/misuse"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Forecast says what to expect of jobs at the present limits if nothing else happens: no more
// jobs are submitted, none is retried, and nobody else uses the limits.
type Forecast struct {
	Jobs    int // that will start
	Expired int // that will not, by their deadlines
	Failed  int // that will not: they cost more than the Burst of one of their limits
	Stuck   int // that will not, or not within 100 years: they are paused or very slow

	// Last is the time from now until the last of these jobs has started.
	Last time.Duration

	// Curve says how many jobs will have started at several times up to Last, in at most 1,000
	// points. Between points, interpolate.
	Curve []Point
}

// Point is one of a [Forecast.Curve].
type Point struct {
	After   time.Duration
	Started int
}

// Forecast says when the waiting jobs will start, if each runs for takes. It plays them in
// virtual time in the caller's goroutine, at a few microseconds a job. Before that, the
// scheduling goroutine copies the waiting jobs, at a microsecond or two each, a few at a time,
// so that it delays no start by more than a fraction of a millisecond. The forecast is for one
// instant between the call and its return. Jobs submitted after that instant are left out.
// Concurrent calls share a copy.
//
// With a backend in this process and jobs that do run for takes, it is as exact as
// Config.Horizon. With a backend that others use, it is a guess. A running job without limits
// is assumed to have just begun.
//
// If Run has not been called, Forecast waits for it. If ctx ends first, the error matches its
// cause. Once Run stops it returns [ErrClosed].
func (d *Dispatcher[T]) Forecast(ctx context.Context, takes time.Duration) (Forecast, error) {
	return d.forecast(ctx, takes, func(schedule.Expected) bool { return true })
}

// ForecastKey is [Dispatcher.Forecast] for the jobs of one key, among all others. Its Expired,
// Failed and Stuck are zero.
func (d *Dispatcher[T]) ForecastKey(ctx context.Context, key string, takes time.Duration) (Forecast, error) {
	f, err := d.forecast(ctx, takes, func(e schedule.Expected) bool { return e.Job.Key() == key })
	f.Expired, f.Failed, f.Stuck = 0, 0, 0
	return f, err
}

func (d *Dispatcher[T]) forecast(ctx context.Context, takes time.Duration, of func(schedule.Expected) bool) (Forecast, error) {
	if err := d.check(ctx); err != nil {
		return Forecast{}, err
	}
	snap, begun, err := d.engine.Snapshot(ctx)
	if err != nil {
		return Forecast{}, fmt.Errorf("dispatcher: forecast: %w", err)
	}
	c := curve{begin: begun}
	u := snap.Forecast(played(takes), func(e schedule.Expected) bool {
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

// played returns how long jobs take in virtual time.
func played(takes time.Duration) int64 { return int64(min(max(takes, 0), backend.Unlimited)) }

// Plan forecasts jobs that have not been submitted: with this Config, a backend in this
// process, limits that have no debt, and jobs that each run for takes. It needs a few
// microseconds a job, and waits for nothing. If SubmitJob would refuse a job because of one of
// its fields, Plan returns that error; Config.Capacity and duplicate IDs don't matter. If jobs
// is nil, it returns a [*ConfigError].
func Plan[T any](cfg Config[T], jobs iter.Seq[Job[T]], takes time.Duration) (Forecast, error) {
	cfg, err := cfg.withDefaults(nil)
	if err != nil {
		return Forecast{}, err
	}
	if jobs == nil {
		return Forecast{}, misuse.Nil("jobs")
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
	o, err := optionsOf(job)
	if err != nil {
		return err
	}
	limits, err := cfg.limitsOf(job)
	if err != nil {
		return err
	}
	if limits == nil && cfg.Params != (gcra.FreqLimitParams{}) {
		limits = []Limit{{Key: job.Key, Params: cfg.Params}}
	}
	if err := backend.Validate(limits); err != nil {
		return err
	}
	if dates := o.dates(now); dates != nil {
		s.SubmitDated(0, new(schedule.Job), job.Key, job.Priority, limits, *dates)
	} else {
		s.Submit(0, new(schedule.Job), job.Key, job.Priority, limits)
	}
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

// Estimate says when a job is expected to start.
type Estimate struct {
	Start time.Time

	// Limit is the key of the limit that the job will wait for longest once it is the next of
	// its key. Bound is false if the job waits longer for something else, such as a worker or
	// its date, or for nothing.
	Limit string
	Bound bool
}

// Estimate says when the job will start, if jobs take no time. For a running job it says when
// it started. For the cost and the errors see [Dispatcher.Forecast]. If the job is not
// expected to start, the error is [ErrNoStart].
func (h *Handle[T]) Estimate(ctx context.Context) (Estimate, error) {
	if err := h.check(ctx); err != nil {
		return Estimate{}, err
	}
	if h.hasEnded() {
		return Estimate{}, ErrNoStart
	}
	e := h.job()
	is, err := h.d.engine.Find(ctx, &e.sched)
	switch {
	case err != nil:
		return Estimate{}, fmt.Errorf("dispatcher: estimate: %w", err)
	case is.HasSlot:
		return Estimate{Start: h.d.engine.Epoch().Add(time.Duration(is.Slot))}, nil
	case is.Snapshot == nil:
		return Estimate{}, ErrNoStart
	}
	x, ok := is.Snapshot.ForecastOf(&e.sched, 0)
	if !ok {
		return Estimate{}, ErrNoStart
	}
	return Estimate{Start: h.d.engine.Epoch().Add(time.Duration(x.Slot)), Limit: x.Binding, Bound: x.Bound}, nil
}
