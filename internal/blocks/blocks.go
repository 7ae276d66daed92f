// Package blocks implements queues in blocks of a fixed size: a queue of millions never copies its
// elements to grow, and can be worked off block by block.
package blocks

const (
	// Size is the most elements in a block. Working off a whole block makes no other work late.
	Size = 128

	// Spare is the most empty blocks that are kept for reuse.
	Spare = 32
)

// List collects elements, which are then taken out block by block. The zero value is empty. It is not
// safe for concurrent use.
type List[E any] struct {
	full  [][]E
	last  []E   // being filled
	spare [][]E // empty ones
}

// Add appends an element.
func (l *List[E]) Add(e E) {
	if len(l.last) == cap(l.last) {
		if len(l.last) > 0 {
			l.full = append(l.full, l.last)
		}
		if n := len(l.spare); n > 0 {
			l.last, l.spare[n-1] = l.spare[n-1], nil
			l.spare = l.spare[:n-1]
		} else {
			l.last = make([]E, 0, Size)
		}
	}
	l.last = append(l.last, e)
}

// Empty reports whether there are no elements.
func (l *List[E]) Empty() bool { return len(l.last) == 0 && len(l.full) == 0 }

// Drain moves all blocks to the end of others, and returns the result. None of them is empty.
func (l *List[E]) Drain(others [][]E) [][]E {
	others = append(others, l.full...)
	if len(l.last) > 0 {
		others = append(others, l.last)
	}
	clear(l.full)
	l.full, l.last = Reuse(l.full), nil
	return others
}

// Recycle takes back a block whose elements are not needed any more.
func (l *List[E]) Recycle(block []E) {
	clear(block) // so that the elements can be collected, even if something refers to the block
	if len(l.spare) < Spare {
		l.spare = append(l.spare, block[:0])
	}
}

// TakeSpare takes over the empty blocks of another list.
func (l *List[E]) TakeSpare(o *List[E]) { l.spare, o.spare = o.spare, nil }

// Reuse returns an empty slice with the memory of s, or nil if that is much.
func Reuse[E any](s []E) []E {
	if cap(s) > 16*Size {
		return nil
	}
	clear(s)
	return s[:0]
}
