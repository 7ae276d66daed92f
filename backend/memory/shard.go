package memory

import (
	"hash/maphash"
	"math/bits"
	"runtime"
	"sync"
	"unsafe"
)

// The keys are divided into shards, each with a lock of its own. There are perProc shards for
// each thread that may run Go code, so that two goroutines seldom need the same lock. With
// more shards, less of what a goroutine reads would be in its cache. A set of shards is a
// word with a bit for each, so mostShards is its size.
const (
	perProc    = 4
	mostShards = 64
)

// shard is a part of the keys. No two shards share a cache line or a pair of lines.
type shard struct {
	keyset
	_ [128 - unsafe.Sizeof(keyset{})%128]byte
}

// keyset is what a shard holds.
type keyset struct {
	mu     sync.Mutex // guards what follows
	keys   map[string]*entry
	latest int64 // the instant of the latest decision; later ones use no earlier instant
	added  int   // keys added since dropSome last looked for keys to drop
	peak   int   // the most keys that this map ever had
}

// makeShards returns empty shards. Their number is a power of two.
func makeShards() []shard {
	all := make([]shard, 1<<bits.Len(uint(min(perProc*runtime.GOMAXPROCS(0), mostShards)-1)))
	for i := range all {
		all[i].clear()
	}
	return all
}

// seed is random, so that nobody can choose keys that fall into one shard.
var seed = maphash.MakeSeed()

// number returns the number of the shard that a key is in.
func (b *Backend) number(key string) uint64 { return maphash.String(seed, key) & b.mask }

func (b *Backend) shardOf(key string) *shard { return &b.shards[b.number(key)] }

// clear forgets all keys.
func (s *shard) clear() { s.keys, s.peak = make(map[string]*entry), 0 }

// add adds a key to the map.
func (s *shard) add(key string) *entry {
	e := &entry{}
	s.keys[key] = e
	s.added++
	s.peak = max(s.peak, len(s.keys))
	return e
}

// lock locks a set of shards, a bit for each. It locks them in order, so that two goroutines
// never wait for each other.
func (b *Backend) lock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Lock()
	}
}

// unlock unlocks a set of shards.
func (b *Backend) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Unlock()
	}
}

// every is the set of all shards.
func (b *Backend) every() uint64 { return 1<<len(b.shards) - 1 }
