package memory

import (
	"hash/maphash"
	"math/bits"
	"runtime"
	"sync"
	"unsafe"
)

// The keys are in parts, each with a lock of its own: perProc for each thread
// that may run Go code, so that two seldom want one lock, but no more. The fewer
// parts there are, the more of what one goroutine reads is in its cache. A word
// tells a set of parts, hence mostShards.
const (
	perProc    = 4
	mostShards = 64
)

// shard is a part of the keys. No two share a cache line, nor a pair of lines.
type shard struct {
	keyset
	_ [128 - unsafe.Sizeof(keyset{})%128]byte
}

// keyset is what a shard holds.
type keyset struct {
	mu     sync.Mutex // guards what follows
	keys   map[string]*entry
	latest int64 // no decision to come is of an earlier instant
	added  int   // keys added since keys were dropped last
	peak   int   // the most keys that this map has held
}

// makeShards makes empty shards, a power of two.
func makeShards() []shard {
	all := make([]shard, 1<<bits.Len(uint(min(perProc*runtime.GOMAXPROCS(0), mostShards)-1)))
	for i := range all {
		all[i].clear()
	}
	return all
}

// seed keeps others from choosing keys of one shard.
var seed = maphash.MakeSeed()

// number returns the number of the shard that a key is in.
func (b *Backend) number(key string) uint64 { return maphash.String(seed, key) & b.mask }

func (b *Backend) shardOf(key string) *shard { return &b.shards[b.number(key)] }

// clear forgets all keys.
func (s *shard) clear() { s.keys, s.peak = make(map[string]*entry), 0 }

// add puts a new key into the map.
func (s *shard) add(key string) *entry {
	e := &entry{}
	s.keys[key] = e
	s.added++
	s.peak = max(s.peak, len(s.keys))
	return e
}

// lock locks a set of shards, a bit for each. It does so in their order, so that
// no two who lock several wait for each other.
func (b *Backend) lock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Lock()
	}
}

// unlock unlocks what lock locked.
func (b *Backend) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Unlock()
	}
}

// every is the set of all shards.
func (b *Backend) every() uint64 { return 1<<len(b.shards) - 1 }
