package blocks

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A list drains what was added, in order and in blocks, whatever was drained and recycled before.
func TestList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l List[*int]
		next := 0
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			n := rapid.IntRange(0, 5*Size).Draw(t, "elements")
			var want []*int
			for range n {
				n := next
				want = append(want, &n)
				l.Add(want[len(want)-1])
				next++
			}
			if got := l.Empty(); got != (n == 0) {
				t.Fatalf("Empty() = %t with %d elements", got, n)
			}
			blocks := l.Drain(nil)
			if got := slices.Concat(blocks...); !slices.Equal(got, want) {
				t.Fatalf("drained %d elements, want the %d that were added", len(got), n)
			}
			for _, b := range blocks {
				if len(b) == 0 || len(b) > Size {
					t.Fatalf("a block has %d elements, want 1 to %d", len(b), Size)
				}
				whole := b
				l.Recycle(b)
				if whole[0] != nil {
					t.Fatal("a recycled block holds on to an element")
				}
			}
			if !l.Empty() || len(l.spare) > Spare {
				t.Fatalf("after draining: Empty() = %t, %d spare blocks; want true, %d at most", l.Empty(), len(l.spare), Spare)
			}
		}
	})
}
