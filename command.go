package dispatcher

import "context"

// command has the loop do something, before it takes in any more jobs. It does not
// wait for it.
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
	d.stopExpress()
	d.inbox.commands = append(d.inbox.commands, do)
}

// commandsAtOnce is how many commands are obeyed at a time, so that a million make no start
// late.
const commandsAtOnce = 256

// obey does what was commanded first.
func (l *loop[T]) obey(now int64) {
	for range min(len(l.commands)-l.obeyed, commandsAtOnce) {
		l.commands[l.obeyed](l, now)
		l.commands[l.obeyed] = nil
		l.obeyed++
	}
	if l.obeyed == len(l.commands) {
		l.commands, l.obeyed = empty(l.commands), 0
	}
}

// question is something for the loop to find out, once it has taken in the jobs that
// were submitted before.
type question[T any] struct {
	after  uint64 // jobs that have been taken in
	answer func(l *loop[T], now int64)
}

// ask has the loop find something out, and waits for that: for Run, if it has not been
// called. It may take several steps: begin sees to it that somebody replies, once. The error
// is that of ctx, or ErrClosed when Run stops: it may wait for the handler that asks.
func ask[T, R any](ctx context.Context, d *Dispatcher[T], begin func(l *loop[T], now int64, reply chan<- R)) (R, error) {
	reply := make(chan R, 1)
	d.mu.Lock()
	if !d.over {
		d.stopExpress()
		d.inbox.questions = append(d.inbox.questions, question[T]{
			d.submitted, func(l *loop[T], now int64) { begin(l, now, reply) },
		})
	}
	d.mu.Unlock()
	d.signal()
	defer d.remindOf("a call")()
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

// answersAtOnce is how many questions are answered at a time, so that a million make no start
// late.
const answersAtOnce = 256

// hasAnswers reports whether there is a question that can be answered.
func (l *loop[T]) hasAnswers() bool {
	return len(l.commands) == 0 && len(l.questions) > 0 && l.questions[0].after <= l.taken
}

// answer answers what was asked, as far as the jobs that were submitted before have been
// taken in, and what was commanded has been done. It reports whether there is none left that
// can be answered.
func (l *loop[T]) answer(now int64) (all bool) {
	for ; l.hasAnswers() && l.answered < answersAtOnce; l.answered++ {
		l.questions[0].answer(l, now)
		l.questions[0].answer = nil
		l.questions = l.questions[1:]
	}
	if len(l.questions) == 0 {
		l.questions = nil
	}
	return !l.hasAnswers()
}
