package memory

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// A table that was large and is nearly empty gives back its room, by a sweep or
// without one.
func TestRoomIsGivenBack(t *testing.T) {
	second := gcra.FreqLimitParams{Limit: 1, Period: time.Second}
	for name, drop := range map[string]func(t *testing.T, b *Backend){
		"by Sweep": func(t *testing.T, b *Backend) { b.Sweep() },
		"by Clear": func(t *testing.T, b *Backend) { _ = b.Clear(t.Context()) },
		"by new keys": func(t *testing.T, b *Backend) {
			for i := range 20_000 {
				take(t, b, fmt.Sprint("new", i), second)
				time.Sleep(100 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{})
				for i := range 20_000 {
					take(t, b, fmt.Sprint(i), second)
				}
				time.Sleep(time.Second)
				drop(t, b)
				if n := b.Len(); n >= 1024 {
					t.Errorf("%d of more than 20000 keys are kept, want few", n)
				}
				for i := range b.shards {
					s := &b.shards[i]
					if n := len(s.keys); s.peak >= shrinkFrom && n < s.peak/shrinkBy {
						t.Errorf("map of a shard with %d keys has held %d, want a new one", n, s.peak)
					}
				}
			})
		})
	}
}
