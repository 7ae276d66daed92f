package engine

import (
	"slices"
	"sync"
)

// top keeps the first n of the added elements in the order of compare. The first caller of first sorts
// them.
type top[E any] struct {
	n       int
	compare func(a, b E) int
	few     []E   // sorted, if n is at most fewTop
	blocks  [][]E // otherwise all elements

	once sync.Once // for few, from blocks
}

const (
	// fewTop is the largest n for which elements are sorted as they come. For a larger n, all are kept
	// and sorted at the end.
	fewTop = 256

	topBlock = 1024
)

func (t *top[E]) add(e E) {
	if t.n > fewTop {
		last := len(t.blocks) - 1
		if last < 0 || len(t.blocks[last]) == topBlock {
			t.blocks = append(t.blocks, make([]E, 0, topBlock))
			last++
		}
		t.blocks[last] = append(t.blocks[last], e)
		return
	}
	at, _ := slices.BinarySearchFunc(t.few, e, t.compare)
	if at >= t.n {
		return
	}
	if len(t.few) == t.n {
		t.few = t.few[:t.n-1]
	}
	t.few = slices.Insert(t.few, at, e)
}

// first returns the first n, or all if there are fewer. It is safe for concurrent use.
func (t *top[E]) first(n int) []E {
	t.once.Do(func() {
		if t.blocks != nil {
			t.few, t.blocks = slices.Concat(t.blocks...), nil
			slices.SortFunc(t.few, t.compare)
		}
	})
	return t.few[:max(0, min(n, len(t.few)))]
}
