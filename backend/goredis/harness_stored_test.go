package goredis

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/redis/go-redis/v9"
)

// stored is what Redis holds of a limit.
type stored struct {
	at, tat, last, interval, closed, waiters float64
	base, slot, cost, count                  float64
	line, older                              string
}

// debtUntil is until when the limit must not be forgotten.
func (s stored) debtUntil() int64 { return int64(max(s.tat, s.closed)) }

func parseStored(t fatalT, value string) stored {
	t.Helper()
	if len(value) < 81 || (len(value)-81)%24 != 0 || value[0] != 3 {
		t.Fatalf("value of a limit = %q, want version 3, 10 doubles, and 3 for each older record", value)
	}
	var n [10]float64
	for i := range n {
		n[i] = math.Float64frombits(binary.LittleEndian.Uint64([]byte(value[1+8*i:])))
		if n[i] != math.Trunc(n[i]) {
			t.Fatalf("number %d of a limit = %v, want an integer", i, n[i])
		}
	}
	rest := 81 + 24*int(n[5])
	if rest > len(value) {
		t.Fatalf("value of a limit = %q, want 24 bytes for each of the %v who wait", value, n[5])
	}
	return stored{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], value[81:rest], value[rest:]}
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
