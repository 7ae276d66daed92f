package goredis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/redis/go-redis/v9"
)

// load is a dispatcher that works while Redis fails, and an account of all that
// it does. Its jobs are numbered from 0 on.
type load struct {
	*dispatcher.Dispatcher[int]
	t      testing.TB
	name   string
	ledger *ledger
	stop   context.CancelFunc // ends Run
	ended  chan struct{}      // closed when Run has returned

	mu     sync.Mutex // guards what follows
	jobs   []fate
	starts []start
	turns  []error // of the backend: the error when it went down, nil when it was up
}

// fate is what became of a job.
type fate struct {
	accepted     bool
	starts, ends int
	outcome      dispatcher.Outcome
	err          error
	ended        time.Time
}

// start is a call of the handler.
type start struct {
	slot slot
	at   time.Time
	late time.Duration // after the slot, both by the local monotonic clock
}

// newLoad runs a dispatcher on a client of its own. It is stopped when the test
// has ended, if not before.
func newLoad(t testing.TB, name, prefix string, client redis.UniversalClient, cfg dispatcher.Config[int]) *load {
	t.Helper()
	b, err := goredis.New(client, goredis.Config{Prefix: prefix})
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	l := &load{t: t, name: name, ledger: newLedger(b), ended: make(chan struct{})}
	cfg.Events = dispatcher.Events[int]{
		Done:        func(_ context.Context, r dispatcher.Result[int]) { l.done(r) },
		BackendDown: func(_ context.Context, err error) { l.turn(err) },
		BackendUp:   func(context.Context) { l.turn(nil) },
	}
	if l.Dispatcher, err = dispatcher.New(l.ledger, l.handle, cfg); err != nil {
		t.Fatalf("dispatcher.New() = %v, want nil", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go func() {
		defer close(l.ended)
		_ = l.Run(ctx)
	}()
	t.Cleanup(func() {
		l.end()
		_ = client.Close()
	})
	return l
}

// end stops the dispatcher, which drops what waits.
func (l *load) end() {
	l.stop()
	<-l.ended
}

func (l *load) handle(_ context.Context, job dispatcher.Job[int]) error {
	now := time.Now()
	s := start{slot: l.ledger.slot(job.Key, job.Slot()), at: now, late: now.Sub(job.Slot())}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.starts = append(l.starts, s)
	l.jobs[job.Payload].starts++
	return nil
}

func (l *load) done(r dispatcher.Result[int]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	j := &l.jobs[r.Job.Payload]
	j.ends++
	j.outcome, j.err, j.ended = r.Outcome, r.Err, time.Now()
}

func (l *load) turn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turns = append(l.turns, err)
}

// submit submits the next job and returns its number. Its key is the key of its
// first limit.
func (l *load) submit(limits ...dispatcher.Limit) (int, error) {
	l.mu.Lock()
	i := len(l.jobs)
	l.jobs = append(l.jobs, fate{})
	l.mu.Unlock()
	err := l.SubmitJob(context.Background(), dispatcher.Job[int]{Key: limits[0].Key, Payload: i, Limits: limits})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs[i].accepted = err == nil
	return i, err
}

// must wants a job to be accepted.
func (l *load) must(limits ...dispatcher.Limit) int {
	l.t.Helper()
	i, err := l.submit(limits...)
	if err != nil {
		l.t.Fatalf("%s: Submit(%q) = %v, want nil", l.name, limits[0].Key, err)
	}
	return i
}

// fate returns what has become of a job so far.
func (l *load) fate(i int) fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs[i]
}

// result waits for a job to end.
func (l *load) result(i int) fate {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%s: job %d ends", l.name, i), func() bool { return l.fate(i).ends > 0 })
	return l.fate(i)
}

// startAfter waits for a start after an instant, and returns how long after it
// the first one is.
func (l *load) startAfter(instant time.Time) (after time.Duration) {
	l.t.Helper()
	until(l.t, l.name+": a job starts", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		found := false
		for _, s := range l.starts {
			if d := s.at.Sub(instant); d >= 0 && (!found || d < after) {
				after, found = d, true
			}
		}
		return found
	})
	return after
}

// check wants the account of a load that has ended to be in order: each accepted
// job has ended once, and no other has; each start has a slot of its own, and is
// not early by the local clock or by the server's; and the backend was called
// away and back in turn.
func (l *load) check() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := make(map[string]int)
	for _, j := range l.jobs {
		switch {
		case !j.accepted && (j.starts > 0 || j.ends > 0):
			wrong["was refused and has run"]++
		case j.accepted && j.ends != 1:
			wrong[fmt.Sprintf("has ended %d times", j.ends)]++
		case j.outcome == dispatcher.Succeeded && j.starts != 1:
			wrong[fmt.Sprintf("has succeeded after %d starts", j.starts)]++
		case j.outcome == dispatcher.Dropped && (j.starts != 0 || !errors.Is(j.err, dispatcher.ErrStopped)):
			wrong[fmt.Sprintf("was dropped after %d starts with %v", j.starts, j.err)]++
		case j.outcome == dispatcher.Failed, j.outcome == dispatcher.Panicked:
			wrong[fmt.Sprintf("has %v with %v", j.outcome, j.err)]++
		}
	}
	for _, s := range l.starts {
		token, ok := l.ledger.use(s.slot)
		if !ok {
			wrong["starts at a slot that it was not granted"]++
			continue
		}
		if s.late < 0 {
			wrong["starts before its slot"]++
		}
		// The machine has one clock, which is the server's too.
		if s.at.Round(0).Before(time.UnixMicro(token)) {
			wrong["starts before its slot by the server's clock"]++
		}
	}
	for what, jobs := range wrong {
		l.t.Errorf("%s: jobs of which one %s = %d, want 0", l.name, what, jobs)
	}
	for i, err := range l.turns {
		if away := i%2 == 0; away != (err != nil) {
			l.t.Errorf("%s: turn %d of the backend = %v, want errors and nil in turn", l.name, i, err)
		}
	}
}

// until waits for something to become true.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after %v it is not so: %s", patience, what)
		}
	}
}
