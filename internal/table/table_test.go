package table

import (
	"fmt"
	"maps"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// A Map answers as a Go map does, whatever its size was before.
func TestMapIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[int, int]
		want := map[int]int{}
		for range rapid.IntRange(1, 6).Draw(t, "phases") {
			first, n := rapid.IntRange(0, 3000).Draw(t, "first"), rapid.IntRange(0, 3000).Draw(t, "n")
			do := rapid.IntRange(0, 2).Draw(t, "do")
			for key := first; key < first+n; key++ {
				before := len(m.old)
				switch {
				case do == 0:
					m.Set(key, first+key)
					want[key] = first + key
				case do == 1 || key%40 > 0:
					m.Delete(key)
					delete(want, key)
				}
				if moved := before - len(m.old); moved > moveAtOnce+1 {
					t.Fatalf("a call moves %d entries, want at most %d", moved, moveAtOnce)
				}
			}
			got := maps.Collect(m.All())
			if m.Len() != len(want) || !maps.Equal(got, want) {
				t.Fatalf("Len() = %d, and %d are found, want %d", m.Len(), len(got), len(want))
			}
			for key := range 6000 {
				v, ok := m.Get(key)
				if is, has := want[key]; v != is || ok != has || m.Has(key) != has {
					t.Fatalf("Get(%d) = %d, %v, want %d, %v", key, v, ok, is, has)
				}
			}
		}
	})
}

// The maps that a Map is made of have never held many times more than is left, but while
// it moves.
func TestMapShrinks(t *testing.T) {
	var m Map[int, int]
	fill := func(n int) {
		for key := range n {
			m.Set(key, key)
		}
	}
	const many = 100_000
	for _, left := range []int{0, 1, 100, 5000} {
		fill(many)
		for key := left; key < many; key++ {
			m.Delete(key)
		}
		for range many { // others come and go
			m.Set(-1, 0)
			m.Delete(-1)
		}
		if room := m.Room(); room > max(shrinkBy*(left+1), shrinkFrom) {
			t.Errorf("with %d entries left, there is room for %d", m.Len(), room)
		}
	}
	fill(many)
	for key := range m.All() {
		m.Delete(key)
	}
	if m.Len() != 0 {
		t.Errorf("%d entries are left after each was visited and deleted", m.Len())
	}
}

// A walk visits what is there all the while once, though the map shrinks before and
// wants to meanwhile.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[int, *int]
		number := func(i int) *int { return &i }
		n := rapid.IntRange(0, 5000).Draw(t, "n")
		for key := range n {
			m.Set(key, number(key))
		}
		keep := rapid.IntRange(0, n).Draw(t, "keep")
		for key := n - 1; key >= keep; key-- { // perhaps in the middle of a move
			m.Delete(key)
		}
		stays := rapid.IntRange(0, keep).Draw(t, "stays")
		stop := rapid.IntRange(0, 2*n).Draw(t, "stop")
		seen, steps, leaves := map[int]int{}, 0, stays
		w := m.Walk()
		for v, ok := w.Next(); ok && steps < stop; v, ok = w.Next() {
			seen[*v]++
			if *v < stays && seen[*v] > 1 {
				t.Fatalf("entry %d of those that stay is visited twice", *v)
			}
			switch steps++; steps % 3 {
			case 0:
				m.Set(n+steps, number(n+steps))
			case 1:
				m.Delete(leaves)
				leaves++
			case 2:
				m.Set(*v, v)
			}
		}
		w.Stop()
		w.Stop()
		if _, ok := w.Next(); ok {
			t.Fatal("a walk goes on after Stop")
		}
		for key := range stays {
			if steps < stop && seen[key] == 0 {
				t.Fatalf("entry %d of %d that stay has not been visited", key, stays)
			}
		}
		if m.walked != 0 {
			t.Fatalf("%d walks go on after the last one has ended", m.walked)
		}
	})
}

// BenchmarkMap is what a map keeps of entries that have left, and what its calls cost.
func BenchmarkMap(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprintf("key %07d", i)
		}
		b.Run(fmt.Sprint("entries=", n), func(b *testing.B) {
			var m *Map[string, *int]
			before := heapInUse()
			for b.Loop() {
				m = &Map[string, *int]{}
				for _, key := range keys {
					m.Set(key, nil)
				}
				for _, key := range keys {
					m.Get(key)
				}
				for _, key := range keys {
					m.Delete(key)
				}
			}
			b.ReportMetric(float64(heapInUse()-before), "B-kept")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(3*n), "ns/call")
			runtime.KeepAlive(m)
		})
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
