package reserve

import (
	"errors"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// shard is one server of a backend that has several, a [backend.Sharder]. Each shard has batches of
// its own, so a server that hangs holds up no other. Any other backend is a single shard.
type shard struct {
	name     string
	next     *Batch // being collected
	inFlight int    // batches sent and not answered

	servedAt int64         // when it last answered; 0: never
	served   int64         // when the latest batch that it answered was sent
	failure  error         // the error of its last batch; nil if it decided any request
	sample   backend.Limit // one of its limits, if it fails
	probeAt  int64         // when to probe it again
}

const (
	// partRetry is how long to wait before asking again for what a server has failed to decide.
	partRetry = 300 * time.Millisecond

	// lateAfter is how long an answer may take before the server counts as late, unless the
	// horizon is longer. lateRetry is how long its jobs then wait before they ask again.
	lateAfter = 80 * time.Millisecond
	lateRetry = 100 * time.Millisecond

	// stillServes is how long a server counts as working after an answer.
	stillServes = 10 * time.Second
)

// shardOf returns the shard of a limit.
func (r *Reserver) shardOf(key string) *shard {
	if r.cfg.Traits.Sharder == nil {
		return r.shards[0]
	}
	name := r.cfg.Traits.Sharder.Shard(key)
	for _, s := range r.shards {
		if s.name == name {
			return s
		}
	}
	s := &shard{name: name}
	r.shards = append(r.shards, s)
	return s
}

// collect returns the batch that is being collected.
func (s *shard) collect() *Batch {
	if s.next == nil {
		s.next = &Batch{shard: s}
	}
	return s.next
}

// othersServe reports whether other shards work. If none does, the whole backend is unavailable.
func (r *Reserver) othersServe(now int64, s *shard) bool {
	return slices.ContainsFunc(r.shards, func(o *shard) bool {
		return o != s && o.failure == nil && o.servedAt > 0 && now-o.servedAt < int64(stillServes)
	})
}

// isDown reports whether a shard fails while others work. No job then asks it: a job that asks has
// a worker set aside, so the jobs of a server that hangs would soon take up all workers.
func (r *Reserver) isDown(now int64, s *shard) bool {
	return s.failure != nil && r.othersServe(now, s)
}

// leaveAlone returns an error if others work and a shard is down or late with an answer, so that
// jobs must not ask it.
func (r *Reserver) leaveAlone(now int64, s *shard) error {
	if s.inFlight == 0 && s.failure == nil || !r.othersServe(now, s) {
		return nil
	}
	if s.failure != nil {
		return s.failure
	}
	for _, b := range r.batches {
		if b.shard == s && now-b.sent > int64(max(lateAfter, r.horizon)) {
			return errLate
		}
	}
	return nil
}

// errLate is the error of a server that is late with an answer. It is never reported.
var errLate = errors.New("dispatcher: backend answer is late")

// probe sends requests without jobs to shards that are down, to find out whether they work again.
func (r *Reserver) probe() {
	if len(r.shards) < 2 {
		return
	}
	now := r.owner.Now()
	for _, s := range slices.Clone(r.shards) {
		if s.failure == nil || now < s.probeAt || s.inFlight >= maxInFlight || s.next != nil || !r.isDown(now, s) {
			continue
		}
		if r.cfg.Traits.Sharder.Shard(s.sample.Key) != s.name {
			if s.inFlight == 0 { // its keys have moved to other shards
				i := slices.Index(r.shards, s)
				r.shards = slices.Delete(r.shards, i, i+1)
			}
			continue
		}
		s.probeAt = now + int64(partRetry)
		s.collect().addSample(s.sample)
		r.send(s)
	}
}

// observe notes whether the server works. If it fails while others work, observe returns its error.
func (r *Reserver) observe(now int64, b *Batch) (partly error) {
	s := b.shard
	err := b.undecided()
	if err == nil || b.err == nil && !b.isUndecided() {
		s.failure, s.servedAt, s.served = nil, max(now, 1), max(s.served, b.sent)
		return nil
	}
	if len(r.shards) > 1 && s.servedAt > 0 && b.sent <= s.served {
		return err // the server has answered a later batch
	}
	s.failure, s.probeAt = err, now+int64(partRetry)
	if limits := b.requests[0].Limits; len(limits) > 0 {
		s.sample = limits[0]
	}
	if r.othersServe(now, s) {
		return err
	}
	return nil
}
