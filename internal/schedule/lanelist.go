package schedule

import (
	"iter"
	"math"

	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// The jobs of a lane are ordered by arrival, and jobs that arrived at the same instant by
// submission. Most jobs arrive when they are submitted, one behind the other: they form a list
// from the head to the tail of the lane. A job that belongs between two jobs of the list is a
// stray: it is set aside, in a queue, until it is the head.

// aside is the jobs of a lane that are not in its list.
type aside struct {
	strays   pqueue.Queue[*stray] // jobs that have arrived, in their order
	asleep   *dated               // jobs that arrive at their dates, in any order
	sleepers int                  // how many these are
}

// stray is a job in aside.strays.
type stray dated

func (d *stray) Before(o *stray) bool { return d.job.before(o.job) }
func (d *stray) Position() *int32     { return &d.strayPos }

func (a *aside) empty() bool { return a.asleep == nil && a.strays.Len() == 0 }

// append puts a job behind all others of the list.
func (l *lane) append(j *Job) {
	j.lane, j.next = l, nil
	if l.tail == nil {
		l.head = j
	} else {
		l.tail.next = j
	}
	l.tail = j
	l.length++
}

// insert puts a job into its place. A head that asks stays the head. If the job comes before a
// head that waits, the lane must be parked.
func (s *Scheduler) insert(l *lane, j *Job) {
	switch {
	case l.head == nil:
		l.append(j)
	case l.state != asking && j.before(l.head):
		if old := l.head; old.hasDates() {
			// In the list it might be in the way of jobs that come now and belong
			// before it.
			l.unlink()
			l.stray(s.datesOf(old))
			l.length--
		}
		j.lane, j.next = l, nil
		l.prepend(j)
		l.length++
	case !j.hasDates() && l.tail.before(j):
		l.append(j)
	default:
		j.lane, j.next = l, nil
		l.stray(s.date(j))
	}
}

// prepend puts a job before all others of the list.
func (l *lane) prepend(j *Job) {
	j.next = l.head
	l.head = j
	if l.tail == nil {
		l.tail = j
	}
}

// unlink takes the head out of the list.
func (l *lane) unlink() {
	j := l.head
	l.head = j.next
	for l.head != nil && l.head.gone() {
		next := l.head.next
		l.head.next = nil // a handle may keep the one that is gone
		l.head = next
		l.gone--
	}
	if l.head == nil {
		l.tail = nil
	}
	j.next = nil
}

// stray sets aside a job that has arrived.
func (l *lane) stray(d *dated) {
	d.strays = true
	l.ensureRare().aside.strays.Push((*stray)(d))
	l.length++
}

// unstray is the opposite of stray.
func (l *lane) unstray(d *dated) {
	d.strays = false
	l.rare.aside.strays.Remove((*stray)(d))
	l.length--
	l.tidy()
}

// overtaken reports whether a stray belongs before the head.
func (l *lane) overtaken() bool {
	a := l.aside()
	return a != nil && a.strays.Len() > 0 && a.strays.Top().job.before(l.head)
}

// pop takes out the head.
func (l *lane) pop() *Job {
	j := l.head
	l.unlink()
	l.length--
	l.surface()
	return j
}

// surface makes the first stray the head, if it belongs there.
func (l *lane) surface() {
	if l.head == nil && l.length > 0 || l.head != nil && l.overtaken() {
		d := (*dated)(l.rare.aside.strays.Top())
		l.unstray(d)
		l.prepend(d.job)
		l.length++
	}
}

// others iterates over the jobs that are set aside.
func (l *lane) others() iter.Seq[*dated] {
	return func(yield func(*dated) bool) {
		a := l.aside()
		if a == nil {
			return
		}
		for d := range a.strays.All() {
			if !yield((*dated)(d)) {
				return
			}
		}
		for d := a.asleep; d != nil; d = d.next {
			if !yield(d) {
				return
			}
		}
	}
}

// lose takes out a job that is not the head. If the job right before it is known, it leaves the
// list. Otherwise it stays in the list, marked as gone, until it is the head or many are gone.
func (l *lane) lose(j, before *Job) {
	l.length--
	if before != nil {
		before.next, j.next = j.next, nil
		if l.tail == j {
			l.tail = before
		}
		return
	}
	j.seq |= goneBit
	l.gone++
	if l.gone == math.MaxUint16 || l.gone > fewGone && int32(l.gone) > l.length {
		l.sweep()
	}
}

// fewGone is up to how many jobs that are gone stay in a lane without a sweep.
const fewGone = 64

// sweep takes out the jobs that are gone.
func (l *lane) sweep() {
	last := l.head
	for j := l.head.next; j != nil; {
		next := j.next
		if j.gone() {
			j.next = nil // a handle may keep it
		} else {
			last.next, last = j, j
		}
		j = next
	}
	last.next = nil
	l.tail, l.gone = last, 0
}

// sleep sets aside a job that arrives at its date.
func (l *lane) sleep(d *dated) {
	d.job.lane = l
	a := &l.ensureRare().aside
	if d.next = a.asleep; d.next != nil {
		d.next.prev = d
	}
	a.asleep = d
	a.sleepers++
}

// wake is the opposite of sleep.
func (l *lane) wake(d *dated) {
	if d.prev != nil {
		d.prev.next = d.next
	} else {
		l.rare.aside.asleep = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	}
	d.prev, d.next = nil, nil
	l.rare.aside.sleepers--
	l.tidy()
}
