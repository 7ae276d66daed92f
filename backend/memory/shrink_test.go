package memory

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// A map that was large and is nearly empty is made anew, by a sweep or without
// one, since to range over it takes as long as if it were full.
func TestMapIsMadeAnew(t *testing.T) {
	second := gcra.FreqLimitParams{Limit: 1, Period: time.Second}
	add := func(t *testing.T, b *Backend, key string) {
		reqs := []backend.Request{{Limits: []backend.Limit{{Key: key, Params: second}}}}
		if err := b.Reserve(t.Context(), reqs, make([]backend.Decision, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for name, drop := range map[string]func(t *testing.T, b *Backend){
		"by Sweep": func(t *testing.T, b *Backend) { b.Sweep() },
		"by Clear": func(t *testing.T, b *Backend) { _ = b.Clear(t.Context()) },
		"by new keys": func(t *testing.T, b *Backend) {
			for i := range 20_000 {
				add(t, b, fmt.Sprint("new", i))
				time.Sleep(100 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{})
				for i := range 20_000 {
					add(t, b, fmt.Sprint(i))
				}
				time.Sleep(time.Second)
				drop(t, b)
				if b.peak >= shrinkFrom || len(b.keys) > b.peak {
					t.Errorf("peak of the map with %d keys = %d, want a new map", len(b.keys), b.peak)
				}
			})
		})
	}
}
