package dispatcher

import (
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// shard is what is asked of one server of a backend that has several, a [backend.Sharder]. Each
// has batches of its own, so that one that hangs holds up no other. Of other backends there is
// one.
type shard[T any] struct {
	name   string
	next   *batch[T] // being collected
	flying int       // batches on their way

	servedAt int64         // when it last answered; 0: never
	served   int64         // when the latest batch was sent that it has answered
	failure  error         // of its last batch, whole; nil if it answered
	sample   backend.Limit // one of its limits, if it fails
	probeAt  int64         // when to ask whether it is back
}

const (
	// partRetry is after what time what a server has failed to decide is asked for again.
	partRetry = 300 * time.Millisecond

	// stillServes is for how long a server that has answered counts as one that does.
	stillServes = 10 * time.Second
)

// shardOf returns the shard of a limit.
func (a *asker[T]) shardOf(key string) *shard[T] {
	if a.sharder == nil {
		return a.shards[0]
	}
	name := a.sharder.Shard(key)
	for _, s := range a.shards {
		if s.name == name {
			return s
		}
	}
	s := &shard[T]{name: name}
	a.shards = append(a.shards, s)
	return s
}

// collect returns the batch that is being collected.
func (s *shard[T]) collect() *batch[T] {
	if s.next == nil {
		s.next = &batch[T]{shard: s}
	}
	return s.next
}

// othersServe reports whether a failure of a shard leaves others. If not, the backend is away.
func (a *asker[T]) othersServe(now int64, s *shard[T]) bool {
	return slices.ContainsFunc(a.shards, func(o *shard[T]) bool {
		return o != s && o.failure == nil && o.servedAt > 0 && now-o.servedAt < int64(stillServes)
	})
}

// isDown reports whether nobody is to ask a shard, since it fails and others do not. A job that
// asks has a worker, and those of a server that hangs would soon have all of them.
func (a *asker[T]) isDown(now int64, s *shard[T]) bool {
	return s.failure != nil && a.othersServe(now, s)
}

// probe asks shards that are down, for no job, whether they are back.
func (a *asker[T]) probe() {
	if len(a.shards) < 2 {
		return
	}
	now := a.loop.now()
	for _, s := range slices.Clone(a.shards) {
		if s.failure == nil || now < s.probeAt || s.flying >= maxFlying || s.next != nil || !a.isDown(now, s) {
			continue
		}
		if a.sharder.Shard(s.sample.Key) != s.name {
			if s.flying == 0 { // others have its keys now
				i := slices.Index(a.shards, s)
				a.shards = slices.Delete(a.shards, i, i+1)
			}
			continue
		}
		s.probeAt = now + int64(partRetry)
		a.addSample(s.collect(), s.sample)
		a.send(s)
	}
}

// observe notes whether the server answers, and returns why it does not if others do.
func (a *asker[T]) observe(now int64, b *batch[T]) (partly error) {
	s := b.shard
	err := b.undecided()
	if err == nil || b.err == nil && !b.isUndecided() {
		s.failure, s.servedAt, s.served = nil, max(now, 1), max(s.served, b.sent)
		return nil
	}
	if len(a.shards) > 1 && s.servedAt > 0 && b.sent <= s.served {
		return err // the server has come back since
	}
	s.failure, s.sample, s.probeAt = err, b.requests[0].Limits[0], now+int64(partRetry)
	if a.othersServe(now, s) {
		return err
	}
	return nil
}
