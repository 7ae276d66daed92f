package engine

import (
	"log/slog"
	"time"
)

// remindAfter is how long jobs and calls wait for Run before a reminder is logged.
const remindAfter = 5 * time.Second

// reminders tell the user that Run has not been called. Engine.mu guards them.
type reminders struct {
	jobs *time.Timer         // since the first job was submitted
	said map[string]struct{} // what has been logged
}

// remindOfJobs logs after remindAfter that jobs wait, unless Run has been called by then. It is called
// for each job that is accepted before Run, and requires that mu is held.
func (e *Engine) remindOfJobs() {
	if e.reminders.jobs == nil {
		e.reminders.jobs = e.remind("jobs wait")
	}
}

// remindOf logs after remindAfter that a call waits, unless it has returned or Run has been called by
// then.
func (e *Engine) remindOf(call string) (returned func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ran {
		return func() bool { return false }
	}
	return e.remind(call + " waits").Stop
}

func (e *Engine) remind(what string) *time.Timer {
	return time.AfterFunc(remindAfter, func() {
		e.mu.Lock()
		_, said := e.reminders.said[what]
		if said || e.ran {
			e.mu.Unlock()
			return
		}
		if e.reminders.said == nil {
			e.reminders.said = make(map[string]struct{})
		}
		e.reminders.said[what] = struct{}{}
		e.mu.Unlock()
		e.Log(slog.LevelWarn, "dispatcher: "+what+", but Run has not been called", slog.Int64("jobs", e.waiting.Load()))
	})
}
