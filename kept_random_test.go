package dispatcher_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/internal/seeds"
)

var histories = flag.Int("histories", 2000, "how many random histories of kept jobs to play")

// The promises of docs/durability.md: whatever happens to the processes that work on one journal,
// and to their calls of it, each accepted job runs until it has ended, and runs again only if it was
// claimed when its process was killed; with AtMostOnce it does not even then. No limit is exceeded over all
// processes, and the jobs of a key keep their order.
func TestKeptJobsOutliveProcesses(t *testing.T) {
	n := *histories
	if testing.Short() {
		n = min(n, 300)
	}
	for _, r := range seeds.First(t, n) {
		synctest.Test(t, func(t *testing.T) { newKeptHistory(t, r).run() })
		if t.Failed() {
			return
		}
	}
}

// keptHistory is the lives of processes on one disk.
type keptHistory struct {
	t          *testing.T
	r          *rand.Rand
	disk       *disk
	atMostOnce bool
	serial     bool
	retries    int

	mu    sync.Mutex // guards what follows
	fate  *rand.Rand // of handlers
	lives int
	jobs  []*keptJob // by payload
	slots map[dispatcher.Limit][]time.Time
}

// keptJob is what is known of a job.
type keptJob struct {
	key      string
	plain    bool // nothing but its place decides when it starts
	accepted bool // Submit has returned nil
	maybe    bool // Submit has failed in a way that leaves it open
	runs     int  // how often the handler was called
	excused  int  // how often it may run again: after an error, or since its process was killed
	running  int
	ended    int       // how often its end was reported
	killed   int       // how often its end was reported by a process that was killed since, maybe before it was written
	first    time.Time // its first slot
}

func newKeptHistory(t *testing.T, r *rand.Rand) *keptHistory {
	return &keptHistory{
		t: t, r: r, disk: newDisk(), atMostOnce: r.IntN(3) == 0, serial: coin(r), retries: 1 + r.IntN(3),
		fate:  rand.New(rand.NewPCG(r.Uint64(), 2)),
		slots: make(map[dispatcher.Limit][]time.Time),
	}
}

// process is one life.
type process struct {
	*dispatcher.Dispatcher[int]
	h       *keptHistory
	journal *journal
	stop    context.CancelCauseFunc
	ended   chan error
	running map[int]bool // payloads whose handlers run
}

func (h *keptHistory) run() {
	for range 1 + h.r.IntN(5) {
		p := h.start()
		h.load(p)
		switch h.r.IntN(3) {
		case 0:
			p.journal.fails(nil)
			p.stop(errEnough)
		default:
			h.kill(p)
		}
		<-p.ended
	}
	p := h.start()
	p.journal.fails(nil)
	if err := p.Shutdown(context.Background()); err != nil {
		h.t.Errorf("Shutdown() = %v, want nil", err)
	}
	<-p.ended
	p.stop(nil)
	h.check()
}

// start starts a process.
func (h *keptHistory) start() *process {
	h.lives++
	j := h.disk.open()
	p := &process{h: h, journal: j, ended: make(chan error, 1), running: make(map[int]bool)}
	slowest := 1 + h.r.IntN(20)
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(h.r.Uint64(), 1))
	j.takes = func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(r.IntN(slowest*1000)) * time.Microsecond
	}
	cfg := dispatcher.Config[int]{
		Resident: []int{0, 1, 3}[h.r.IntN(3)],
		Workers:  1 + h.r.IntN(4), Order: dispatcher.Order(h.r.IntN(3)), Serial: h.serial, AtMostOnce: h.atMostOnce,
		Retry:       dispatcher.Retry{MaxAttempts: h.retries, Initial: 50 * time.Millisecond},
		StopTimeout: time.Duration(h.r.IntN(3)-1) * 20 * time.Millisecond,
		Logger:      slog.New(slog.DiscardHandler),
	}
	cfg.Events.Done = func(_ context.Context, r dispatcher.Result[int]) { h.done(p, r) }
	d, err := dispatcher.New(j, func(ctx context.Context, j dispatcher.Job[int]) error { return h.handle(ctx, p, j) }, cfg)
	if err != nil {
		h.t.Fatalf("New() = %v, want nil", err)
	}
	if coin(h.r) {
		j.loses = func() bool {
			mu.Lock()
			defer mu.Unlock()
			return r.IntN(5) == 0
		}
	}
	p.Dispatcher = d
	if coin(h.r) {
		h.submitSome(p)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	p.stop = stop
	go func() { p.ended <- p.Run(ctx) }()
	return p
}

// load gives a process work and trouble.
func (h *keptHistory) load(p *process) {
	for range h.r.IntN(6) {
		switch h.r.IntN(5) {
		case 0:
			p.journal.fails(errFailed)
		case 1:
			p.journal.fails(nil)
		default:
			h.submitSome(p)
		}
		time.Sleep(time.Duration(h.r.IntN(300)) * time.Millisecond)
	}
}

func (h *keptHistory) submitSome(p *process) {
	var all sync.WaitGroup
	for range h.r.IntN(6) {
		h.mu.Lock()
		n := len(h.jobs)
		k := &keptJob{key: fmt.Sprint("key", h.r.IntN(3)), plain: true}
		h.jobs = append(h.jobs, k)
		h.mu.Unlock()
		j := dispatcher.Job[int]{Key: k.key, Payload: n}
		if h.r.IntN(3) > 0 {
			j.Limits = []dispatcher.Limit{limit("all", perSecond(50)), limit(k.key, perSecond(20))}
		}
		switch h.r.IntN(8) {
		case 0:
			j.NotBefore, k.plain = time.Now().Add(time.Duration(h.r.IntN(200))*time.Millisecond), false
		case 1:
			j.ID, k.plain = fmt.Sprint("id", h.r.IntN(2)), false
			j.OnDuplicate = dispatcher.OnDuplicate(h.r.IntN(2))
		case 2:
			j.Priority, k.plain = h.r.IntN(3), false
		}
		if j.OnDuplicate == dispatcher.ReplacePayload {
			j.OnDuplicate = dispatcher.RejectDuplicate // a replaced payload has no end of its own
		}
		submit := func() { h.submitted(k, p.SubmitJob(context.Background(), j)) }
		if coin(h.r) {
			submit()
		} else {
			k.plain = false // others are submitted meanwhile
			all.Go(submit)
		}
	}
	all.Wait()
}

func (h *keptHistory) submitted(k *keptJob, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k.accepted = err == nil
	if _, ok := errors.AsType[*dispatcher.JournalError](err); ok {
		k.maybe = true
	} else if err != nil && !errors.Is(err, dispatcher.ErrDuplicate) && !errors.Is(err, dispatcher.ErrClosed) {
		h.t.Errorf("SubmitJob() = %v, want nil", err)
	}
}

// handle is the handler of all processes.
func (h *keptHistory) handle(ctx context.Context, p *process, j dispatcher.Job[int]) error {
	if p.journal.isKilled() {
		<-ctx.Done() // it has not begun: the process is dead
		return ctx.Err()
	}
	h.mu.Lock()
	k := h.jobs[j.Payload]
	k.runs++
	k.running++
	if k.runs == 1 {
		k.first = j.Slot()
	}
	p.running[j.Payload] = true
	for _, l := range j.Limits {
		h.slots[l] = append(h.slots[l], j.Slot())
	}
	if j.Slot().After(time.Now()) {
		h.t.Errorf("job %d starts %v before its slot", j.Payload, time.Until(j.Slot()))
	}
	if k.runs > 1+k.excused {
		h.t.Errorf("job %d runs %d times, want %d at most", j.Payload, k.runs, 1+k.excused)
	}
	if k.ended > k.killed {
		h.t.Errorf("job %d runs after its end", j.Payload)
	}
	var err error
	takes := time.Duration(h.fate.IntN(60)) * time.Millisecond
	switch h.fate.IntN(6) {
	case 0:
		err = errFailed
	case 1:
		err = dispatcher.RetryAfter(time.Duration(h.fate.IntN(50))*time.Millisecond, nil)
	}
	h.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.journal.isKilled() {
		return err // it has ended with its process
	}
	k.running--
	delete(p.running, j.Payload)
	if err != nil {
		k.excused++
	}
	return err
}

// kill kills a process. What it had claimed may run again; so may what it has ended and not yet written.
func (h *keptHistory) kill(p *process) {
	p.journal.kill()
	h.mu.Lock()
	claimed := map[int64]bool{}
	h.disk.mu.Lock()
	for number, k := range h.disk.jobs {
		claimed[number] = k.Claimed
		if !k.Claimed {
			continue
		}
		var payload int
		fmt.Sscan(string(k.Payload), &payload)
		j := h.jobs[payload]
		j.plain = false // it may not have begun
		if !h.atMostOnce {
			j.excused++
		}
	}
	h.disk.mu.Unlock()
	for payload := range p.running {
		h.jobs[payload].running--
	}
	h.mu.Unlock()
	p.stop(errEnough)
}

func (h *keptHistory) done(p *process, r dispatcher.Result[int]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.journal.isKilled() {
		return
	}
	k := h.jobs[r.Job.Payload]
	k.ended++
	if r.Outcome == dispatcher.Dropped {
		h.t.Errorf("job %d is dropped: %v", r.Job.Payload, r.Err)
	}
}

// check looks at all lives together.
func (h *keptHistory) check() {
	for n, k := range h.jobs {
		switch {
		case k.accepted && k.ended != 1:
			// A process may have been killed after it wrote the end and before it reported it.
			if k.ended > 1 || !h.isDead(n) && k.runs == 0 {
				h.t.Errorf("job %d was accepted, ran %d times and has ended %d times", n, k.runs, k.ended)
			}
		case !k.accepted && !k.maybe && k.runs > 0:
			h.t.Errorf("job %d was not accepted, and ran %d times", n, k.runs)
		}
	}
	if n := len(h.disk.jobs); n > 0 {
		h.t.Errorf("the journal keeps %d jobs in the end, want 0", n)
	}
	last := make(map[string]*keptJob)
	for n, k := range h.jobs {
		if !k.plain || !k.accepted || k.runs == 0 {
			continue
		}
		if l := last[k.key]; l != nil && k.first.Before(l.first) {
			h.t.Errorf("job %d of %s has its first slot %v before an earlier one", n, k.key, l.first.Sub(k.first))
		}
		last[k.key] = k
	}
	for _, slots := range h.slots {
		slices.SortFunc(slots, time.Time.Compare)
	}
	wantWindows(h.t, h.slots)
}

// isDead reports whether the journal has a job among the dead.
func (h *keptHistory) isDead(payload int) bool {
	for _, k := range h.disk.dead {
		if string(k.Payload) == fmt.Sprint(payload) {
			return true
		}
	}
	return false
}
