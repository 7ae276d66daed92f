package schedule

import "fmt"

// Order says which of the eligible heads starts first, after priority.
type Order uint8

const (
	// Fair is the lane that has been ready longest: the one whose head's limits
	// opened first, as they stood when it became the head.
	Fair Order = iota

	// FIFO is the job that was submitted first.
	FIFO

	// Backlog is the lane with the most jobs: all is done soonest.
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

// rank is a lane's place among all. No two ranks are equal, since no two jobs
// have one seq.
type rank struct {
	priority int
	by       int64 // what the order goes by, least first
	seq      uint64
}

func (a rank) before(b rank) bool {
	switch {
	case a.priority != b.priority:
		return a.priority > b.priority
	case a.by != b.by:
		return a.by < b.by
	}
	return a.seq < b.seq
}

// rankOf returns the rank of a lane that has a head.
func (s *Scheduler) rankOf(l *lane) rank {
	r := rank{priority: l.priority, seq: l.head.seq}
	switch s.cfg.Order {
	case Fair:
		r.by = l.ready
	case Backlog:
		r.by = -int64(l.length)
	}
	return r
}
