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
	shrinkFrom = 1024

	// sweepLook is how many keys a sweep looks at before it lets others have
	// the lock.
	sweepLook = 1024
)

// Len returns how many keys are held.
func (b *Backend) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.keys)
}

// Sweep drops every key that is due, and returns how many. It is safe to call
// at any time and never holds up others for a whole pass.
func (b *Backend) Sweep() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, looked, dropped := b.now(), 0, 0
	for key, e := range b.keys {
		// While others had the lock they may have made the map anew, and the
		// loop is over the old one: then the entry may be another.
		if b.due(e, now) && b.keys[key] == e {
			delete(b.keys, key)
			dropped++
		}
		if looked++; looked%sweepLook == 0 {
			// The loop goes on under the lock, and a range allows for keys that
			// come and go.
			b.mu.Unlock()
			b.mu.Lock()
			now = b.now()
		}
	}
	b.shrink()
	return dropped
}

// Close stops the sweeper, if there is one, and waits for it. The backend goes
// on working. Close may be called more than once and always returns nil.
func (b *Backend) Close() error {
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

// dropSome looks at a few keys, from a random place on, if enough are new. It
// requires that mu is held.
func (b *Backend) dropSome(now int64) {
	if b.added < dropEvery {
		return
	}
	b.shrink()
	look := b.added * dropPer
	b.added = 0
	for key, e := range b.keys {
		if b.due(e, now) {
			delete(b.keys, key)
		}
		if look--; look == 0 {
			return
		}
	}
}

// shrink makes the map anew if it is nearly empty. It requires that mu is held.
func (b *Backend) shrink() {
	if b.peak < shrinkFrom || len(b.keys) >= b.peak/shrinkBy {
		return
	}
	keys := make(map[string]*entry, len(b.keys))
	maps.Copy(keys, b.keys)
	b.keys, b.peak = keys, len(keys)
}

// due reports whether a key is no different from one never seen, and has been
// idle for long enough.
func (b *Backend) due(e *entry, now int64) bool {
	return now >= e.TAT && now >= e.closed && now >= e.Last+int64(b.idleTTL)
}
