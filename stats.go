package dispatcher

import (
	"sync/atomic"
	"time"
)

// Stats is what a dispatcher has done and has to do.
type Stats struct {
	Waiting int // accepted jobs that no worker has begun
	Running int // jobs whose handlers have not returned
	Workers int // goroutines that are there for handlers; none after Run

	Submitted uint64 // jobs accepted
	Retried   uint64 // times that a job was to run again
	Replaced  uint64 // payloads put into a job that waited, by Options.Replace

	// Jobs that have ended, by outcome. With Waiting and Running they add up to
	// Submitted, but for what happens while Stats looks.
	Succeeded, Failed, Panicked, Dropped, Expired, Canceled uint64

	// Lateness is how long after their slots the jobs were started that have limits
	// or dates: others have nothing to be on time for.
	Lateness Histogram

	// Away is nil while the backend answers. While it fails, jobs that have
	// limits wait.
	Away *Away
}

// Away says that the backend fails.
type Away struct {
	Since time.Time // when it failed first
	Err   error     // what it said then
}

type counts struct {
	retried                              atomic.Uint64
	succeeded, failed, panicked, dropped atomic.Uint64
	expired, canceled                    atomic.Uint64
	stopped                              atomic.Int64 // those that were dropped because Run's context ended
}

func (c *counts) of(o Outcome) *atomic.Uint64 {
	switch o {
	case Succeeded:
		return &c.succeeded
	case Failed:
		return &c.failed
	case Panicked:
		return &c.panicked
	case Expired:
		return &c.expired
	case Canceled:
		return &c.canceled
	default:
		return &c.dropped
	}
}

// Stats returns the present figures.
func (d *Dispatcher[T]) Stats() Stats {
	d.mu.Lock()
	submitted, replaced := d.submitted, d.replaced
	d.mu.Unlock()
	waiting, running, succeeded := d.present()
	return Stats{
		Waiting:   waiting,
		Running:   running,
		Workers:   int(d.workers.Load()),
		Submitted: submitted,
		Replaced:  replaced,
		Retried:   d.counts.retried.Load(),
		Succeeded: d.counts.succeeded.Load() + succeeded,
		Failed:    d.counts.failed.Load(),
		Panicked:  d.counts.panicked.Load(),
		Dropped:   d.counts.dropped.Load(),
		Expired:   d.counts.expired.Load(),
		Canceled:  d.counts.canceled.Load(),
		Lateness:  d.lateness.read(),
		Away:      d.away.Load(),
	}
}
