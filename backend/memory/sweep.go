package memory

import (
	"maps"
	"time"
)

const (
	// Once dropEvery keys are new, dropPer keys are looked at for each of them,
	// so that at most about a fourth of the keys held are such that could go.
	dropEvery = 16
	dropPer   = 4

	// A map does not shrink by itself, and to range over an empty one that was
	// large takes as long as if it were full. So it is made anew once less than
	// a shrinkBy'th of its keys are left, unless it never held shrinkFrom.
	shrinkBy   = 16
	shrinkFrom = 128

	// sweepLook is how many keys a sweep looks at before it lets others have
	// the lock.
	sweepLook = 1024
)

// Len returns how many keys are held. A key that comes or goes meanwhile may be
// counted or not.
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

// Sweep drops every key that is due, and returns how many. It is safe to call
// at any time and never holds up others for a whole pass.
func (b *Backend) Sweep() int {
	b.ready()
	dropped := 0
	for i := range b.shards {
		dropped += b.sweep(&b.shards[i])
	}
	return dropped
}

// sweep drops every key of a shard that is due, and returns how many.
func (b *Backend) sweep(s *shard) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = b.now()
	looked, dropped := 0, 0
	for key, e := range s.keys {
		// While others had the lock they may have made the map anew, and the
		// loop is over the old one: then the entry may be another.
		if b.due(e, s.latest) && s.keys[key] == e {
			delete(s.keys, key)
			dropped++
		}
		if looked++; looked%sweepLook == 0 {
			// The loop goes on under the lock, and a range allows for keys that
			// come and go.
			s.mu.Unlock()
			s.mu.Lock()
			s.latest = b.now()
		}
	}
	s.shrink()
	return dropped
}

// Close stops the sweeper, if there is one, and waits for it. The backend goes
// on working. Close may be called more than once and always returns nil.
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

// dropSome looks at a few keys of a shard, from a random place on, if enough are
// new. It requires that the shard is locked and latest is the present.
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

// shrink makes the map anew if it is nearly empty. It requires that the shard is
// locked.
func (s *shard) shrink() {
	if s.peak < shrinkFrom || len(s.keys) >= s.peak/shrinkBy {
		return
	}
	keys := make(map[string]*entry, len(s.keys))
	maps.Copy(keys, s.keys)
	s.keys, s.peak = keys, len(keys)
}

// due reports whether a key is no different from one never seen, and has been
// idle for long enough.
func (b *Backend) due(e *entry, now int64) bool {
	s := e.State()
	return now >= s.TAT && now >= e.closed && now >= s.Last+int64(b.idleTTL)
}
