package schedule

import "iter"

// queue is a priority queue. Its elements know their place, so that any of them
// can be moved or removed.
//
// An element that is pushed behind all others, as most are where the order is
// that of time, is appended to a sorted run; only the others go into a binary
// heap. So pushing and taking in order is O(1) and goes through memory from one
// end to the other, where a heap would jump through all of it; the rest is
// O(log n). A queue of one element, as most are, needs no memory of its own.
//
// What an element is compared by may change only right before fix is called for
// it, and of one element at a time.
//
// The zero value is an empty queue. Elements are never the zero value of E.
type queue[E element[E]] struct {
	first E        // the zero value: none
	rest  *rest[E] // nil until there have been two elements
}

// element is what a queue holds.
type element[E any] interface {
	comparable
	before(E) bool
	place() *int32 // where the queue notes where the element is
}

// rest is all elements of a queue but the first.
type rest[E element[E]] struct {
	run  []E    // in order, from from on; the zero value where one has left
	from int    // run[from] and the last are not zero values
	live int    // elements in run
	base uint32 // the number of run[0]: it does not change when elements move up
	heap []E

	compared int // how often two elements were compared, for the tests
}

// An element's place is onTop, its index in the heap, or inRun less its number in
// the run, which goes from 0 to numbers-1 and around.
const (
	onTop   = -1
	inRun   = -2
	numbers = 1 << 30
)

func (q *queue[E]) len() int {
	var none E
	switch {
	case q.first == none:
		return 0
	case q.rest == nil:
		return 1
	}
	return 1 + q.rest.live + len(q.rest.heap)
}

// all iterates over the elements, in no particular order.
func (q *queue[E]) all() iter.Seq[E] {
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

// top is the first element; the queue must not be empty.
func (q *queue[E]) top() E { return q.first }

func (q *queue[E]) push(e E) {
	var none E
	if q.first == none {
		q.lift(e)
		return
	}
	if q.rest == nil {
		q.rest = &rest[E]{}
	}
	if q.rest.before(e, q.first) {
		old := q.first
		q.lift(e)
		e = old
	}
	q.rest.push(e)
}

func (q *queue[E]) lift(e E) {
	q.first = e
	*e.place() = onTop
}

// remove takes out e, which must be in the queue.
func (q *queue[E]) remove(e E) {
	if *e.place() != onTop {
		q.rest.remove(e)
		return
	}
	var none E
	q.first = none
	if next := q.rest.top(); next != none {
		q.rest.remove(next)
		q.lift(next)
	}
}

// fix restores the order after e, which must be in the queue, has changed.
func (q *queue[E]) fix(e E) {
	var none E
	if *e.place() == onTop {
		if next := q.rest.top(); next == none || !q.rest.before(next, e) {
			return
		}
	}
	q.remove(e)
	q.push(e)
}

func (r *rest[E]) before(a, b E) bool {
	r.compared++
	return a.before(b)
}

// top is the first element, the zero value if there is none.
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
	*e.place() = inRun - int32((r.base+uint32(len(r.run)))%numbers)
	r.run = append(r.run, e)
	r.live++
}

// moveUp gives the room in front of the run back. No element's number changes.
func (r *rest[E]) moveUp() {
	n := copy(r.run, r.run[r.from:])
	clear(r.run[n:])
	r.run = r.run[:n]
	r.base += uint32(r.from)
	r.from = 0
}

func (r *rest[E]) remove(e E) {
	if place := *e.place(); place >= 0 {
		r.removeFromHeap(int(place))
	} else {
		r.removeFromRun(int((uint32(inRun-place) - r.base) % numbers))
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

// closeGaps moves the elements of the run up.
func (r *rest[E]) closeGaps() {
	var none E
	n := 0
	for _, e := range r.run[r.from:] {
		if e != none {
			*e.place() = inRun - int32((r.base+uint32(n))%numbers)
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
	*e.place() = int32(i)
}

// roomy reports whether a slice has much more room than so many elements need.
func roomy[E any](s []E, used int) bool { return cap(s) > muchMemory && used < cap(s)/8 }

// fitted is s, in less memory if that has become much.
func fitted[E any](s []E) []E {
	if !roomy(s, len(s)) {
		return s
	}
	return append(make([]E, 0, 2*len(s)), s...)
}

// shrunk is an empty slice, in the memory of s if that is not much.
func shrunk[E any](s []E) []E {
	if cap(s) > muchMemory {
		return nil
	}
	return s[:0]
}
