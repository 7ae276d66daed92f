package engine

import (
	"github.com/freqlimit/dispatcher/internal/blocks"
	"github.com/freqlimit/dispatcher/internal/reserve"
)

// inbox holds what the loop has not taken in yet.
type inbox struct {
	submitted blocks.List[Submission]
	news      []news
	answered  []*reserve.Batch
	commands  []command
	questions []question
}

// hasNews reports whether there is anything besides answers of the backend.
func (in *inbox) hasNews() bool {
	return !in.submitted.Empty() || len(in.commands) > 0 || len(in.questions) > 0 || len(in.news) > 0
}

// reset returns an empty inbox that reuses the memory of this one, unless that is much.
func (in *inbox) reset() inbox {
	empty := inbox{
		news:      blocks.Reuse(in.news),
		answered:  blocks.Reuse(in.answered),
		commands:  blocks.Reuse(in.commands),
		questions: blocks.Reuse(in.questions),
	}
	empty.submitted.TakeSpare(&in.submitted)
	return empty
}

// signal wakes the loop. The caller has put its news where the loop looks.
func (e *Engine) signal() {
	if e.notified.Load() || e.notified.Swap(true) {
		return // the loop was woken and has not looked yet
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// swapInbox swaps the inbox for an empty one, and reports whether no more jobs can be submitted after
// it. If closing is set, it closes the intake.
func (l *loop) swapInbox(empty inbox, closing bool) (in inbox, closed bool) {
	e := l.e
	e.notified.Store(false) // later news wakes the loop again
	if l.fast {
		e.pool.mu.Lock()
		defer e.pool.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if closing {
		e.closeIntake()
	}
	if l.fast {
		l.updateFastPath(closing)
	}
	in, e.inbox = e.inbox, empty
	return in, e.closed && e.coming == 0
}
