package reserve

import (
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// While a batch is in flight, the next one is collected. It is sent when the answer arrives, or as
// soon as it has batchSize jobs, if fewer than maxInFlight batches are in flight.
const (
	maxInFlight = 4
	batchSize   = 64
)

// Batch holds requests for jobs, and the answers to them.
type Batch struct {
	shard     *shard
	sent      int64
	jobs      []*schedule.Job // nil for a request without a job
	requests  []backend.Request
	heldBy    []string       // the memory of the requests' HeldBy
	samples   map[string]int // the indexes of requests without a job, by the key of their limit
	decisions []backend.Decision
	err       error
	took      time.Duration

	// Changes since the batch was sent. The answer may be older than they are.
	outdated []string // keys of limits that have changed
	cleared  bool     // the backend was cleared
}

// add adds the request for a job to the batch of its shard, unless the shard is down.
func (r *Reserver) add(now int64, j *schedule.Job) {
	var req backend.Request
	r.request(now, j, &req)
	s := r.shardOf(firstKey(req.Limits))
	if err := r.leaveAlone(now, s); err != nil {
		r.apply(now, j, req.Limits, &backend.Decision{Binding: -1, Err: err, Undecided: true}, nil)
		return
	}
	b := s.collect()
	if !r.sched.IsLimit(j) {
		n := len(b.heldBy)
		b.heldBy = append(b.heldBy, j.Key())
		req.HeldBy = b.heldBy[n : n+1 : n+1]
	}
	b.jobs = append(b.jobs, j)
	b.requests = append(b.requests, req)
}

// firstKey returns the key of the first limit, "" if there is none.
func firstKey(limits []backend.Limit) string {
	if len(limits) == 0 {
		return ""
	}
	return limits[0].Key
}

// addSample adds a request without a job, which is never granted.
func (b *Batch) addSample(lim backend.Limit) {
	req := neverGranted(lim)
	if i, ok := b.samples[lim.Key]; ok {
		b.requests[i] = req
		return
	}
	if b.samples == nil {
		b.samples = make(map[string]int)
	}
	b.samples[lim.Key] = len(b.requests)
	b.jobs = append(b.jobs, nil)
	b.requests = append(b.requests, req)
}

func neverGranted(lim backend.Limit) backend.Request {
	return backend.Request{Limits: []backend.Limit{lim}, NotBefore: time.Now().Add(backend.Unlimited / 2)}
}

// Flush sends the batches that were collected, except those that wait for more jobs or an answer.
func (r *Reserver) Flush() {
	if r.cfg.Traits.InProcess || !slices.ContainsFunc(r.shards, (*shard).mayGo) {
		r.probe()
		return
	}
	now := r.owner.Now()
	for j := r.sched.Speculative(now); j != nil; j = r.sched.Speculative(now) {
		r.Ask(now, j)
	}
	for _, s := range r.shards {
		if s.mayGo() {
			r.send(s)
		}
	}
	r.probe()
}

// mayGo reports whether there is a batch to send now.
func (s *shard) mayGo() bool {
	return s.next != nil && s.inFlight < maxInFlight && (s.inFlight == 0 || len(s.next.jobs) >= batchSize)
}

// send sends the batch that was collected.
func (r *Reserver) send(s *shard) {
	b := s.next
	b.sent = r.owner.Now()
	b.decisions = make([]backend.Decision, len(b.requests))
	s.next = nil
	s.inFlight++
	r.batches = append(r.batches, b)
	r.cfg.Go(func() error {
		sent := time.Now()
		defer func() { // runs even if the backend calls runtime.Goexit
			b.took = time.Since(sent)
			r.owner.Answered(b)
		}()
		b.err = guard.ErrGoexit
		b.err = guard.Reserve(r.cfg.Asking, r.cfg.Backend, b.requests, b.decisions)
		return nil
	})
}

// Answered handles the answer to a batch.
func (r *Reserver) Answered(now int64, b *Batch) {
	r.arrived(b)
	partly := r.observe(now, b)
	if partly == nil {
		r.note(b.err)
	}
	if partly != nil || b.err == nil {
		r.noteSome(now, b.undecided())
	}
	if b.undecided() == nil {
		r.trip.Observe(time.Now(), b.took)
	}
	for i, j := range b.jobs {
		if j == nil {
			continue
		}
		d, err := &b.decisions[i], b.err
		if partly != nil {
			*d, err = backend.Decision{Binding: -1, Err: partly, Undecided: true}, nil
		}
		r.apply(now, j, b.requests[i].Limits, d, err)
	}
	r.adjust(now)
	r.invalidateOutdated(now, b)
}

// Discard handles the answer to a batch after the dispatcher has stopped: it gives back all slots that
// were granted.
func (r *Reserver) Discard(b *Batch) {
	r.arrived(b)
	var slots []Slot
	for i := range b.jobs {
		if d := &b.decisions[i]; b.err == nil && d.Granted {
			slots = append(slots, Slot{b.requests[i].Limits, d.Token})
		}
	}
	r.GiveBack(slots...)
}

// arrived notes that a batch is no longer in flight.
func (r *Reserver) arrived(b *Batch) {
	i := slices.Index(r.batches, b)
	r.batches = slices.Delete(r.batches, i, i+1)
	b.shard.inFlight--
}

// undecided returns the first error because of which a request was not decided, nil if all were.
func (b *Batch) undecided() error {
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
func (b *Batch) isUndecided() bool {
	return !slices.ContainsFunc(b.decisions, func(d backend.Decision) bool { return !d.Undecided })
}
