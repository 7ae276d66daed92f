package memory

import (
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// KeyState is what a [Backend] keeps for a key, so that a backend that decides in memory can
// store it elsewhere, and set it again in a later process.
//
// The times that State returns have a monotonic reading and are by the machine's clock as it is
// set at that moment, whatever it was when the key was charged.
type KeyState struct {
	TAT       time.Time     // see [gcra.State]
	Last      time.Time     // the latest slot
	Interval  time.Duration // of the latest charge; 0: never charged
	HeldUntil time.Time     // in the past: not held
}

// State returns the state of a key. ok is false if the backend does not keep the key: it has no
// debt and is not held.
func (b *Backend) State(key string) (s KeyState, ok bool) {
	b.ready()
	now := time.Now()
	at := func(instant int64) time.Time { return now.Add(time.Duration(instant) - now.Sub(b.epoch)) }
	in := b.shardOf(key)
	in.mu.Lock()
	defer in.mu.Unlock()
	e := in.keys[key]
	if e == nil {
		return KeyState{}, false
	}
	g := e.State()
	return KeyState{TAT: at(g.TAT), Last: at(g.Last), Interval: time.Duration(g.Interval), HeldUntil: at(e.closed)}, true
}

// SetState replaces the state of a key. Times before New count as New. Charges made before can't
// be taken back. It reports nothing to watchers: it is meant for a backend that is not in use
// yet.
func (b *Backend) SetState(key string, s KeyState) {
	b.ready()
	instant := func(t time.Time) int64 { return int64(min(max(t.Sub(b.epoch), 0), 2*backend.Unlimited)) }
	in := b.shardOf(key)
	in.mu.Lock()
	defer in.mu.Unlock()
	e := in.keys[key]
	if e == nil {
		e = in.add(key)
	}
	e.Ledger = gcra.NewLedger(gcra.State{TAT: instant(s.TAT), Last: instant(s.Last), Interval: int64(max(s.Interval, 0))})
	e.closed = instant(s.HeldUntil)
	b.extendHolds(e.closed)
}
