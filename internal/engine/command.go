package engine

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/blocks"
)

// command is a function that the loop calls before it takes in more jobs.
type command func(l *loop, now int64)

// do passes a command to the loop. It doesn't wait until the loop has obeyed it.
func (e *Engine) do(c command) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.post(c)
}

// post is do for callers that hold mu.
func (e *Engine) post(c command) {
	if !e.over {
		e.barFastPath()
		e.inbox.commands = append(e.inbox.commands, c)
		e.signal()
	}
}

// commandsAtOnce is how many commands are obeyed in one step, so that a million make no start late.
const commandsAtOnce = 256

// obey obeys the first commands, up to commandsAtOnce.
func (l *loop) obey(now int64) {
	for range min(len(l.commands)-l.obeyed, commandsAtOnce) {
		l.commands[l.obeyed](l, now)
		l.commands[l.obeyed] = nil
		l.obeyed++
	}
	if l.obeyed == len(l.commands) {
		l.commands, l.obeyed = blocks.Reuse(l.commands), 0
	}
}

// question is a question that the loop answers once it has taken in the jobs that were submitted
// before it.
type question struct {
	after  uint64 // how many jobs must have been taken in
	answer func(l *loop, now int64)
}

// ask asks the loop a question and waits for the reply. If Run has not been called, it waits for Run.
// The loop calls begin, which must send exactly one reply, maybe in a later step. The error is the
// cause of ctx, or ErrClosed once Run stops, because Run may be waiting for the handler that asks.
func ask[R any](ctx context.Context, e *Engine, begin func(l *loop, now int64, reply chan<- R)) (R, error) {
	reply := make(chan R, 1)
	e.mu.Lock()
	if !e.over {
		e.barFastPath()
		e.inbox.questions = append(e.inbox.questions, question{
			e.submitted, func(l *loop, now int64) { begin(l, now, reply) },
		})
	}
	e.mu.Unlock()
	e.signal()
	defer e.remindOf("a call")()
	var none R
	select {
	case r := <-reply:
		return r, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-e.stopping:
	}
	select {
	case r := <-reply:
		return r, nil
	default:
		return none, ErrClosed
	}
}

// answersAtOnce is how many questions are answered in one step, so that a million make no start late.
const answersAtOnce = 256

// hasAnswers reports whether there is a question that can be answered.
func (l *loop) hasAnswers() bool {
	return len(l.commands) == 0 && len(l.questions) > 0 && l.questions[0].after <= l.taken
}

// answer answers questions for which all earlier jobs have been taken in and all commands obeyed. It
// reports whether no question is left that can be answered.
func (l *loop) answer(now int64) (all bool) {
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
