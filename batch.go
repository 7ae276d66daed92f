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
	shard     *shard[T]
	sent      int64
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
	if a.inProcess {
		var d [1]backend.Decision
		// If it fails, the next job that asks does the same.
		_ = reserve(a.loop.ctx, a.loop.backend, []backend.Request{neverGranted(lim)}, d[:])
		return
	}
	a.addSample(a.shardOf(lim.Key).collect(), lim)
}

// addSample adds to a batch a request for no job, which is never granted.
func (a *asker[T]) addSample(b *batch[T], lim backend.Limit) {
	r := neverGranted(lim)
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

func neverGranted(lim backend.Limit) backend.Request {
	return backend.Request{Limits: []backend.Limit{lim}, NotBefore: time.Now().Add(backend.Unlimited / 2)}
}

// renew has requests go by the new params of a limit that have not been sent, and notes
// that the answers to the others are by the old ones.
func (a *asker[T]) renew(lim backend.Limit) {
	a.outdated(lim.Key)
	for _, s := range a.shards {
		if s.next != nil {
			s.next.renew(lim)
		}
	}
}

func (b *batch[T]) renew(lim backend.Limit) {
	for i := range b.requests {
		limits := b.requests[i].Limits
		for j := range limits {
			if limits[j].Key == lim.Key {
				limits[j].Params = lim.Params
			}
		}
	}
}

// add adds the request for a job to the batch of its shard, unless that is down.
func (a *asker[T]) add(now int64, e *entry[T]) {
	var r backend.Request
	a.request(now, e, &r)
	s := a.shardOf(r.Limits[0].Key)
	if a.isDown(now, s) {
		a.tell(now, e, r.Limits, &backend.Decision{Binding: -1, Err: s.failure, Undecided: true}, nil)
		return
	}
	b := s.collect()
	if !a.loop.sched.IsLimit(&e.sched) {
		n := len(b.heldBy)
		b.heldBy = append(b.heldBy, e.sched.Key())
		r.HeldBy = b.heldBy[n : n+1 : n+1]
	}
	b.entries = append(b.entries, e)
	b.requests = append(b.requests, r)
}

// flush sends the batches that were collected, or lets them wait for company.
func (a *asker[T]) flush() {
	if a.inProcess || !slices.ContainsFunc(a.shards, (*shard[T]).mayGo) {
		a.probe()
		return
	}
	l := a.loop
	now := l.now()
	for j := l.sched.Spare(now); j != nil; j = l.sched.Spare(now) {
		e := entryOf[T](j)
		e.at(stageAsking)
		a.add(now, e)
	}
	for _, s := range a.shards {
		if s.mayGo() {
			a.send(s)
		}
	}
	a.probe()
}

// mayGo reports whether there is a batch that does not wait.
func (s *shard[T]) mayGo() bool {
	return s.next != nil && s.flying < maxFlying && (s.flying == 0 || len(s.next.entries) >= batchSize)
}

// send sends the batch that was collected.
func (a *asker[T]) send(s *shard[T]) {
	l, b := a.loop, s.next
	b.sent = l.now()
	b.decisions = make([]backend.Decision, len(b.requests))
	s.next = nil
	s.flying++
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
	partly := a.observe(now, b)
	if partly == nil {
		a.note(b.err)
	}
	if partly != nil || b.err == nil {
		a.noteSome(now, b.undecided())
	}
	if b.undecided() == nil && a.loop.cfg.Horizon == 0 {
		a.trip.observe(b.took)
		a.horizon = a.trip.horizon()
		a.loop.sched.Reach(int64(a.horizon), int64(a.lead()))
	}
	for i, e := range b.entries {
		if e == nil {
			continue
		}
		d, err := &b.decisions[i], b.err
		if partly != nil {
			*d, err = backend.Decision{Binding: -1, Err: partly, Undecided: true}, nil
		}
		a.tell(now, e, b.requests[i].Limits, d, err)
	}
	a.distrust(now, b)
}

// arrived notes that a batch is back.
func (a *asker[T]) arrived(b *batch[T]) {
	i := slices.Index(a.batches, b)
	a.batches = slices.Delete(a.batches, i, i+1)
	b.shard.flying--
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

// isUndecided reports whether no request was decided.
func (b *batch[T]) isUndecided() bool {
	return !slices.ContainsFunc(b.decisions, func(d backend.Decision) bool { return !d.Undecided })
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
