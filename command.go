package dispatcher

import "context"

// command is something for the loop to do, once it has taken in the jobs that were
// submitted before.
type command[T any] struct {
	after uint64 // jobs that have been taken in
	do    func(l *loop[T], now int64)
}

// command has the loop do something. It does not wait for it.
func (d *Dispatcher[T]) command(do func(l *loop[T], now int64)) {
	d.mu.Lock()
	if !d.over {
		d.post(do)
	}
	d.mu.Unlock()
	d.signal()
}

// post puts a command into the inbox. It requires that mu is held.
func (d *Dispatcher[T]) post(do func(l *loop[T], now int64)) {
	d.plain.open = false
	d.inbox.commands = append(d.inbox.commands, command[T]{d.submitted, do})
}

// ask has the loop find something out, and waits for that: for Run, if it has not been
// called. The error is that of ctx, or ErrClosed when Run stops: it may wait for the
// handler that asks.
func ask[T, R any](ctx context.Context, d *Dispatcher[T], find func(l *loop[T], now int64) R) (R, error) {
	reply := make(chan R, 1)
	d.command(func(l *loop[T], now int64) { reply <- find(l, now) })
	var none R
	select {
	case r := <-reply:
		return r, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-d.deaf:
	}
	select {
	case r := <-reply:
		return r, nil
	default:
		return none, ErrClosed
	}
}

// obey does what was commanded, as far as the jobs that were submitted before have
// been taken in.
func (l *loop[T]) obey(now int64) {
	n := 0
	for n < len(l.commands) && l.commands[n].after <= l.taken {
		l.commands[n].do(l, now)
		l.commands[n].do = nil
		n++
	}
	if l.commands = l.commands[n:]; len(l.commands) == 0 {
		l.commands = nil
	}
}
