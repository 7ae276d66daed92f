package blocks

// Queue is a queue of elements in blocks, filled from a [List]. The zero value is empty. It is not safe
// for concurrent use.
type Queue[E any] struct {
	blocks [][]E // none is empty
	done   int   // blocks whose elements have been taken
	first  int   // the first element left in blocks[done]
}

// Empty reports whether there are no elements.
func (q *Queue[E]) Empty() bool { return q.done == len(q.blocks) }

// Refill moves all elements of a list to the queue, which must be empty, and gives the list empty
// blocks to fill. It returns the number of elements.
func (q *Queue[E]) Refill(from *List[E]) (n int) {
	for _, block := range q.blocks[:min(len(q.blocks), Spare)] {
		from.Recycle(block[:0]) // Pop has cleared it
	}
	q.done, q.first = 0, 0
	q.blocks = from.Drain(Reuse(q.blocks))
	for _, block := range q.blocks {
		n += len(block)
	}
	return n
}

// Take moves all elements of a list to the end of the queue.
func (q *Queue[E]) Take(from *List[E]) { q.blocks = from.Drain(q.blocks) }

// Pop removes and returns the first element. The queue must not be empty.
func (q *Queue[E]) Pop() E {
	var none E
	block := q.blocks[q.done]
	e := block[q.first]
	block[q.first] = none
	if q.first++; q.first == len(block) {
		if q.done >= Spare {
			q.blocks[q.done] = nil // so that it can be collected before the queue is empty
		}
		q.done, q.first = q.done+1, 0
	}
	return e
}

// PopBlock removes and returns the first elements, up to Size. The queue must not be empty.
func (q *Queue[E]) PopBlock() []E {
	block := q.blocks[q.done][q.first:]
	q.blocks[q.done] = nil
	q.done, q.first = q.done+1, 0
	if q.Empty() {
		*q = Queue[E]{}
	}
	return block
}
