package schedule

import "fmt"

// Order says which of the eligible heads of one priority starts first.
type Order uint8

const (
	// Fair starts the lane that has been ready longest: the one whose head's limits
	// opened first, as they stood when it became the head.
	Fair Order = iota

	// FIFO starts the job that was submitted first.
	FIFO

	// Backlog starts the lane with the most jobs, so that all jobs are done soonest.
	Backlog
)

// String returns the name of the order, in lower case.
func (o Order) String() string {
	switch o {
	case Fair:
		return "fair"
	case FIFO:
		return "fifo"
	case Backlog:
		return "backlog"
	}
	return fmt.Sprintf("Order(%d)", uint8(o))
}

// rank is what lanes are ranked by, before the submission of their heads.
type rank struct {
	by       int64 // by the order, least first
	priority int   // of the lane, for good: other goroutines read it
}

// before reports whether a lane that has a head ranks before another. No two rank
// the same, since no two jobs have one seq.
func (l *lane) Before(o *lane) bool {
	switch {
	case l.rank.priority != o.rank.priority:
		return l.rank.priority > o.rank.priority
	case l.rank.by != o.rank.by:
		return l.rank.by < o.rank.by
	}
	return l.head.before(o.head)
}

// Position implements [pqueue.Element], for the lanes of a cohort.
func (l *lane) Position() *int32 { return &l.pos }

// rerankHead gives a lane the rank that its head has. A head that is not fresh
// has been ready for as long as before.
func (s *Scheduler) rerankHead(l *lane, ready int64, fresh bool) {
	switch s.cfg.Order {
	case Fair:
		if fresh {
			l.rank.by = ready
		}
	case FIFO:
		l.rank.by = l.head.Arrival
	case Backlog:
		l.rank.by = -int64(l.length)
	}
}
