package sqlite

import (
	"context"
	"errors"
	"sync"
)

// op is what a call does. All of its methods are called by the writer.
type op interface {
	// decide makes the change in memory. It is called once.
	decide(b *Backend)

	// store makes the change in the file. If another call of the transaction fails, it is called again
	// in a new one.
	store(t *tx) error

	// undo takes back what decide has done, because the change is not stored.
	undo(b *Backend)

	// weight is about how many rows the call changes.
	weight() int
}

// call is a call of a method that writes, on its way to the writer and back.
type call struct {
	op
	err  error         // set before done is closed
	done chan struct{} // closed when the call has ended
}

// mostWeight ends a group: a few tens of milliseconds of work.
const mostWeight = 4096

// calls are those that wait for the writer.
type calls struct {
	mu     sync.Mutex
	list   []*call
	closed bool
	wake   chan struct{} // holds one token if list or closed may have changed
}

// do makes the writer run an op, together with all those that wait at that moment, and waits for
// it. A call whose context ends before the writer takes it does nothing.
func (b *Backend) do(ctx context.Context, o op) error {
	if err := enter(ctx); err != nil {
		return err
	}
	c := &call{op: o, done: make(chan struct{})}
	if !b.calls.add(c) {
		return ErrClosed
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if b.calls.remove(c) {
			return ctx.Err()
		}
		// The writer has it, with slices that are the caller's: the end is near.
		<-c.done
	}
	return wrap(b.path, c.err)
}

// errContext is the error for a nil context.
var errContext = errors.New("sqlite: ctx is nil: must be given, for example context.Background()")

// enter is called first by all methods that take a context.
func enter(ctx context.Context) error {
	if ctx == nil {
		return errContext
	}
	return ctx.Err()
}

// add reports whether the calls are not closed.
func (q *calls) add(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.list = append(q.list, c)
	q.signal()
	return true
}

// remove reports whether the writer has not taken the call.
func (q *calls) remove(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.list {
		if other == c {
			q.list = append(q.list[:i], q.list[i+1:]...)
			return true
		}
	}
	return false
}

func (q *calls) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *calls) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take appends the calls of the next group to group. last says that there will be no more.
func (q *calls) take(group []*call) (_ []*call, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for weight := 0; n < len(q.list) && weight < mostWeight; n++ {
		weight += q.list[n].weight()
	}
	group = append(group, q.list[:n]...)
	rest := copy(q.list, q.list[n:])
	clear(q.list[rest:])
	q.list = q.list[:rest]
	return group, q.closed && rest == 0
}

// write runs until the calls are closed and done.
func (b *Backend) write() {
	var group []*call
	groups := 0
	for last := false; !last; {
		group, last = b.calls.take(group[:0])
		busy := len(group) > 0
		if busy {
			b.commit(group)
			clear(group)
			groups++
		}
		if busy && groups%tidyEvery != 0 || last {
			continue
		}
		if more := b.tidy(); !more && !busy {
			<-b.calls.wake
		}
	}
}

// tidyEvery is after how many transactions the writer tidies up, if it is never idle.
const tidyEvery = 64

// commit runs the calls of a group in one transaction. If one of them fails, the others are made
// without it.
func (b *Backend) commit(group []*call) {
	for _, c := range group {
		c.decide(b)
	}
	err := b.transact(func(t *tx) error {
		for _, c := range group {
			if err := c.store(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && len(group) > 1 {
		err = b.transact(func(t *tx) error {
			for _, c := range group {
				if c.err != nil {
					continue
				}
				if err := t.attempt(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, c := range group {
		if err != nil && c.err == nil {
			c.err = err
			c.undo(b)
		}
		close(c.done)
	}
}
