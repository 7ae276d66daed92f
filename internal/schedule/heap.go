package schedule

// heap is a binary heap whose elements know their place, so that any of them
// can be moved or removed in O(log n).
type heap[E any] struct {
	items  []E
	before func(a, b E) bool
	place  func(e E) *int32 // where e notes its index
}

func (h *heap[E]) len() int { return len(h.items) }

// top is the first element; the heap must not be empty.
func (h *heap[E]) top() E { return h.items[0] }

func (h *heap[E]) push(e E) {
	h.items = append(h.items, e)
	h.up(len(h.items)-1, e)
}

// remove takes out e, which must be in the heap.
func (h *heap[E]) remove(e E) {
	i := int(*h.place(e))
	last := len(h.items) - 1
	moved := h.items[last]
	var zero E
	h.items[last] = zero
	h.items = h.items[:last]
	if i < last {
		h.settle(i, moved)
	}
}

// fix restores the order after e, which must be in the heap, has changed.
func (h *heap[E]) fix(e E) { h.settle(int(*h.place(e)), e) }

// settle puts e where it belongs, from index i up or down.
func (h *heap[E]) settle(i int, e E) {
	if i > 0 && h.before(e, h.items[(i-1)/2]) {
		h.up(i, e)
	} else {
		h.down(i, e)
	}
}

func (h *heap[E]) up(i int, e E) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.before(e, h.items[parent]) {
			break
		}
		h.set(i, h.items[parent])
		i = parent
	}
	h.set(i, e)
}

func (h *heap[E]) down(i int, e E) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.before(h.items[right], h.items[child]) {
			child = right
		}
		if !h.before(h.items[child], e) {
			break
		}
		h.set(i, h.items[child])
		i = child
	}
	h.set(i, e)
}

func (h *heap[E]) set(i int, e E) {
	h.items[i] = e
	*h.place(e) = int32(i)
}
