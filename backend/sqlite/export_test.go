package sqlite

import (
	"context"
	"fmt"
)

// SetCheckpointPages makes files that are opened from now on copy their log more often.
func SetCheckpointPages(n int) { checkpointPages = n }

// SetSweepFrom makes the sweep of classes begin with fewer of them.
func SetSweepFrom(n int) { sweepFrom = n }

// Exec runs SQL on the connection that writes, between two transactions.
func (b *Backend) Exec(script string) error {
	return b.do(context.Background(), &execOp{func(c *conn) error { return c.script(script) }})
}

// Value returns the only value of a query on the connection that writes.
func (b *Backend) Value(query string) (v string, err error) {
	err = b.do(context.Background(), &execOp{func(c *conn) error {
		got, err := c.value(query)
		v = fmt.Sprint(got)
		return err
	}})
	return v, err
}

type execOp struct{ f func(c *conn) error }

func (*execOp) decide(*Backend)     {}
func (*execOp) undo(*Backend)       {}
func (*execOp) weight() int         { return 1 }
func (o *execOp) store(t *tx) error { return o.f(t.b.writer) }

// Block keeps the writer busy until release is called, so that calls wait together.
func (b *Backend) Block() (release func()) {
	o := &blockOp{began: make(chan struct{}), end: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- b.do(context.Background(), o) }()
	<-o.began
	return func() {
		close(o.end)
		<-done
	}
}

// Waiting returns how many calls wait for the writer.
func (b *Backend) Waiting() int {
	b.calls.mu.Lock()
	defer b.calls.mu.Unlock()
	return len(b.calls.list)
}

type blockOp struct{ began, end chan struct{} }

func (o *blockOp) decide(*Backend) {
	close(o.began)
	<-o.end
}
func (*blockOp) undo(*Backend)   {}
func (*blockOp) weight() int     { return mostWeight }
func (*blockOp) store(*tx) error { return nil }
