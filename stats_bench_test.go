package dispatcher

import (
	"strconv"
	"testing"
)

// BenchmarkStats is Stats while many jobs wait, asked for by all processors at once.
func BenchmarkStats(b *testing.B) {
	for _, keys := range []int{1_000, 1_000_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) {
			d := newDispatcher(b)
			for i := range keys {
				if err := d.Submit(b.Context(), strconv.Itoa(i), 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					d.Stats()
				}
			})
		})
	}
}
