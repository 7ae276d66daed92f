package memory

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Watch implements [backend.Watcher]. A call that makes a change reports it before it returns.
// Watch panics if f is nil.
func (b *Backend) Watch(f func(backend.Change)) (stop func()) {
	if f == nil {
		panic("memory: Watch: f is nil: must be given")
	}
	b.ready()
	stop = b.watchers.Add(f)
	// A hold made from now on is reported by its Hold, and maybe here too.
	if b.holdsEnd.Load() > b.now() {
		for i := range b.shards {
			for key, until := range b.holds(&b.shards[i]) {
				f(b.change(key, until))
			}
		}
	}
	f(backend.Change{Kind: backend.ChangeCurrent})
	return stop
}

// holds returns the holds in force in a shard, by key.
func (b *Backend) holds(s *shard) map[string]int64 {
	holds := make(map[string]int64)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.now()
	for key, e := range s.keys {
		if e.closed > now {
			holds[key] = e.closed
		}
	}
	return holds
}

func (b *Backend) tellHold(key string, until int64) {
	if b.watchers.Len() > 0 {
		b.watchers.Tell(b.change(key, until))
	}
}

func (b *Backend) change(key string, until int64) backend.Change {
	return backend.Change{Kind: backend.ChangeHold, Key: key, Until: b.epoch.Add(time.Duration(until))}
}

// extendHolds records the end of a hold. It is called under the locks of different shards.
func (b *Backend) extendHolds(until int64) {
	for {
		last := b.holdsEnd.Load()
		if until <= last || b.holdsEnd.CompareAndSwap(last, until) {
			return
		}
	}
}
