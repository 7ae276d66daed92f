package pqueue

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// item is an element of a queue. Ids are unique.
type item struct {
	by, id int
	at     int32
}

func (i *item) Before(o *item) bool { return i.compare(o) < 0 }
func (i *item) Position() *int32    { return &i.at }
func (i *item) compare(o *item) int { return cmp.Or(cmp.Compare(i.by, o.by), cmp.Compare(i.id, o.id)) }

// The queue holds what a sorted list holds, whatever is pushed, moved and removed, in order or
// not.
func TestQueueAgreesWithASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[*item]
		if rapid.Bool().Draw(t, "sequence numbers wrap around") {
			q.rest = &rest[*item]{base: math.MaxUint32 - 5}
		}
		var all []*item
		next := 0
		inOrder := rapid.IntRange(0, 10).Draw(t, "in order") // of 10
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for id := range rapid.IntRange(0, 600).Draw(t, "steps") {
			switch do := random.IntN(10); {
			case do < 5 || len(all) == 0:
				next += random.IntN(3)
				i := &item{by: next, id: id}
				if random.IntN(10) >= inOrder {
					i.by = random.IntN(next + 1)
				}
				q.Push(i)
				all = append(all, i)
			case do < 7:
				top := q.Top()
				q.Remove(top)
				all = slices.DeleteFunc(all, func(i *item) bool { return i == top })
			case do < 8:
				at := random.IntN(len(all))
				q.Remove(all[at])
				all = slices.Delete(all, at, at+1)
			default:
				i := all[random.IntN(len(all))]
				i.by = random.IntN(next + 5)
				q.Fix(i)
			}
			if q.Len() != len(all) {
				t.Fatalf("Len() = %d, want %d", q.Len(), len(all))
			}
			if len(all) > 0 && q.Top() != slices.MinFunc(all, (*item).compare) {
				t.Fatalf("Top() = %v, want %v", *q.Top(), *slices.MinFunc(all, (*item).compare))
			}
		}
		slices.SortFunc(all, (*item).compare)
		for _, want := range all {
			if got := q.Top(); got != want {
				t.Fatalf("Top() = %v, want %v", *got, *want)
			}
			q.Remove(want)
		}
		if q.Len() != 0 {
			t.Fatalf("Len() = %d at the end, want 0", q.Len())
		}
	})
}

// Elements that come and go in order cost a number of comparisons that does not grow with the
// length of the queue, and the memory follows the number of elements in the queue.
func TestQueueInOrder(t *testing.T) {
	for _, n := range []int{10, 100_000} {
		var q Queue[*item]
		id := 0
		push := func() {
			q.Push(&item{by: id, id: id})
			id++
		}
		for range n {
			push()
		}
		before := q.rest.compared
		for range 10 * n {
			q.Remove(q.Top())
			push()
		}
		if got := float64(q.rest.compared-before) / float64(10*n); got > 3 {
			t.Errorf("%d elements: %.1f comparisons for one pushed and one removed, want at most 3", n, got)
		}
		if got := cap(q.rest.run); got > 4*n {
			t.Errorf("%d elements: the run has room for %d, want at most 4 times as many", n, got)
		}
	}
}

// Elements that are removed from the middle give their memory back, even while the first one
// stays.
func TestQueueClosesGaps(t *testing.T) {
	var q Queue[*item]
	q.Push(&item{by: 0})
	q.Push(&item{by: 1})
	var lasts []*item
	for id := 2; id < 100_000; id++ {
		i := &item{by: id, id: id}
		q.Push(i)
		if lasts = append(lasts, i); len(lasts) > 5 {
			q.Remove(lasts[0])
			lasts = lasts[1:]
		}
	}
	if got := cap(q.rest.run); got > 1000 {
		t.Errorf("the run has room for %d elements, want little more than 7", got)
	}
	if q.Len() != 7 {
		t.Errorf("Len() = %d, want 7", q.Len())
	}
}

// A queue that was long and is short gives its memory back, whichever elements were removed.
func TestQueueShrinksWhileInUse(t *testing.T) {
	const n, left = 100_000, 500
	for name, leaves := range map[string]func(i int) bool{
		"first": func(i int) bool { return i < n-left },
		"last":  func(i int) bool { return i >= left },
		"most":  func(i int) bool { return i%(n/left) != 0 },
	} {
		for _, inOrder := range []bool{true, false} {
			var q Queue[*item]
			var all, stay []*item
			for id := range n {
				i := &item{by: id, id: id}
				if !inOrder {
					i.by = -id
				}
				q.Push(i)
				all = append(all, i)
			}
			for i, e := range all {
				if leaves(i) {
					q.Remove(e)
				} else {
					stay = append(stay, e)
				}
			}
			if r := q.rest; cap(r.run)+cap(r.heap) > 10*left+2*muchMemory {
				t.Errorf("removed: %s, in order: %v; room for %d and %d elements, want little more than %d",
					name, inOrder, cap(r.run), cap(r.heap), left)
			}
			slices.SortFunc(stay, (*item).compare)
			for _, want := range stay {
				if got := q.Top(); got != want {
					t.Fatalf("removed: %s, in order: %v; Top() = %v, want %v", name, inOrder, *got, *want)
				}
				q.Remove(want)
			}
		}
	}
}

// A queue that was long gives its memory back when it is empty.
func TestQueueShrinks(t *testing.T) {
	var q Queue[*item]
	var all []*item
	for id := range 100_000 {
		i := &item{by: id, id: id}
		if id%2 == 1 {
			i.by = -id // these are in the heap
		}
		q.Push(i)
		all = append(all, i)
	}
	for _, i := range all {
		q.Remove(i)
	}
	if r := q.rest; cap(r.run) > muchMemory || cap(r.heap) > muchMemory {
		t.Errorf("room for %d and %d elements, want at most %d", cap(r.run), cap(r.heap), muchMemory)
	}
}

// The cost of removing the first element and pushing another one.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, 100, 10_000, 100_000} {
		for _, order := range []struct {
			name string
			by   func(id int) int
		}{
			{"in order", func(id int) int { return id }},
			{"out of order", func(id int) int { return id + rand.IntN(10*n) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", order.name, n), func(b *testing.B) {
				var q Queue[*item]
				id := 0
				push := func(i *item) {
					i.by, i.id = order.by(id), id
					id++
					q.Push(i)
				}
				for range n {
					push(&item{})
				}
				b.ReportAllocs()
				for b.Loop() {
					top := q.Top()
					q.Remove(top)
					push(top)
				}
			})
		}
	}
}
