package goredis

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// weirdKeys are keys that are easily taken for others: by what quotes them, cuts
// them, decodes them, matches them as patterns or looks for hash tags.
func weirdKeys() []string {
	return []string{
		"", "None", "nil", " ", "\x00", "a\x00b", "a\r\nb", "\xff\xfe", "\xc3\x28", "\u00e9", "e\u0301",
		"{", "}", "{}", "{}a", "{}{a}", "{a}", "{a}b", "b{a}c", "{a}{b}", "{{a}}", "{a", "a}", "}{a}", "a{}b{c}", "{\x00}", "{\xff}x", "x{a}\xff",
		"*", "?", "[a-z]", "[^a]", `\*`, `\`, "a*", "h?llo", "123456789",
		strings.Repeat("k", 1<<20), "{" + strings.Repeat("t", 1<<16) + "}k",
	}
}

// Trap 20: the hash slot of a key is what the server says it is.
func TestSlotOf(t *testing.T) {
	client := clientWith(t, &redis.Options{Addr: redistest.Cluster(t)[0]})
	keys := weirdKeys()
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		key := make([]byte, random.IntN(12))
		for i := range key {
			key[i] = "{}ab\x00\xff"[random.IntN(6)]
		}
		keys = append(keys, string(key))
	}
	pipeline := client.Pipeline()
	var slots []*redis.IntCmd
	for _, key := range keys {
		slots = append(slots, pipeline.ClusterKeySlot(t.Context(), key))
	}
	if _, err := pipeline.Exec(t.Context()); err != nil {
		t.Fatalf("CLUSTER KEYSLOT: %v, want nil", err)
	}
	for i, key := range keys {
		if got, want := int64(slotOf(key)), slots[i].Val(); got != want {
			t.Errorf("slotOf(%.40q) = %d, want %d", key, got, want)
		}
	}
}
