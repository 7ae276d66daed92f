// Package engine starts jobs exactly when their limits allow. It knows no payloads: a job here is the
// header that the scheduler keeps. An [Owner] has the rest of the job, runs it, and learns of its end.
//
// One goroutine, the loop, takes in news, asks the backend for slots, and hands jobs to workers at
// their slots. docs/architecture.md describes the goroutines, the locks, and the steps of the loop.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/adaptive"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/histogram"
	"github.com/freqlimit/dispatcher/internal/reserve"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// Errors that package dispatcher exports and documents.
var (
	ErrClosed = errors.New("dispatcher: closed")
	ErrStuck  = errors.New("dispatcher: handlers still running after their contexts ended")
)

// Owner is the dispatcher, which knows the payloads of jobs.
type Owner interface {
	// IsCanceled reports whether a job was canceled. The loop calls it without holding a lock.
	IsCanceled(j *schedule.Job) bool

	// Ended is called for a job that ends without a worker. If the scheduler has never had the job, s
	// is its submission, with its limits; otherwise s is nil. err is set if the reason is Rejected.
	// The loop calls Ended without holding a lock.
	Ended(j *schedule.Job, s *Submission, why Reason, err error)

	// Work runs jobs in the goroutine of a worker until [Engine.Next] returns false. If a job ends
	// the goroutine, Work is called again in another one.
	Work(w *Worker)

	// BackendChanged is called when the backend begins to fail, with its error, and when it recovers,
	// with nil. The reporter's goroutine calls it.
	BackendChanged(ctx context.Context, err error)

	FastJobs

	KeptJobs
}

// Reason is why a job ends without a worker.
type Reason int

const (
	Rejected Reason = iota // the backend rejects its limits
	Canceled
	Expired // it could not start by its deadline
	Stopped // Run's context has ended
)

// Config configures an [Engine].
type Config struct {
	Backend backend.Backend
	Owner   Owner

	Workers      int
	Capacity     int
	Params       gcra.FreqLimitParams // the limit of every key whose job brings no limits; may be zero
	Order        schedule.Order
	Serial       bool
	Horizon      time.Duration // 0: it depends on the backend
	CoarseTimers bool
	StopTimeout  time.Duration
	Adaptive     *adaptive.Config // nil: limits don't adapt
	Logger       *slog.Logger     // nil: the default one
}

// HorizonInProcess is the horizon of a backend in this process, if [Config] has none.
const HorizonInProcess = 5 * time.Millisecond

// Engine is a dispatcher without the payloads. All methods are safe for concurrent use, unless they
// say who may call them.
type Engine struct {
	cfg    Config
	owner  Owner
	traits backend.Traits
	epoch  *time.Time // instant 0 of the scheduler; jobs point to it too
	member uint32     // identifies this engine to a backend that others use too

	wake         chan struct{} // holds a token while there is news
	room         chan struct{} // holds a token when there may be room
	loadRoom     chan struct{} // the same, for AwaitResident
	intakeClosed chan struct{} // closed when no more jobs are accepted
	stopping     chan struct{} // closed when no more commands are obeyed
	done         chan struct{} // closed when Run has returned

	// Closed when Run has stopped but handlers or Events have not returned. One of them may be
	// waiting for this dispatcher.
	stuck chan struct{}

	contexts *Contexts // nil except during Run

	// Fields that are only read, fields that mostly submitters write, and fields that mostly
	// workers write are in cache lines of their own.
	_ [64]byte

	waiting    atomic.Int64 // accepted jobs that no worker has, at most Capacity, plus retries and fastQueue.unflushed
	notified   atomic.Bool  // the loop has been woken, and has not looked since
	mu         sync.Mutex   // guards what follows
	closed     bool         // no more jobs are accepted
	ran        bool         // Run has been called
	over       bool         // Run has returned
	reminders  reminders
	idle       chan struct{} // closed when there is nothing to do; nil if nobody waits for that
	submitted  uint64        // accepted jobs
	latest     int64         // when the last of them was submitted
	coming     int           // jobs, and sources of jobs, that may still come after closed is set
	inbox      inbox
	fastIntake fastIntake

	_ [64]byte

	wanted   atomic.Int64 // callers that wait for room
	running  atomic.Int64
	workers  atomic.Int64
	pool     pool
	lateness histogram.Histogram
	mixed    reserve.Mixed
	reports  reporter
	outage   atomic.Pointer[Outage] // nil while the backend answers
}

// Outage describes a failing backend: since when it fails, and the first error.
type Outage struct {
	Since time.Time
	Err   error
}

// New returns an engine that has started nothing.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg:          cfg,
		owner:        cfg.Owner,
		traits:       backend.TraitsOf(cfg.Backend),
		epoch:        new(time.Now()),
		member:       max(rand.Uint32(), 1),
		wake:         make(chan struct{}, 1),
		room:         make(chan struct{}, 1),
		loadRoom:     make(chan struct{}, 1),
		intakeClosed: make(chan struct{}),
		stopping:     make(chan struct{}),
		done:         make(chan struct{}),
		stuck:        make(chan struct{}),
	}
	e.pool.open(e)
	return e
}

// Epoch returns instant 0 of the engine. It never changes. Keeping the pointer keeps nothing else alive.
func (e *Engine) Epoch() *time.Time { return e.epoch }

// Traits returns those of the backend.
func (e *Engine) Traits() *backend.Traits { return &e.traits }

// Now returns the present instant.
func (e *Engine) Now() int64 { return int64(time.Since(*e.epoch)) }

// Clock returns the present time by a clock that is never set. It costs half as much as time.Now.
func (e *Engine) Clock() time.Time { return e.epoch.Add(time.Since(*e.epoch)) }

// Lock locks the state that submissions change. The owner guards its IDs and handles with the same
// lock, so they can't change between a check and the submission or command that depends on it.
func (e *Engine) Lock() { e.mu.Lock() }

// Unlock releases the lock.
func (e *Engine) Unlock() { e.mu.Unlock() }

// Outage returns the present failure of the backend, nil if it answers.
func (e *Engine) Outage() *Outage { return e.outage.Load() }

// Lateness returns how late jobs have started.
func (e *Engine) Lateness() *histogram.Histogram { return &e.lateness }

// Figures counts jobs and workers.
type Figures struct {
	Submitted        uint64
	Waiting, Running int
	Workers          int
	FastSucceeded    uint64 // jobs that have succeeded on the fast path, which the owner does not count
}

// Figures returns the present numbers of jobs and workers.
func (e *Engine) Figures() Figures {
	e.mu.Lock()
	submitted := e.submitted
	e.mu.Unlock()
	f := Figures{Submitted: submitted, Workers: int(e.workers.Load())}
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	x := &e.pool.fast
	f.Waiting = int(e.waiting.Load()) - x.unflushed
	f.Running = int(e.running.Load()) + x.running + x.markedIdle
	f.FastSucceeded = x.succeeded
	return f
}

// Hold holds a key at the backend, for all processes that share it. It returns the end of the hold, by
// a clock that is not ahead of the backend's. The caller tells the loop, by HeldUntil or a Completion.
func (e *Engine) Hold(ctx context.Context, key string, delay time.Duration) (until int64, err error) {
	delay = min(delay, backend.Unlimited)
	if delay > 0 {
		err = guard.Call(func() error { return e.cfg.Backend.Hold(ctx, key, delay) })
	}
	return e.Now() + int64(delay), err
}
