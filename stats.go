package dispatcher

import (
	"sync/atomic"
	"time"
)

// Stats are the figures of a dispatcher: see [Dispatcher.Stats].
type Stats struct {
	Waiting int // accepted jobs that no worker has begun, those of earlier processes included
	Running int // jobs whose handlers have not returned
	Workers int // goroutines for handlers; 0 after Run

	Submitted uint64 // jobs accepted
	Retried   uint64 // times that a job went back to run again
	Replaced  uint64 // payloads put into a job that waited: see [ReplacePayload]

	// Jobs that have ended, by outcome. With Waiting and Running they add up to
	// Submitted, except for what happens while Stats looks.
	Succeeded, Failed, Panicked, Dropped, Expired, Canceled, Uncertain uint64

	// Lateness counts how long after their slots jobs were started. It counts only jobs with
	// limits or dates: others have nothing to be on time for.
	Lateness Histogram

	// Outage describes a failing backend; nil while it works. Jobs with limits wait
	// until it recovers.
	Outage *Outage
}

// Outage describes a failing backend.
type Outage struct {
	Since time.Time // the first failure
	Err   error     // the error of the first failure
}

type counts struct {
	retried                              atomic.Uint64
	succeeded, failed, panicked, dropped atomic.Uint64
	expired, canceled, uncertain         atomic.Uint64
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
	case Uncertain:
		return &c.uncertain
	default:
		return &c.dropped
	}
}

// Stats returns the present figures. It is cheap.
func (d *Dispatcher[T]) Stats() Stats {
	if d.isZero() {
		return Stats{}
	}
	d.engine.Lock()
	replaced := d.replaced
	d.engine.Unlock()
	f := d.engine.Figures()
	stats := Stats{
		Waiting:   f.Waiting,
		Running:   f.Running,
		Workers:   f.Workers,
		Submitted: f.Submitted,
		Replaced:  replaced,
		Retried:   d.counts.retried.Load(),
		Succeeded: d.counts.succeeded.Load() + f.FastSucceeded,
		Failed:    d.counts.failed.Load(),
		Panicked:  d.counts.panicked.Load(),
		Dropped:   d.counts.dropped.Load(),
		Expired:   d.counts.expired.Load(),
		Canceled:  d.counts.canceled.Load(),
		Uncertain: d.counts.uncertain.Load(),
		Lateness:  readHistogram(d.engine.Lateness()),
	}
	if k := d.kept; k != nil {
		d.engine.Lock()
		stats.Waiting = max(k.count-stats.Running, 0)
		d.engine.Unlock()
	}
	if o := d.engine.Outage(); o != nil {
		stats.Outage = &Outage{Since: o.Since, Err: o.Err}
	}
	return stats
}
