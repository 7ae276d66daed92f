package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/freqlimit/dispatcher/internal/schedule"
)

// fastOwner is an owner whose jobs take the fast path. The instants of their submissions are all that
// it keeps of them.
type fastOwner struct {
	owner
	intake, queue, left []int64
	started             []string
	again               bool // the first job runs again
}

func (o *fastOwner) submit(t *testing.T, key string) {
	t.Helper()
	e := o.engine
	e.Lock()
	defer e.Unlock()
	at, open, room := e.EnterFast(key, e.Now())
	switch {
	case !room && open:
		t.Fatal("no room")
	case open:
		o.intake = append(o.intake, at)
	default:
		e.Submit(Submission{Job: &schedule.Job{Arrival: e.Now()}, Key: key})
	}
}

func (o *fastOwner) Work(w *Worker) {
	for {
		s, ok := o.engine.Next(w)
		if !ok {
			return
		}
		o.started = append(o.started, fmt.Sprint(s.Job.Key(), " fast=", w.IsFast()))
		w.Done = Completion{Job: s.Job, Late: Unknown}
		if o.again {
			o.again = false
			w.Done.Disposition = RetryFront
			o.engine.RunsAgain(w)
			continue
		}
		o.engine.MarkIdle(w)
	}
}

func (o *fastOwner) MoveFast() int {
	o.queue, o.intake = o.intake, nil
	return len(o.queue)
}

func (o *fastOwner) TakeFast(own *schedule.Job) {
	own.Slot, own.Arrival = o.queue[0], o.queue[0]
	o.queue = o.queue[1:]
}

func (o *fastOwner) KeepFast(own *schedule.Job) *schedule.Job { return new(*own) }

func (o *fastOwner) LeaveFast() bool {
	o.left = append(o.queue, o.intake...)
	o.queue, o.intake = nil, nil
	return len(o.left) > 0
}

func (o *fastOwner) LeftFast(key string) (jobs []Submission, more bool) {
	jobs = []Submission{{Job: &schedule.Job{Arrival: o.left[0]}, Key: key}}
	o.left = o.left[1:]
	return jobs, len(o.left) > 0
}

// Jobs of one key take the fast path, in their order, also before and behind one that closes it: a job of
// another key, or one that runs again.
func TestFastPath(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  []string
		again bool
		want  []string
	}{
		{"one key", []string{"a", "a", "a"}, false, []string{"a fast=true", "a fast=true", "a fast=true"}},
		{"another key", []string{"a", "a", "b", "a"}, false, []string{"a fast=false", "a fast=false", "b fast=false", "a fast=false"}},
		{"one that runs again", []string{"a", "a"}, true, []string{"a fast=true", "a fast=false", "a fast=false"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fastOwner{again: c.again}
				o.engine, _ = newEngine(t, func(cfg *Config) { cfg.Owner, cfg.Workers = o, 1 })
				for _, key := range c.keys {
					o.submit(t, key)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() {
					_, err := o.engine.Run(ctx)
					ended <- err
				}()
				synctest.Wait()
				if !slices.Equal(o.started, c.want) {
					t.Errorf("started %q, want %q", o.started, c.want)
				}
				if f := o.engine.Figures(); f.Waiting != 0 || f.Running != 0 || int(f.Submitted) != len(c.keys) {
					t.Errorf("Figures() = %+v, want none that wait or run, and %d submitted", f, len(c.keys))
				}
				cancel()
				<-ended
			})
		})
	}
}
