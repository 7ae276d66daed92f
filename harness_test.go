package dispatcher_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

type (
	job    = dispatcher.Job[string]
	config = dispatcher.Config[string]
	result = dispatcher.Result[string]
	events = dispatcher.Events[string]
)

// errFailed is what handlers fail with.
var errFailed = errors.New("failed")

// errEnough is why a test ends a Run.
var errEnough = errors.New("enough")

func perSecond(n int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: n, Period: time.Second}
}

func every(d time.Duration) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: 1, Period: d}
}

func limit(key string, p gcra.FreqLimitParams) dispatcher.Limit {
	return dispatcher.Limit{Key: key, Params: p}
}

func inMemory() *memory.Backend { return memory.New(memory.Config{}) }

// stage is a dispatcher in a bubble, and a record of all that it did.
type stage struct {
	*dispatcher.Dispatcher[string]
	t     *testing.T
	begin time.Time
	stop  context.CancelCauseFunc // ends the context of Run
	ended chan error              // what Run returned

	mu      sync.Mutex // guards what follows
	starts  []start    // in the order in which the handlers were called
	results []result   // in the order of their reports
}

type start struct {
	job
	at time.Duration // since the beginning of the stage
}

// prepare makes a stage whose Run has not been called. A nil handler does
// nothing.
func prepare(t *testing.T, b backend.Backend, cfg config, handler dispatcher.Handler[string]) *stage {
	t.Helper()
	s := &stage{t: t, begin: time.Now(), ended: make(chan error, 1)}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.Events = dispatcher.JoinEvents(whenDone(func(r result) {
		s.mu.Lock()
		s.results = append(s.results, r)
		s.mu.Unlock()
	}), cfg.Events)
	d, err := dispatcher.New(b, func(ctx context.Context, j job) error {
		s.mu.Lock()
		s.starts = append(s.starts, start{j, time.Since(s.begin)})
		s.mu.Unlock()
		if handler == nil {
			return nil
		}
		return handler(ctx, j)
	}, cfg)
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	s.Dispatcher = d
	return s
}

// whenDone calls f with each result.
func whenDone(f func(result)) events {
	return events{Done: func(_ context.Context, r result) { f(r) }}
}

// whenBackend calls f with the error when the backend goes down, and with nil when it is up.
func whenBackend(f func(error)) events {
	return events{
		BackendDown: func(_ context.Context, err error) { f(err) },
		BackendUp:   func(context.Context) { f(nil) },
	}
}

// open is prepare, and calls Run.
func open(t *testing.T, b backend.Backend, cfg config, handler dispatcher.Handler[string]) *stage {
	t.Helper()
	s := prepare(t, b, cfg, handler)
	s.run()
	return s
}

func (s *stage) run() {
	ctx, stop := context.WithCancelCause(context.Background())
	s.stop = stop
	go func() { s.ended <- s.Run(ctx) }()
}

// submit submits a job under these limits; if none are given, those of the
// Config.
func (s *stage) submit(key, payload string, limits ...dispatcher.Limit) {
	s.t.Helper()
	s.submitJob(job{Key: key, Payload: payload, Limits: limits})
}

func (s *stage) submitJob(j job) {
	s.t.Helper()
	if err := s.SubmitJob(context.Background(), j); err != nil {
		s.t.Fatalf("SubmitJob(%q) = %v, want nil", j.Payload, err)
	}
}

// drain shuts the stage down when all is done. Every accepted job must have one
// outcome, and all slots must obey their limits.
func (s *stage) drain() {
	s.t.Helper()
	if err := s.Shutdown(context.Background()); err != nil {
		s.t.Errorf("Shutdown() = %v, want nil", err)
	}
	if err := <-s.ended; err != nil {
		s.t.Errorf("Run() = %v, want nil", err)
	}
	s.stop(nil)
	s.check()
}

// cut ends the context of Run, and checks like drain.
func (s *stage) cut() {
	s.t.Helper()
	s.stop(errEnough)
	if err := <-s.ended; !errors.Is(err, errEnough) {
		s.t.Errorf("Run() = %v, want the cause of its context's end, %v", err, errEnough)
	}
	s.check()
}

// check looks at what must hold after any Run.
func (s *stage) check() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.Stats()
	if got := len(s.results); got != int(stats.Submitted) {
		s.t.Errorf("%d outcomes were reported for %d accepted jobs", got, stats.Submitted)
	}
	if stats.Waiting != 0 || stats.Running != 0 {
		s.t.Errorf("Stats() after Run = %+v, want nothing waiting or running", stats)
	}
	if got := stats.Succeeded + stats.Failed + stats.Panicked + stats.Dropped + stats.Expired + stats.Canceled + stats.Uncertain; got != stats.Submitted {
		s.t.Errorf("Stats() after Run = %+v, want outcomes that add up to Submitted", stats)
	}
	for _, st := range s.starts {
		if st.Slot().After(s.begin.Add(st.at)) {
			s.t.Errorf("job %q starts %v before its slot", st.Payload, st.Slot().Sub(s.begin.Add(st.at)))
		}
	}
	wantWindows(s.t, s.slots())
}

// slots is the slots under each limit in their order, once for each unit of cost.
func (s *stage) slots() map[dispatcher.Limit][]time.Time {
	return slotsOf(s.starts)
}

func slotsOf(starts []start) map[dispatcher.Limit][]time.Time {
	slots := map[dispatcher.Limit][]time.Time{}
	for _, st := range starts {
		for _, l := range st.Limits {
			units := l.Units()
			l.Cost = 0
			slots[l] = append(slots[l], slices.Repeat([]time.Time{st.Slot()}, units)...)
		}
	}
	for _, at := range slots {
		slices.SortFunc(at, time.Time.Compare)
	}
	return slots
}

// wantWindows wants every half-open window of every limit to hold no more slots
// than it allows.
func wantWindows(t *testing.T, slots map[dispatcher.Limit][]time.Time) {
	t.Helper()
	for l, slots := range slots {
		if err := backendtest.CheckWindows(slots, l.Params, 0); err != nil {
			t.Errorf("limit %q: %v", l.Key, err)
		}
	}
}

// order returns the payloads in the order of their starts. Handlers that start at one instant
// record it in any order, so these are sorted by their slots.
func (s *stage) order() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	inOrder := slices.SortedStableFunc(slices.Values(s.starts), func(a, b start) int {
		return cmp.Or(cmp.Compare(a.at, b.at), a.Slot().Compare(b.Slot()))
	})
	var order []string
	for _, st := range inOrder {
		order = append(order, st.Payload)
	}
	return order
}

func (s *stage) wantOrder(want ...string) {
	s.t.Helper()
	if got := s.order(); !slices.Equal(got, want) {
		s.t.Errorf("the order of starts is %q, want %q", got, want)
	}
}

// startsOf is when the jobs with a payload started.
func (s *stage) startsOf(payload string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []time.Duration
	for _, st := range s.starts {
		if st.Payload == payload {
			at = append(at, st.at)
		}
	}
	return at
}

// wantStarts wants the jobs with a payload to have started at these instants.
func (s *stage) wantStarts(payload string, want ...time.Duration) {
	s.t.Helper()
	if got := s.startsOf(payload); !slices.Equal(got, want) {
		s.t.Errorf("%q starts at %v, want %v", payload, got, want)
	}
}

// outcomeOf is the result of the only job with a payload.
func (s *stage) outcomeOf(payload string) result {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []result
	for _, r := range s.results {
		if r.Job.Payload == payload {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%d outcomes of %q, want 1", len(found), payload)
	}
	return found[0]
}

// last is when the last job started.
func (s *stage) last() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := time.Duration(-1)
	for _, st := range s.starts {
		last = max(last, st.at)
	}
	return last
}

func named(name string, i int) string { return name + strconv.Itoa(i) }

// nextSlot takes a limit's next slot, however far ahead.
func nextSlot(t *testing.T, b backend.Backend, l dispatcher.Limit) time.Time {
	t.Helper()
	var d [1]backend.Decision
	reqs := []backend.Request{{Limits: []dispatcher.Limit{l}, Horizon: backend.Unlimited}}
	if err := b.Reserve(context.Background(), reqs, d[:]); err != nil || !d[0].Granted {
		t.Fatalf("Reserve(%q) = %v, %+v, want a slot", l.Key, err, d[0])
	}
	return d[0].Slot
}

// wantNextSlot wants the next slot of a limit to be some time from now.
func wantNextSlot(t *testing.T, b backend.Backend, l dispatcher.Limit, want time.Duration) {
	t.Helper()
	if got := time.Until(nextSlot(t, b, l)); got != want {
		t.Errorf("the next slot of limit %q is in %v, want %v", l.Key, got, want)
	}
}

// wantAbout wants an instant within 0.1 s of another.
func wantAbout(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if (got - want).Abs() > 100*time.Millisecond {
		t.Errorf("%s: %v, want %v +-0.1s", what, got, want)
	}
}

// inEachOrder runs a test in a bubble for each order.
func inEachOrder(t *testing.T, test func(t *testing.T, order dispatcher.Order)) {
	for _, order := range []dispatcher.Order{dispatcher.Fair, dispatcher.FIFO, dispatcher.Backlog} {
		t.Run(order.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, order) })
		})
	}
}
