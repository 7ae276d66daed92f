package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/adaptive"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// owner keeps jobs without payloads.
type owner struct {
	engine   *Engine
	canceled map[*schedule.Job]bool
	ended    [Stopped + 1]int // jobs, by Reason
	release  chan struct{}    // jobs run until it is closed; nil: they end at once
}

// newEngine returns an engine with room for a million jobs, and its owner.
func newEngine(tb testing.TB, change func(*Config)) (*Engine, *owner) {
	tb.Helper()
	o := &owner{canceled: make(map[*schedule.Job]bool)}
	cfg := Config{
		Backend: memory.New(memory.Config{}), Owner: o, Workers: 16, Capacity: 1 << 20,
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	o.engine = New(cfg)
	return o.engine, o
}

func adapts(cfg adaptive.Config) func(*Config) {
	return func(c *Config) { c.Adaptive = &cfg }
}

// still returns the loop of an engine that does nothing unless the test has it take a step.
func still(tb testing.TB, e *Engine) *loop {
	tb.Helper()
	l, release := e.newLoop(tb.Context())
	tb.Cleanup(release)
	return l
}

// step has the loop do once what it does over and over.
func (l *loop) step() {
	l.takeIn()
	l.decide()
	l.handOver()
	l.inspect()
}

// takeAll has the loop take in all news.
func (l *loop) takeAll() {
	for l.takeIn(); l.hasMore(); l.takeIn() {
	}
}

// submit submits a job that does not take the fast path.
func (e *Engine) submitForTest(tb testing.TB, s Submission) *schedule.Job {
	tb.Helper()
	s.Job = &schedule.Job{Arrival: e.Now()}
	e.Lock()
	defer e.Unlock()
	if !e.Submit(s) {
		tb.Fatal("no room")
	}
	return s.Job
}

func (o *owner) IsCanceled(j *schedule.Job) bool { return o.canceled[j] }

func (o *owner) Ended(_ *schedule.Job, _ *Submission, why Reason, _ error) { o.ended[why]++ }

func (o *owner) Work(w *Worker) {
	for {
		s, ok := o.engine.Next(w)
		if !ok {
			return
		}
		if o.release != nil {
			<-o.release
		}
		w.Done = Completion{Job: s.Job, Late: Unknown}
		o.engine.MarkIdle(w)
	}
}

func (o *owner) BackendChanged(context.Context, error) {}

// The backend of these tests keeps no jobs.

func (o *owner) Number(*schedule.Job) int64 { return 0 }
func (o *owner) Load(context.Context)       {}
func (o *owner) Kept(*schedule.Job)         {}

// Jobs of tests take no fast path.

func (o *owner) MoveFast() int                               { return 0 }
func (o *owner) TakeFast(*schedule.Job)                      {}
func (o *owner) KeepFast(*schedule.Job) *schedule.Job        { return nil }
func (o *owner) ForgetFast(*schedule.Job)                    {}
func (o *owner) NewFastJob() *schedule.Job                   { return &schedule.Job{} }
func (o *owner) LeaveFast() bool                             { return false }
func (o *owner) LeftFast(string) (jobs []Submission, _ bool) { return nil, false }
func (o *owner) ClearFast()                                  {}

var (
	second = gcra.PerSecond(1)
	hour   = gcra.PerHour(1)
)
