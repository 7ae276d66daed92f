package goredis

import (
	"context"
	"runtime"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// maxCalls is how many calls may be on their way at once: while the server decides
// one batch, the next is on its way and those of the last one are being woken.
const maxCalls = 3

// Reserve implements [backend.Backend]. Requests of concurrent calls travel
// together. If ctx ends before the answer is here, Reserve returns its error at
// once, and what is granted later is given back.
//
// On a Redis Cluster of which a part is away, the requests for that part are
// Undecided.
func (b *Backend) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	decisions = decisions[:len(reqs)]
	remote := 0
	for i := range reqs {
		r, d := &reqs[i], &decisions[i]
		if err := b.Check(r.Limits); err != nil {
			*d = backend.Decision{Binding: -1, Err: err}
		} else if len(r.Limits) == 0 {
			*d = b.free(r)
		} else {
			*d = backend.Decision{Undecided: true}
			remote++
		}
	}
	if remote == 0 {
		return nil
	}
	sent, places := b.send(reqs, decisions, remote)
	select {
	case <-sent.done:
	case <-ctx.Done():
		if b.leave(sent, places, reqs, decisions) {
			return ctx.Err()
		}
	}
	var failure error
	undecided := 0
	for i := range reqs {
		if d := &decisions[i]; d.Undecided {
			*d = b.read(places[0], &reqs[i])
			places = places[1:]
			if d.Undecided {
				failure = d.Err
				undecided++
			}
		}
	}
	if undecided == len(reqs) {
		return failure
	}
	return nil
}

// free decides a request without limits, which is none of Redis's business.
func (b *Backend) free(r *backend.Request) backend.Decision {
	slot := time.Now()
	ahead := r.NotBefore.Sub(slot)
	if ahead > 0 {
		slot = slot.Add(ahead)
	}
	return backend.Decision{Granted: ahead <= max(r.Horizon, 0), Slot: slot, Binding: -1}
}

// send puts the undecided requests into the batch that goes next.
func (b *Backend) send(reqs []backend.Request, decisions []backend.Decision, n int) (*batch, []place) {
	var few [4]string
	keys := few[:0]
	if n > len(few) {
		keys = make([]string, 0, n)
	}
	for i := range reqs {
		if decisions[i].Undecided {
			keys = b.appendKeys(keys, &reqs[i])
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == nil {
		b.pending = newBatch()
		b.pending.room = b.size
		b.pending.places = make([]place, 0, b.size)
	}
	sent := b.pending
	start := len(sent.places)
	for i := range reqs {
		if r := &reqs[i]; decisions[i].Undecided {
			slot := uint16(0)
			if b.cluster {
				slot = slotOf(keys[0])
			}
			n := len(r.Limits) + len(r.HeldBy)
			sent.add(r, keys[:n], slot)
			keys = keys[n:]
		}
	}
	if b.calls < maxCalls {
		b.calls++
		go b.run()
	}
	return sent, sent.places[start:]
}

// appendKeys appends the keys in Redis of a request's limits, and then those of HeldBy.
// On a cluster, those of HeldBy that lie in another slot than the limits can't be looked
// at in the same step: the first limit's key takes their place, and says nothing new.
func (b *Backend) appendKeys(keys []string, r *backend.Request) []string {
	first := len(keys)
	for i := range r.Limits {
		keys = append(keys, b.prefix+r.Limits[i].Key)
	}
	for _, key := range r.HeldBy {
		key = b.prefix + key
		if b.cluster && slotOf(key) != slotOf(keys[first]) {
			key = keys[first]
		}
		keys = append(keys, key)
	}
	return keys
}

// run makes calls until no batch is pending. It is a goroutine of its own, since
// a call must go on when one of those who wait for it has gone. The client's
// timeouts bound it.
func (b *Backend) run() {
	for {
		// Those that an answer has just woken ask again at once, as a rule: once
		// they have had their turn their requests travel together.
		runtime.Gosched()
		next := b.takePending()
		if next == nil {
			return
		}
		b.call(next)
		b.mu.Lock()
		close(next.done)
		left := next.left
		b.mu.Unlock()
		for _, l := range left {
			go b.giveBack(l)
		}
	}
}

// takePending returns the batch that goes next. If there is none, a call less is
// on its way.
func (b *Backend) takePending() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.pending
	b.pending = nil
	if next == nil {
		b.calls--
		return nil
	}
	b.size = len(next.places)
	next.close()
	return next
}

// leftBehind is the requests of a caller that did not wait for the answer. The
// slots that they are granted nobody will use.
type leftBehind struct {
	places   []place
	requests []backend.Request
}

// leave notes that a caller has gone, unless the answer is here. What has not been
// sent yet will be refused.
func (b *Backend) leave(sent *batch, places []place, reqs []backend.Request, decisions []backend.Decision) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-sent.done:
		return false
	default:
	}
	if sent == b.pending {
		for _, at := range places {
			withdraw(at.part.requests[at.offset:])
		}
		return true
	}
	left := leftBehind{places: places}
	for i := range reqs {
		if decisions[i].Undecided {
			r := reqs[i]
			r.Limits = append([]backend.Limit(nil), r.Limits...)
			r.HeldBy = nil // the caller's too, and done with
			left.requests = append(left.requests, r)
		}
	}
	sent.left = append(sent.left, left)
	return true
}

// giveBack releases what was granted to a caller that has gone, the latest first. If
// that fails the slots are lost.
func (b *Backend) giveBack(left leftBehind) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i := len(left.requests) - 1; i >= 0 && ctx.Err() == nil; i-- {
		r := &left.requests[i]
		if d := b.read(left.places[i], r); d.Granted {
			_ = b.Release(ctx, r.Limits, d.Stamp)
		}
	}
}
