package schedule

import "iter"

// blockList is a list of elements in blocks: it grows without copying them.
type blockList[E any] struct {
	first []E
	more  [][]E
	n     int
}

// blockSize is how many elements a block has at most.
const blockSize = 512

// add adds an element and returns a pointer to it. About expect more elements will follow.
func (p *blockList[E]) add(e E, expect int) *E {
	block := &p.first
	if last := len(p.more) - 1; last >= 0 {
		block = &p.more[last]
	}
	if len(*block) == cap(*block) {
		next := make([]E, 0, min(expect+1, blockSize))
		if p.n == 0 {
			p.first = next
		} else {
			p.more = append(p.more, next)
			block = &p.more[len(p.more)-1]
		}
	}
	*block = append(*block, e)
	p.n++
	return &(*block)[len(*block)-1]
}

// all iterates over the elements, in the order in which they were added.
func (p *blockList[E]) all() iter.Seq2[int, *E] {
	return func(yield func(int, *E) bool) {
		n := 0
		for b := -1; b < len(p.more); b++ {
			block := p.first
			if b >= 0 {
				block = p.more[b]
			}
			for i := range block {
				if !yield(n, &block[i]) {
					return
				}
				n++
			}
		}
	}
}
