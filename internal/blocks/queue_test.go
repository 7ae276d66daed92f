package blocks

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A queue gives out what a list got, in order, however it is taken out and refilled.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			list       List[int]
			q          Queue[int]
			added, got []int
		)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*Size).Draw(t, "elements") {
					list.Add(len(added))
					added = append(added, len(added))
				}
			},
			"refill": func(t *rapid.T) {
				if !q.Empty() {
					t.Skip("it is for empty queues")
				}
				want := len(added) - len(got)
				if n := q.Refill(&list); n != want {
					t.Fatalf("Refill() = %d, want %d", n, want)
				}
			},
			"take": func(*rapid.T) { q.Take(&list) },
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*Size).Draw(t, "elements") {
					if !q.Empty() {
						got = append(got, q.Pop())
					}
				}
			},
			"popBlock": func(t *rapid.T) {
				if q.Empty() {
					t.Skip("there is no block")
				}
				block := q.PopBlock()
				if len(block) == 0 || len(block) > Size {
					t.Fatalf("PopBlock() has %d elements, want 1 to %d", len(block), Size)
				}
				got = append(got, block...)
			},
			"": func(t *rapid.T) {
				if !slices.Equal(got, added[:len(got)]) {
					t.Fatalf("got %v, want the first of %v", got, added)
				}
			},
		})
	})
}
