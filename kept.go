package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	"unsafe"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/engine"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// keeper keeps the jobs of a dispatcher in a journal. A job is written before it is accepted, claimed
// with its slot before it starts, and deleted when it has ended.
//
// The scheduler has only a part of the jobs, so that memory doesn't grow with the journal. Load passes
// jobs on from the journal in the order of their numbers. Once it has passed on all of them, a job that
// is submitted goes to the scheduler at once, until there are too many in memory. Starting with a
// million jobs in the journal is the same case.
type keeper[T any] struct {
	journal backend.Journal
	codec   Codec[T]
	most    int           // how many jobs may wait in memory before new ones are left to Load
	wake    chan struct{} // holds a token when there may be jobs to load

	// Guarded by the lock of the engine.
	next      int64              // the number of the next job
	count     int                // kept jobs that are not dead
	loadFrom  int64              // jobs with this number or a higher one are left to Load; math.MaxInt64: none
	loaded    int64              // Load has read up to this number
	unread    int64              // the highest number left to Load
	writing   map[int64]*pending // jobs that are being written, or were while Load was reading
	reading   bool               // Load is reading jobs, and has not passed them on
	tracked   map[int64]*kept[T] // jobs left to Load that have a handle
	replaced  map[int64]T        // payloads written while their jobs were left to Load
	forgotten map[int64]struct{} // jobs that were not accepted, and may be in the journal
	unclaim   []backend.Requeue  // for jobs that were claimed and have not started when Run ends
	dropping  map[string]int64   // Drop deletes the jobs of these keys with lower numbers that are left to Load
	drops     int                // calls of Drop that go on
	settings  []backend.Setting  // not written yet
	setting   bool               // they are being written
	ends      []*keptEnd[T]      // of jobs that did not run, not written yet
	written   sync.Cond          // a write of a job or of settings has ended
}

// kept is an entry that the journal keeps.
type kept[T any] struct {
	entry     entry[T] // the first field: see keptOf
	number    int64
	submitted int64 // instant
	asked     bool  // the backend was asked to claim it, and has not been told that it waits
	losses    int   // how many times its process has ended while it was claimed
}

// pending is a job that Load may come across while it is being written.
type pending struct {
	job     engine.Submission
	passed  bool // Load has passed it on
	written bool // the write has ended, and Load, which was reading, has to pass it on
}

// keptOf returns the kept job of an entry. All entries of a dispatcher with a journal are part of one.
func keptOf[T any](e *entry[T]) *kept[T] { return (*kept[T])(unsafe.Pointer(e)) }

// newKeeper returns a keeper that has loaded nothing.
func newKeeper[T any](journal backend.Journal, cfg *Config[T]) (*keeper[T], backend.Recovered, error) {
	k := &keeper[T]{
		journal: journal, codec: cfg.Codec, most: cfg.Resident,
		wake:    make(chan struct{}, 1),
		writing: make(map[int64]*pending), tracked: make(map[int64]*kept[T]), replaced: make(map[int64]T),
		forgotten: make(map[int64]struct{}), dropping: make(map[string]int64),
	}
	var r backend.Recovered
	err := guard.Call(func() (err error) {
		r, err = journal.Recover(context.Background())
		return err
	})
	if err != nil {
		return nil, r, fmt.Errorf("dispatcher: recover: %w", err)
	}
	k.next, k.count = r.Next, r.Jobs
	if r.Jobs == 0 {
		k.loadFrom = math.MaxInt64
	}
	return k, r, nil
}

// recover makes the dispatcher keep its jobs in a journal, which may hold some of an earlier process.
func (d *Dispatcher[T]) recover(journal backend.Journal) error {
	k, r, err := newKeeper(journal, &d.cfg)
	if err != nil {
		return err
	}
	k.written.L = d.engine
	d.kept = k
	if !k.isLoaded() {
		d.engine.Lock()
		d.engine.Coming(1) // what is to load
		d.engine.Unlock()
	}
	return d.restoreSettings(r.Settings)
}

// signal makes Load look for jobs.
func (k *keeper[T]) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// isLoaded reports whether no job is left to Load. It requires that the engine is locked.
func (k *keeper[T]) isLoaded() bool { return k.loadFrom == math.MaxInt64 }

// write makes changes. The journal may panic.
func (k *keeper[T]) write(ctx context.Context, c *backend.Changes) error {
	return guard.Call(func() error { return k.journal.Write(ctx, c) })
}

func (k *keeper[T]) find(ctx context.Context, id string) (number int64, err error) {
	err = guard.Call(func() (err error) {
		number, err = k.journal.Find(ctx, id)
		return err
	})
	return number, err
}

// record returns a job as the journal keeps it.
func (k *keeper[T]) record(c *kept[T], s engine.Submission, job *Job[T], data []byte) backend.KeptJob {
	r := backend.KeptJob{
		Number: c.number, Key: s.Key, Priority: s.Priority, Limits: s.Limits,
		ID: job.ID, Submitted: time.Now(), NotBefore: job.NotBefore, Deadline: job.Deadline,
		Timeout: job.Timeout, Meta: job.Meta, Payload: data, Version: k.codec.Version,
	}
	if p := job.Retry; p != nil {
		r.Retry = &backend.KeptRetry{
			MaxAttempts: p.MaxAttempts, MaxHolds: p.MaxHolds, Initial: p.Initial, Max: p.Max,
			Multiplier: p.Multiplier, Jitter: p.Jitter,
		}
	}
	return r
}

// errRetryIf is why a policy can't be kept.
var errRetryIf = errors.New("a function can't be kept in a journal: use Config.Retry")

// offer is a job that is submitted.
type offer[T any] struct {
	s    engine.Submission
	job  Job[T]
	data []byte // the payload, encoded
}

// offer returns a job as it can be kept.
func (d *Dispatcher[T]) offer(ctx context.Context, now int64, job *Job[T], limits []Limit, o *options, h *Handle[T]) (*offer[T], error) {
	data, err := d.kept.codec.encode(job.Payload)
	if err != nil {
		return nil, fmt.Errorf("dispatcher: submit: encode payload: %w", err)
	}
	if r := job.Retry; r != nil && r.If != nil {
		return nil, &ConfigError{Field: "Job.Retry.If", Value: "func", Reason: "must be nil: " + errRetryIf.Error(), Err: errRetryIf}
	}
	e := d.newEntry(ctx, now, job.Payload, o, h)
	return &offer[T]{
		s:   engine.Submission{Job: &e.sched, Key: job.Key, Limits: limits, Priority: job.Priority, Dates: o.dates(*d.engine.Epoch())},
		job: *job, data: data,
	}, nil
}

// keep writes a job to the journal and accepts it. It returns the job's entry, or the entry of the waiting job
// whose payload it replaced.
func (d *Dispatcher[T]) keep(o *offer[T]) (*entry[T], error) {
	waiting, err := d.enterKept(o)
	if waiting != nil || err != nil {
		return waiting, err
	}
	return entryOf[T](o.s.Job), d.writeKept([]*offer[T]{o})
}

// writeKept writes jobs that have entered to the journal, and accepts all of them or none. It is not
// stopped by the end of a context: once jobs are being written, they are accepted or not, whatever their
// submitters wait for.
func (d *Dispatcher[T]) writeKept(offers []*offer[T]) error {
	k := d.kept
	c := backend.Changes{Added: make([]backend.KeptJob, len(offers))}
	for i, o := range offers {
		c.Added[i] = k.record(keptOf(entryOf[T](o.s.Job)), o.s, &o.job, o.data)
	}
	err := k.write(context.Background(), &c)
	d.engine.Lock()
	defer d.engine.Unlock()
	for i := range c.Added {
		if k.writing[c.Added[i].Number].passed {
			err = nil // Load has read it, so only the answer was lost
		}
	}
	for i := range offers {
		d.written(c.Added[i].Number, err)
	}
	k.written.Broadcast()
	d.engine.Coming(-len(offers))
	if err != nil {
		return &JournalError{Op: "submit", Err: err}
	}
	return nil
}

// written passes a job whose write has ended to the engine, unless Load does it or err is set. It requires
// that the engine is locked.
func (d *Dispatcher[T]) written(number int64, err error) {
	k := d.kept
	p := k.writing[number]
	e := entryOf[T](p.job.Job)
	switch {
	case err != nil:
		d.uncount(1)
		if e.hasID() {
			d.freeID(e)
		}
		if !errors.Is(err, backend.ErrJournalFull) {
			d.forget(number) // it may have been written
		}
	case p.passed:
	case number < k.loadFrom || number <= k.loaded:
		d.admit(p.job)
		if k.isLoaded() && d.engine.Resident() >= k.most {
			k.loadFrom, k.loaded = k.next, k.next-1
			d.engine.Coming(1)
			k.signal()
		}
	case k.reading:
		p.written = true // maybe too late for Load to have read it
		return
	case d.engine.IsOver():
		d.stayKept(e)
	default:
		k.unread = max(k.unread, number)
		if e.extra != nil && e.extra.handle != nil {
			k.tracked[number] = keptOf(e)
		} else if e.hasID() {
			d.freeID(e) // the journal knows it
		}
		k.signal()
	}
	delete(k.writing, number)
}

// uncount notes that n jobs are no longer kept. It requires that the engine is locked.
func (d *Dispatcher[T]) uncount(n int) {
	d.kept.count -= n
	d.engine.TellRoom()
}

// admit passes a kept job to the engine. It requires that the engine is locked.
func (d *Dispatcher[T]) admit(s engine.Submission) {
	s.Job.Arrival = d.engine.Now()
	if !d.engine.Admit(s) {
		d.stayKept(entryOf[T](s.Job))
	}
}
