package goredis

import (
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// partSize is how many requests one run of the script decides at most: while it
// runs, which takes a few microseconds a request, the server does nothing else.
const partSize = 256

// batch is the requests that travel together, of one or more callers. Those of
// one caller are decided in their order.
type batch struct {
	parts  []*part
	latest map[uint16]*part // by hash slot; off a cluster all have slot 0
	places []place          // of the requests, in their order
	room   int              // for how many requests memory is taken at first
	shard  *shard           // to which it goes
	gone   int              // how many of the requests were withdrawn

	done chan struct{} // closed when all parts have an answer
	left []leftBehind  // by callers that have gone; until then, under Backend.mu
}

// part is one run of the script, and what came of it.
type part struct {
	keys     []string
	indexes  map[string]int32 // of keys, from 1 on; nil when the part is full
	requests []byte
	count    int

	reply  string
	offset int64 // to be added to the server's instants, nanoseconds
	err    error
	final  bool // err does not go away by itself
}

// place is where a request is.
type place struct {
	batch  *batch
	part   *part
	index  int
	offset int // in part.requests
}

func newBatch() *batch {
	return &batch{latest: make(map[uint16]*part), done: make(chan struct{})}
}

// add puts a request with limits into the batch. keys are those of its limits in
// Redis, and then those of HeldBy, all in the given hash slot.
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

// index returns the index of a key in p.keys, from 1 on.
func (p *part) index(key string) int32 {
	index, ok := p.indexes[key]
	if !ok {
		p.keys = append(p.keys, key)
		index = int32(len(p.keys))
		p.indexes[key] = index
	}
	return index
}

// indexes are empty maps, for parts.
var indexes = sync.Pool{New: func() any { return make(map[string]int32) }}

// close says that nothing is added any more.
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
