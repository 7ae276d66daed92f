package goredis

import (
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// partSize is the most requests that one run of the script decides. The script takes a few
// microseconds a request, and the server does nothing else while it runs.
const partSize = 256

// batch holds requests of one or more callers that travel together. Those of one caller are
// decided in order.
type batch struct {
	parts  []*part
	latest map[uint16]*part // by hash slot; without a cluster all have slot 0
	places []place          // of the requests, in their order
	room   int              // the number of requests to allocate memory for
	shard  *shard           // the server that it goes to
	gone   int              // the number of requests that were withdrawn

	done chan struct{} // closed when all parts have an answer
	left []leftBehind  // by callers that did not wait; guarded by Backend.mu until done
}

// part is one run of the script and its result.
type part struct {
	keys     []string
	indexes  map[string]int32 // of keys, from 1 on; nil when the part is full
	requests []byte
	count    int

	reply  string
	offset int64 // to be added to the server's instants, nanoseconds
	err    error
	final  bool // err won't fix itself
}

// place is the position of a request.
type place struct {
	batch  *batch
	part   *part
	index  int
	offset int // in part.requests
}

func newBatch() *batch {
	return &batch{latest: make(map[uint16]*part), done: make(chan struct{})}
}

// add puts a request with limits into the batch. keys are the Redis keys of its limits,
// followed by those of HeldBy, all in the given hash slot.
func (b *batch) add(r *backend.Request, keys []string, slot uint16) {
	p := b.latest[slot]
	if p == nil || p.count == partSize {
		n := min(b.room, partSize)
		p = &part{
			keys:     make([]string, 0, n),
			indexes:  indexes.Get().(map[string]int32),
			requests: make([]byte, 0, n*requestSize),
		}
		b.latest[slot] = p
		b.parts = append(b.parts, p)
	}
	b.places = append(b.places, place{b, p, p.count, len(p.requests)})
	p.count++
	p.requests = appendRequest(p.requests, r)
	for i, key := range keys[:len(r.Limits)] {
		p.requests = appendLimit(p.requests, &r.Limits[i], p.index(key))
	}
	if len(r.HeldBy) > 0 {
		p.requests = appendHeldBy(p.requests, len(r.HeldBy))
		for _, key := range keys[len(r.Limits):] {
			p.requests = appendIndex(p.requests, p.index(key))
		}
	}
}

// index returns the index of a key in p.keys, counted from 1.
func (p *part) index(key string) int32 {
	index, ok := p.indexes[key]
	if !ok {
		p.keys = append(p.keys, key)
		index = int32(len(p.keys))
		p.indexes[key] = index
	}
	return index
}

// indexes holds empty maps for parts.
var indexes = sync.Pool{New: func() any { return make(map[string]int32) }}

// close says that no more requests will be added.
func (b *batch) close() {
	for _, p := range b.parts {
		clear(p.indexes)
		indexes.Put(p.indexes)
		p.indexes = nil
	}
}

// read returns the decision on the request at a place.
func (b *Backend) read(at place, r *backend.Request) backend.Decision {
	p := at.part
	if p.err == nil {
		return decision(p.reply, at.index, r, func(micros int64) time.Time {
			return b.epoch.Add(time.Duration(micros*1000 + p.offset))
		})
	}
	return backend.Decision{Binding: -1, Err: p.err, Undecided: !p.final}
}
