package goredis

import (
	"context"
	"runtime"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// maxCalls is the most calls in flight at once. While the server decides one batch, the next
// is on its way, and the callers of the last one wake up.
const maxCalls = 3

// Reserve implements [backend.Backend]. Requests of concurrent calls travel together. If ctx
// ends before the answer arrives, Reserve returns its error at once, and slots granted later
// are given back.
//
// If part of a Redis Cluster is unavailable, the requests for that part are Undecided.
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
	var places []place
	var hangs map[*batch]bool
	if remote == 1 && ctx.Done() == nil && !b.cluster {
		places = b.callHere(reqs, decisions)
	}
	if places == nil {
		var err error
		places = b.send(reqs, decisions, remote)
		if hangs, err = b.wait(ctx, places, reqs, decisions); err != nil {
			return err
		}
	}
	var failure error
	undecided := 0
	for i := range reqs {
		if d := &decisions[i]; d.Undecided {
			if hangs[places[0].batch] {
				*d = backend.Decision{Binding: -1, Err: errNodeHangs, Undecided: true}
			} else {
				*d = b.read(places[0], &reqs[i])
			}
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

// callHere makes the call for the only undecided request in this goroutine, which is faster.
// It does nothing if other calls are in flight. The caller must not need to return before the
// answer arrives.
func (b *Backend) callHere(reqs []backend.Request, decisions []backend.Decision) []place {
	b.mu.Lock()
	if b.calls > 0 || b.pending != nil {
		b.mu.Unlock()
		return nil
	}
	b.calls++
	b.mu.Unlock()
	defer func() { // also if a hook of the client panics
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.pending != nil {
			go b.run(&b.shard)
		} else {
			b.calls--
		}
	}()
	bt := newBatch()
	bt.shard = &b.shard
	for i := range reqs {
		if r := &reqs[i]; decisions[i].Undecided {
			var few [4]string
			bt.add(r, b.appendKeys(few[:0], r), 0)
		}
	}
	bt.close()
	b.call(bt)
	return bt.places
}

// wait waits until the requests are decided. On a cluster it waits for nodePatience at most,
// and returns the batches that have no answer by then.
func (b *Backend) wait(ctx context.Context, places []place, reqs []backend.Request, decisions []backend.Decision) (hangs map[*batch]bool, err error) {
	var late <-chan time.Time
	if b.cluster {
		timer := time.NewTimer(b.patience)
		defer timer.Stop()
		late = timer.C
	}
	var last *batch
	for _, at := range places {
		if at.batch == last {
			continue
		}
		last = at.batch
		select {
		case <-last.done:
			continue
		default:
		}
		select {
		case <-last.done:
		case <-ctx.Done():
			if left := b.leave(places, reqs, decisions, true); len(left) > 0 {
				return nil, ctx.Err()
			}
			return nil, nil
		case <-late:
			b.reloadCluster()
			return b.leave(places, reqs, decisions, false), nil
		}
	}
	return nil, nil
}

// free decides a request without limits, which needs no Redis.
func (b *Backend) free(r *backend.Request) backend.Decision {
	slot := time.Now()
	ahead := r.NotBefore.Sub(slot)
	if ahead > 0 {
		slot = slot.Add(ahead)
	}
	return backend.Decision{Granted: ahead <= max(r.Horizon, 0), Slot: slot, Binding: -1}
}

// send adds the undecided requests to the batches that go next, and returns their places.
func (b *Backend) send(reqs []backend.Request, decisions []backend.Decision, n int) []place {
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
	var own []place // on a cluster, where they may be in several batches
	var sent *batch
	start, node := 0, ""
	for i := range reqs {
		if r := &reqs[i]; decisions[i].Undecided {
			slot := uint16(0)
			if b.cluster {
				slot, node = slotOf(keys[0]), b.nodeOf(keys[0])
			}
			to := b.next(b.shardAt(node))
			if sent == nil {
				sent, start = to, len(to.places)
			}
			k := len(r.Limits) + len(r.HeldBy)
			to.add(r, keys[:k], slot)
			keys = keys[k:]
			if b.cluster {
				own = append(own, to.places[len(to.places)-1])
			}
		}
	}
	if b.cluster {
		return own
	}
	return sent.places[start:]
}

// next returns the batch that goes to a shard next, and starts a call for it if fewer than
// maxCalls are in flight. It requires that b.mu is held.
func (b *Backend) next(s *shard) *batch {
	if s.pending == nil {
		s.pending = newBatch()
		s.pending.shard = s
		s.pending.room = s.size
		s.pending.places = make([]place, 0, s.size)
	}
	if s.calls < maxCalls {
		s.calls++
		go b.run(s)
	}
	return s.pending
}

// appendKeys appends the Redis keys of a request's limits, followed by those of HeldBy. On a
// cluster, a script can't read keys of HeldBy in another hash slot than the limits. The first
// limit's key replaces them, which changes nothing.
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

// run makes calls to a shard until no batch is pending. It runs in its own goroutine, since a
// call must continue when one of its callers stops waiting. The client's timeouts bound it.
func (b *Backend) run(s *shard) {
	for {
		// Callers that an answer has just woken usually ask again at once. Let them run
		// first, so that their requests travel together.
		runtime.Gosched()
		next := b.takePending(s)
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

// takePending returns the batch that goes next. If there is none, it counts one call less.
func (b *Backend) takePending(s *shard) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := s.pending
	s.pending = nil
	if next == nil {
		s.calls--
		return nil
	}
	s.size = len(next.places)
	next.close()
	return next
}

// leftBehind holds the requests of a caller that did not wait for the answer. Slots granted to
// them will not be used.
type leftBehind struct {
	places   []place
	requests []backend.Request
}

// leave records that a caller stops waiting, and returns the batches without an answer. It
// withdraws requests that were not sent yet. If wantsNone is set and some answers are missing,
// slots of the answers that have arrived are given back too.
func (b *Backend) leave(places []place, reqs []backend.Request, decisions []backend.Decision, wantsNone bool) map[*batch]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := make(map[*batch]bool)
	lefts := make(map[*batch]*leftBehind)
	for _, at := range places {
		select {
		case <-at.batch.done:
		default:
			open[at.batch] = true
		}
	}
	if len(open) == 0 {
		return nil
	}
	for i := range reqs {
		if !decisions[i].Undecided {
			continue
		}
		at := places[0]
		places = places[1:]
		s := at.batch.shard
		switch {
		case at.batch == s.pending:
			withdraw(at.part.requests[at.offset:])
			if at.batch.gone++; b.cluster && at.batch.gone == len(at.batch.places) {
				at.batch.close()
				s.pending = nil // nobody waits for it, and it would grow while the node hangs
			}
		case open[at.batch] || wantsNone:
			left := lefts[at.batch]
			if left == nil {
				left = &leftBehind{}
				lefts[at.batch] = left
			}
			r := reqs[i]
			r.Limits = append([]backend.Limit(nil), r.Limits...)
			r.HeldBy = nil // the caller's too, and done with
			left.places = append(left.places, at)
			left.requests = append(left.requests, r)
		}
	}
	for bt, left := range lefts {
		if open[bt] {
			bt.left = append(bt.left, *left)
		} else {
			go b.giveBack(*left)
		}
	}
	return open
}

// giveBack releases the slots granted to a caller that did not wait, the latest first. If that
// fails, the slots are lost.
func (b *Backend) giveBack(left leftBehind) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for i := len(left.requests) - 1; i >= 0 && ctx.Err() == nil; i-- {
		r := &left.requests[i]
		if d := b.read(left.places[i], r); d.Granted {
			_ = b.Release(ctx, r.Limits, d.Token)
		}
	}
}
