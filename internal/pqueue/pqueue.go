// Package pqueue has a priority queue from which any element can be removed.
//
// An element that is pushed behind all others is appended to a sorted run; all others go
// into a binary heap. So a queue in which most elements arrive in order, such as one that
// is ordered by time, costs O(1) an element and walks through memory from one end to the
// other, where a heap would jump about. Everything else costs O(log n). A queue of one
// element allocates nothing.
package pqueue

import "iter"

// Queue is a priority queue: [Queue.Top] is the element that comes before all others.
//
// The zero value is an empty queue. A Queue is not safe for concurrent use. The zero value
// of E cannot be an element, and an element can be in a queue only once.
//
// What an element is compared by may change only right before a call of [Queue.Fix] for
// it, and for one element at a time.
type Queue[E Element[E]] struct {
	first E        // the zero value if the queue is empty
	rest  *rest[E] // nil until the queue holds a second element
}

// Element is the type of a queue's elements, in most cases a pointer.
type Element[E any] interface {
	comparable

	// Before reports whether the element comes before another one.
	Before(E) bool

	// Position returns a pointer to a field that belongs to the queue: the queue writes
	// to it where the element is. An element that is in several queues at a time needs
	// a field, and a type, for each.
	Position() *int32
}

// rest holds all elements of a queue but the first.
type rest[E Element[E]] struct {
	run  []E    // sorted, from index from on; a removed element leaves the zero value
	from int    // if live > 0, neither run[from] nor the last element of run is the zero value
	live int    // number of elements in run
	base uint32 // sequence number of run[0]; elements keep theirs when they move in memory
	heap []E

	compared int // number of comparisons
}

// An element's position is onTop, its index in the heap (0 or more), or inRun less its
// sequence number in the run. Sequence numbers wrap around at wrap.
const (
	onTop = -1
	inRun = -2
	wrap  = 1 << 30
)

// muchMemory is the capacity from which a slice that is nearly empty is replaced.
const muchMemory = 1024

// Len returns the number of elements.
func (q *Queue[E]) Len() int {
	var none E
	switch {
	case q.first == none:
		return 0
	case q.rest == nil:
		return 1
	}
	return 1 + q.rest.live + len(q.rest.heap)
}

// Compared returns how many comparisons the queue has made, for tests of what an operation
// costs.
func (q *Queue[E]) Compared() int {
	if q.rest == nil {
		return 0
	}
	return q.rest.compared
}

// All iterates over the elements, in no particular order. The queue must not change
// meanwhile.
func (q *Queue[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		var none E
		if q.first == none || !yield(q.first) || q.rest == nil {
			return
		}
		for _, e := range q.rest.run[q.rest.from:] {
			if e != none && !yield(e) {
				return
			}
		}
		for _, e := range q.rest.heap {
			if !yield(e) {
				return
			}
		}
	}
}

// Top returns the element that comes before all others, or the zero value if the queue is
// empty.
func (q *Queue[E]) Top() E { return q.first }

// Push adds e, which must not be in the queue.
func (q *Queue[E]) Push(e E) {
	var none E
	if q.first == none {
		q.setFirst(e)
		return
	}
	if q.rest == nil {
		q.rest = &rest[E]{}
	}
	if q.rest.before(e, q.first) {
		old := q.first
		q.setFirst(e)
		e = old
	}
	q.rest.push(e)
}

func (q *Queue[E]) setFirst(e E) {
	q.first = e
	*e.Position() = onTop
}

// Remove removes e, which must be in the queue.
func (q *Queue[E]) Remove(e E) {
	if *e.Position() != onTop {
		q.rest.remove(e)
		return
	}
	var none E
	q.first = none
	if next := q.rest.top(); next != none {
		q.rest.remove(next)
		q.setFirst(next)
	}
}

// Fix restores the order after e, which must be in the queue, has changed.
func (q *Queue[E]) Fix(e E) {
	var none E
	if *e.Position() == onTop {
		if next := q.rest.top(); next == none || !q.rest.before(next, e) {
			return
		}
	}
	q.Remove(e)
	q.Push(e)
}

// before compares two elements and counts the comparison.
func (r *rest[E]) before(a, b E) bool {
	r.compared++
	return a.Before(b)
}

// top returns the first element of the rest, or the zero value if the rest is empty.
func (r *rest[E]) top() E {
	var none E
	switch {
	case r == nil || r.live == 0 && len(r.heap) == 0:
		return none
	case r.live == 0:
		return r.heap[0]
	case len(r.heap) == 0 || r.before(r.run[r.from], r.heap[0]):
		return r.run[r.from]
	}
	return r.heap[0]
}

func (r *rest[E]) push(e E) {
	if n := len(r.run); n > 0 && r.before(e, r.run[n-1]) {
		r.heap = append(r.heap, e)
		r.up(len(r.heap)-1, e)
		return
	}
	if n := len(r.run); n == cap(r.run) && r.from > n/2 {
		r.moveUp()
	}
	*e.Position() = inRun - int32((r.base+uint32(len(r.run)))%wrap)
	r.run = append(r.run, e)
	r.live++
}

// moveUp moves the run to the start of its memory. Sequence numbers stay the same.
func (r *rest[E]) moveUp() {
	n := copy(r.run, r.run[r.from:])
	clear(r.run[n:])
	r.run = r.run[:n]
	r.base += uint32(r.from)
	r.from = 0
}

func (r *rest[E]) remove(e E) {
	if place := *e.Position(); place >= 0 {
		r.removeFromHeap(int(place))
	} else {
		r.removeFromRun(int((uint32(inRun-place) - r.base) % wrap))
	}
}

func (r *rest[E]) removeFromRun(i int) {
	var none E
	r.run[i] = none
	r.live--
	if r.live == 0 {
		r.run, r.from = shrunk(r.run), 0
		return
	}
	for r.run[r.from] == none {
		r.from++
	}
	last := len(r.run) - 1
	for r.run[last] == none {
		last--
	}
	r.run = r.run[:last+1]
	if gaps := last + 1 - r.from - r.live; gaps > 64 && gaps > r.live || roomy(r.run, r.live) {
		r.closeGaps()
	}
}

// closeGaps moves the elements of the run together and gives them new sequence numbers.
func (r *rest[E]) closeGaps() {
	var none E
	n := 0
	for _, e := range r.run[r.from:] {
		if e != none {
			*e.Position() = inRun - int32((r.base+uint32(n))%wrap)
			r.run[n] = e
			n++
		}
	}
	clear(r.run[n:])
	r.run, r.from = fitted(r.run[:n]), 0
}

func (r *rest[E]) removeFromHeap(i int) {
	var none E
	last := len(r.heap) - 1
	moved := r.heap[last]
	r.heap[last] = none
	r.heap = r.heap[:last]
	switch {
	case last == 0:
		r.heap = shrunk(r.heap)
	case i == last:
	case i > 0 && r.before(moved, r.heap[(i-1)/2]):
		r.up(i, moved)
	default:
		r.down(i, moved)
	}
	r.heap = fitted(r.heap)
}

func (r *rest[E]) up(i int, e E) {
	for i > 0 {
		parent := (i - 1) / 2
		if !r.before(e, r.heap[parent]) {
			break
		}
		r.set(i, r.heap[parent])
		i = parent
	}
	r.set(i, e)
}

func (r *rest[E]) down(i int, e E) {
	for {
		child := 2*i + 1
		if child >= len(r.heap) {
			break
		}
		if right := child + 1; right < len(r.heap) && r.before(r.heap[right], r.heap[child]) {
			child = right
		}
		if !r.before(r.heap[child], e) {
			break
		}
		r.set(i, r.heap[child])
		i = child
	}
	r.set(i, e)
}

func (r *rest[E]) set(i int, e E) {
	r.heap[i] = e
	*e.Position() = int32(i)
}

// roomy reports whether s has far more capacity than the used elements need.
func roomy[E any](s []E, used int) bool { return cap(s) > muchMemory && used < cap(s)/8 }

// fitted returns s, copied to a smaller slice if s is roomy.
func fitted[E any](s []E) []E {
	if !roomy(s, len(s)) {
		return s
	}
	return append(make([]E, 0, 2*len(s)), s...)
}

// shrunk returns an empty slice, in the memory of s unless that is large.
func shrunk[E any](s []E) []E {
	if cap(s) > muchMemory {
		return nil
	}
	return s[:0]
}
