package dispatcher_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

// Short lives in which all happens at once: fast jobs and others, handlers that fail
// in every way, commands, and an end at any moment. Each accepted job has one outcome,
// no more handlers run than there are workers, those of a key begin in their order, the
// figures add up, and nothing hangs: the bubble would say so.
func TestTorture(t *testing.T) {
	lives := 300
	if testing.Short() {
		lives = 30
	}
	for _, r := range seeds.Random(t, lives) {
		synctest.Test(t, func(t *testing.T) { newLife(t, r).live() })
		if t.Failed() {
			return
		}
	}
}

const (
	lifeProducers = 3
	lifeJobs      = 150 // of each
	lifeWorkers   = 6   // at most
)

type life struct {
	*dispatcher.Dispatcher[int]
	t       *testing.T
	r       *rand.Rand
	workers int
	steady  bool // the number of workers stays
	told    bool // by Events.Done

	fate            [lifeProducers * lifeJobs]int // what the handler does with a job
	keys            [lifeProducers * lifeJobs]string
	accepted, ended [lifeProducers * lifeJobs]atomic.Int32
	running         atomic.Int64

	mu   sync.Mutex
	last map[string]int // of one worker, by key and producer: the latest job that has begun
}

func newLife(t *testing.T, r *rand.Rand) *life {
	l := &life{t: t, r: r, workers: 1 + r.IntN(4), steady: coin(r), told: coin(r), last: map[string]int{}}
	if coin(r) {
		for i := range l.fate {
			l.fate[i] = max(0, r.IntN(70)-60)
		}
	}
	cfg := dispatcher.Config[int]{
		Workers:  l.workers,
		Capacity: []int{5, 50, dispatcher.DefaultCapacity}[r.IntN(3)],
		Order:    dispatcher.Order(r.IntN(3)),
		Retry:    dispatcher.Retry{MaxAttempts: 1 + r.IntN(2), Initial: time.Microsecond},
		Logger:   slog.New(slog.DiscardHandler),
	}
	if l.told {
		cfg.Events.Done = func(_ context.Context, res dispatcher.Result[int]) {
			l.ended[res.Job.Payload].Add(1)
			if !res.Started.IsZero() && res.Job.Slot().After(res.Started) {
				t.Errorf("a job with slot %v has started at %v", res.Job.Slot(), res.Started)
			}
		}
	}
	d, err := dispatcher.New(inMemory(), l.handle, cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Dispatcher = d
	return l
}

func coin(r *rand.Rand) bool { return r.IntN(2) == 0 }

func (l *life) handle(_ context.Context, j dispatcher.Job[int]) error {
	most := int64(l.workers)
	if !l.steady {
		most = lifeWorkers
	}
	if n := l.running.Add(1); n > most {
		l.t.Errorf("%d handlers run on %d workers", n, most)
	}
	defer l.running.Add(-1)
	if want := l.keys[j.Payload]; j.Key != want {
		l.t.Errorf("job %d has key %q, want %q", j.Payload, j.Key, want)
	}
	if j.Attempt() > 1 {
		return nil
	}
	if l.steady && l.workers == 1 {
		l.inOrder(j)
	}
	switch delay := time.Duration(j.Payload%3) * time.Millisecond; l.fate[j.Payload] {
	case 1:
		panic("fate")
	case 2:
		runtime.Goexit()
	case 3:
		return dispatcher.RetryAfter(delay, nil)
	case 4:
		return dispatcher.RetryAfter(delay, nil).Holding("other")
	case 5:
		return dispatcher.Snooze(delay)
	case 6:
		return dispatcher.Permanent(errFailed)
	case 7:
		return errFailed
	case 8:
		time.Sleep(delay)
	case 9:
		runtime.Gosched()
	}
	return nil
}

// inOrder checks that jobs of a key and a producer begin in their order.
func (l *life) inOrder(j dispatcher.Job[int]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := named(j.Key, j.Payload/lifeJobs)
	if before, ok := l.last[key]; ok && before > j.Payload {
		l.t.Errorf("job %d of %s begins after job %d", j.Payload, key, before)
	}
	l.last[key] = j.Payload
}

func (l *life) live() {
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	ended := make(chan error, 1)
	run := func() { ended <- l.Run(ctx) }
	late := l.r.IntN(4) == 0
	if !late {
		go run()
	}
	var producers, meddlers sync.WaitGroup
	for p := range lifeProducers {
		r := rand.New(rand.NewPCG(l.r.Uint64(), 0))
		producers.Go(func() { l.produce(r, p*lifeJobs) })
	}
	over, stop := context.WithCancel(context.Background())
	defer stop()
	if coin(l.r) {
		r := rand.New(rand.NewPCG(l.r.Uint64(), 0))
		meddlers.Go(func() { l.meddle(over, r) })
	}
	if late {
		go run()
	}
	how := l.r.IntN(4)
	switch how {
	case 0, 1:
		time.Sleep(time.Duration(l.r.IntN(3000)) * time.Microsecond)
		if how == 0 {
			cut()
		}
	case 2:
		producers.Wait()
		if err := l.WaitIdle(context.Background()); err != nil {
			l.t.Error(err)
		}
	case 3:
		producers.Wait()
	}
	if err := l.Shutdown(context.Background()); err != nil {
		l.t.Error(err)
	}
	if err := <-ended; err != nil && how != 0 {
		l.t.Error(err)
	}
	producers.Wait()
	stop()
	meddlers.Wait()
	l.check()
}

// produce submits jobs from number first on.
func (l *life) produce(r *rand.Rand, first int) {
	for i := range lifeJobs {
		j := dispatcher.Job[int]{Key: "plain", Payload: first + i}
		tracked := false
		switch r.IntN(60) {
		case 0:
			j.Key = "other"
		case 1:
			j.Limits = []dispatcher.Limit{limit("wide", perSecond(100_000))}
		case 2:
			tracked = true
		case 3:
			time.Sleep(time.Duration(r.IntN(200)) * time.Microsecond)
		}
		l.keys[j.Payload] = j.Key
		var err error
		if tracked {
			var h *dispatcher.Handle[int]
			if h, err = l.Track(context.Background(), j); err == nil && coin(r) {
				h.Cancel()
			}
		} else {
			err = l.SubmitJob(context.Background(), j)
		}
		switch {
		case err == nil:
			l.accepted[j.Payload].Add(1)
		case errors.Is(err, dispatcher.ErrClosed):
			return
		case errors.Is(err, dispatcher.ErrFull):
			time.Sleep(20 * time.Microsecond)
		default:
			l.t.Error(err)
		}
	}
}

// meddle gives commands until ctx ends.
func (l *life) meddle(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		switch r.IntN(6) {
		case 0:
			l.Pause()
			l.Resume()
		case 1:
			l.PauseKey("plain")
			l.ResumeKey("plain")
		case 2:
			if !l.steady {
				if err := l.SetWorkers(1 + r.IntN(lifeWorkers)); err != nil {
					l.t.Error(err)
				}
			}
		case 3:
			_, _ = l.Load(ctx) // ErrClosed in the end
		case 4:
			_ = l.Hold(ctx, "plain", time.Duration(r.IntN(50))*time.Microsecond)
		default:
			if s := l.Stats(); s.Waiting < 0 || s.Running < 0 || s.Running > lifeWorkers {
				l.t.Errorf("Stats() = %+v", s)
			}
		}
		time.Sleep(time.Duration(r.IntN(300)) * time.Microsecond)
	}
}

func (l *life) check() {
	all := uint64(0)
	for i := range l.accepted {
		accepted := l.accepted[i].Load()
		all += uint64(accepted)
		if ended := l.ended[i].Load(); l.told && ended != accepted {
			l.t.Errorf("job %d was accepted %d times and has ended %d times", i, accepted, ended)
		}
	}
	s := l.Stats()
	if sum := s.Succeeded + s.Failed + s.Panicked + s.Dropped + s.Canceled + s.Expired; s.Submitted != all || sum != all {
		l.t.Errorf("Stats() = %+v, want %d submitted and as many ended", s, all)
	}
	if n := l.running.Load(); n != 0 || s.Waiting != 0 || s.Running != 0 || s.Workers != 0 {
		l.t.Errorf("Stats() = %+v with %d handlers running, want nothing left", s, n)
	}
}
