package memory

import (
	"maps"
	"time"
)

const (
	// After dropEvery new keys, dropSome looks at dropPer keys for each of them, so that
	// at most about a quarter of the keys are due.
	dropEvery = 16
	dropPer   = 4

	// A map never shrinks, and ranging over an empty map that was large takes as long as if
	// it were full. So shrink copies a map once it has less than 1/shrinkBy of its
	// peak, unless the peak was below shrinkFrom.
	shrinkBy   = 16
	shrinkFrom = 128

	// sweepLook is how many keys a sweep looks at before it releases the lock for a moment.
	sweepLook = 1024
)

// Len returns the number of keys that the backend keeps. It may or may not count keys that
// are added or dropped while it runs.
func (b *Backend) Len() int {
	b.ready()
	n := 0
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

// Sweep drops every key that is due, and returns their number. It may be called at any time,
// and does not block other calls for the whole pass.
func (b *Backend) Sweep() int {
	b.ready()
	dropped := 0
	for i := range b.shards {
		dropped += b.sweep(&b.shards[i])
	}
	return dropped
}

// sweep drops every key of a shard that is due, and returns their number.
func (b *Backend) sweep(s *shard) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = b.now()
	looked, dropped := 0, 0
	for key, e := range s.keys {
		// While the lock was released, shrink may have replaced the map. The loop still
		// ranges over the old one, whose entry may be outdated.
		if b.due(e, s.latest) && s.keys[key] == e {
			delete(s.keys, key)
			dropped++
		}
		if looked++; looked%sweepLook == 0 {
			// A range allows for keys that others add or delete in between.
			s.mu.Unlock()
			s.mu.Lock()
			s.latest = b.now()
		}
	}
	s.shrink()
	return dropped
}

// Close stops the sweeper, if there is one, and waits for it. The backend continues to
// work. Close may be called more than once, and always returns nil.
func (b *Backend) Close() error {
	b.ready()
	b.stopped.Do(func() { close(b.stop) })
	b.sweeper.Wait()
	return nil
}

// sweepEvery runs until Close.
func (b *Backend) sweepEvery(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.Sweep()
		case <-b.stop:
			return
		}
	}
}

// dropSome looks at a few keys of a shard, from a random place on, and drops those that are due.
// It does nothing until enough keys are new. It requires that the shard is locked and
// that latest is the present.
func (b *Backend) dropSome(s *shard) {
	if s.added < dropEvery {
		return
	}
	look := s.added * dropPer
	s.added = 0
	for key, e := range s.keys {
		if b.due(e, s.latest) {
			delete(s.keys, key)
		}
		if look--; look == 0 {
			break
		}
	}
	s.shrink()
}

// shrink copies the map to a smaller one if it is nearly empty. It requires that the shard is
// locked.
func (s *shard) shrink() {
	if s.peak < shrinkFrom || len(s.keys) >= s.peak/shrinkBy {
		return
	}
	keys := make(map[string]*entry, len(s.keys))
	maps.Copy(keys, s.keys)
	s.keys, s.peak = keys, len(keys)
}

// due reports whether a key has no debt, is not held, and has been idle for IdleTTL.
func (b *Backend) due(e *entry, now int64) bool {
	s := e.State()
	return now >= s.TAT && now >= e.closed && now >= s.Last+int64(b.idleTTL)
}
