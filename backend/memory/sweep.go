package memory

import "time"

const (
	// Once dropEvery keys are new, dropPer keys are looked at for each of them,
	// so that at most about a fourth of the keys held are such that could go.
	dropEvery = 16
	dropPer   = 4

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
// at any time and holds up others for microseconds only.
func (b *Backend) Sweep() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, looked, dropped := b.now(), 0, 0
	for key, e := range b.keys {
		if b.due(e, now) {
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

// due reports whether a key is no different from one never seen, and has been
// idle for long enough.
func (b *Backend) due(e *entry, now int64) bool {
	return now >= e.TAT && now >= e.closed && now >= e.Last+int64(b.idleTTL)
}
