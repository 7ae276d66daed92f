package goredis

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/redis/go-redis/v9"
)

// stored is what Redis holds of a limit.
type stored struct {
	at, tat, last, interval, closed, turn float64
	base, slot, cost, count               float64
	older                                 string
}

// debtUntil is until when the limit must not be forgotten.
func (s stored) debtUntil() int64 { return int64(max(s.tat, s.closed, s.turn)) }

func parseStored(t fatalT, value string) stored {
	t.Helper()
	if len(value) < 81 || (len(value)-81)%24 != 0 || value[0] != 2 {
		t.Fatalf("value of a limit = %q, want version 2, 10 doubles, and 3 for each older record", value)
	}
	var n [10]float64
	for i := range n {
		n[i] = math.Float64frombits(binary.LittleEndian.Uint64([]byte(value[1+8*i:])))
		if n[i] != math.Trunc(n[i]) {
			t.Fatalf("number %d of a limit = %v, want an integer", i, n[i])
		}
	}
	return stored{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], value[81:]}
}

// getStored reads a limit.
func getStored(t testing.TB, client redis.UniversalClient, key string) stored {
	t.Helper()
	value, err := client.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatalf("GET %q: %v, want nil", key, err)
	}
	return parseStored(t, value)
}
