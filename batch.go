package dispatcher

import (
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// While a batch is on its way the next one is collected. It does not wait for
// the answer if it has batchSize jobs, up to maxFlying batches.
const (
	maxFlying = 4
	batchSize = 64
)

// batch is the requests for some jobs and the answers to them.
type batch[T any] struct {
	entries   []*entry[T] // nil: a request without a job
	requests  []backend.Request
	heldBy    []string       // what the requests have of it
	repaced   map[string]int // requests for which there is no job, by the key of their limit
	decisions []backend.Decision
	err       error
	took      time.Duration

	// What has changed meanwhile: the answer may be of before.
	outdated []string // limits that got something back
	cleared  bool     // all was forgotten
}

// repace has the backend measure the debt of a limit by its new params. The request is one
// that is never granted; it has no entry.
func (a *asker[T]) repace(lim backend.Limit) {
	r := backend.Request{Limits: []backend.Limit{lim}, NotBefore: time.Now().Add(backend.Unlimited / 2)}
	if a.inProcess {
		var d [1]backend.Decision
		// If it fails, the next job that asks does the same.
		_ = reserve(a.loop.ctx, a.loop.backend, []backend.Request{r}, d[:])
		return
	}
	if a.next == nil {
		a.next = &batch[T]{}
	}
	b := a.next
	if i, ok := b.repaced[lim.Key]; ok {
		b.requests[i] = r
		return
	}
	if b.repaced == nil {
		b.repaced = make(map[string]int)
	}
	b.repaced[lim.Key] = len(b.requests)
	b.entries = append(b.entries, nil)
	b.requests = append(b.requests, r)
}

// renew has requests go by the new params of a limit that have not been sent, and notes
// that the answers to the others are by the old ones.
func (a *asker[T]) renew(lim backend.Limit) {
	a.outdated(lim.Key)
	if a.next == nil {
		return
	}
	for i := range a.next.requests {
		limits := a.next.requests[i].Limits
		for j := range limits {
			if limits[j].Key == lim.Key {
				limits[j].Params = lim.Params
			}
		}
	}
}

// add adds the request for a job to a batch.
func (a *asker[T]) add(now int64, b *batch[T], e *entry[T]) {
	b.requests = append(b.requests, backend.Request{})
	r := &b.requests[len(b.requests)-1]
	a.request(now, e, r)
	if !a.loop.sched.IsLimit(&e.sched) {
		n := len(b.heldBy)
		b.heldBy = append(b.heldBy, e.sched.Key())
		r.HeldBy = b.heldBy[n : n+1 : n+1]
	}
	b.entries = append(b.entries, e)
}

// flush sends the batch that was collected, or lets it wait for company.
func (a *asker[T]) flush() {
	b := a.next
	if b == nil || len(a.batches) >= maxFlying || len(a.batches) > 0 && len(b.entries) < batchSize {
		return
	}
	l := a.loop
	now := l.now()
	for j := l.sched.Spare(now); j != nil; j = l.sched.Spare(now) {
		e := entryOf[T](j)
		e.at(stageAsking)
		a.add(now, b, e)
	}
	b.decisions = make([]backend.Decision, len(b.requests))
	a.next = nil
	a.batches = append(a.batches, b)
	l.group.Go(func() error {
		sent := time.Now()
		defer func() { // also if the backend ends the goroutine
			b.took = time.Since(sent)
			l.mu.Lock()
			l.inbox.answered = append(l.inbox.answered, b)
			l.mu.Unlock()
			l.signal()
		}()
		b.err = errBackendGoexit
		b.err = reserve(l.ctx, l.backend, b.requests, b.decisions)
		return nil
	})
}

// answered is called when a batch is back.
func (a *asker[T]) answered(now int64, b *batch[T]) {
	a.arrived(b)
	a.note(b.err)
	if b.err == nil {
		a.noteSome(now, b.undecided())
	}
	if b.undecided() == nil && a.loop.cfg.Horizon == 0 {
		a.trip.observe(b.took)
		a.horizon = a.trip.horizon()
		a.loop.sched.Reach(int64(a.horizon), int64(a.lead()))
	}
	for i, e := range b.entries {
		if e != nil {
			a.tell(now, e, b.requests[i].Limits, &b.decisions[i], b.err)
		}
	}
	a.distrust(now, b)
}

// arrived notes that a batch is back.
func (a *asker[T]) arrived(b *batch[T]) {
	i := slices.Index(a.batches, b)
	a.batches = slices.Delete(a.batches, i, i+1)
}

// undecided is the first error that kept a request from being decided.
func (b *batch[T]) undecided() error {
	if b.err != nil {
		return b.err
	}
	for i := range b.decisions {
		if d := &b.decisions[i]; d.Undecided {
			return d.Err
		}
	}
	return nil
}

// discard gives back what a batch was granted that came too late.
func (a *asker[T]) discard(b *batch[T]) {
	a.arrived(b)
	var slots []spare
	for i := range b.entries {
		if d := &b.decisions[i]; b.err == nil && d.Granted {
			slots = append(slots, spare{b.requests[i].Limits, d.Stamp})
		}
	}
	a.loop.giveBackSoon(slots...)
}
