package dispatcher

import (
	"log/slog"
	"time"
)

// remindAfter is how long jobs and calls wait for Run before that is logged.
const remindAfter = 5 * time.Second

// reminders are about a Run that has not been called. Dispatcher.mu guards them.
type reminders struct {
	jobs *time.Timer         // since the first job was submitted
	said map[string]struct{} // what has been logged
}

// remindOfJobs has the jobs that wait logged, if Run does not come. It is called for each that is
// accepted before Run, and requires that mu is held.
func (d *Dispatcher[T]) remindOfJobs() {
	if d.reminders.jobs == nil {
		d.reminders.jobs = d.remind("jobs wait")
	}
}

// remindOf has a call that waits logged, unless it has returned by then or Run has been called.
func (d *Dispatcher[T]) remindOf(call string) (returned func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ran {
		return func() bool { return false }
	}
	return d.remind(call + " waits").Stop
}

func (d *Dispatcher[T]) remind(what string) *time.Timer {
	return time.AfterFunc(remindAfter, func() {
		d.mu.Lock()
		_, said := d.reminders.said[what]
		if said || d.ran {
			d.mu.Unlock()
			return
		}
		if d.reminders.said == nil {
			d.reminders.said = make(map[string]struct{})
		}
		d.reminders.said[what] = struct{}{}
		d.mu.Unlock()
		d.log(slog.LevelWarn, "dispatcher: "+what+", but Run has not been called", slog.Int64("jobs", d.waiting.Load()))
	})
}
