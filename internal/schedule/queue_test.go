package schedule

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// item is an element of a queue. No two have one id.
type item struct {
	by, id int
	at     int32
}

func (i *item) before(o *item) bool { return i.compare(o) < 0 }
func (i *item) place() *int32       { return &i.at }
func (i *item) compare(o *item) int { return cmp.Or(cmp.Compare(i.by, o.by), cmp.Compare(i.id, o.id)) }

// Whatever is pushed, moved and removed, in order, out of order or both, the queue
// has what a sorted list has.
func TestQueueAgreesWithASortedList(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		var q queue[*item]
		if rapid.Bool().Draw(t, "numbers go around") {
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
				q.push(i)
				all = append(all, i)
			case do < 7:
				top := q.top()
				q.remove(top)
				all = slices.DeleteFunc(all, func(i *item) bool { return i == top })
			case do < 8:
				at := random.IntN(len(all))
				q.remove(all[at])
				all = slices.Delete(all, at, at+1)
			default:
				i := all[random.IntN(len(all))]
				i.by = random.IntN(next + 5)
				q.fix(i)
			}
			if q.len() != len(all) {
				t.Fatalf("len() = %d, want %d", q.len(), len(all))
			}
			if len(all) > 0 && q.top() != slices.MinFunc(all, (*item).compare) {
				t.Fatalf("top() = %v, want %v", *q.top(), *slices.MinFunc(all, (*item).compare))
			}
		}
		slices.SortFunc(all, (*item).compare)
		for _, want := range all {
			if got := q.top(); got != want {
				t.Fatalf("top() = %v, want %v", *got, *want)
			}
			q.remove(want)
		}
		if q.len() != 0 {
			t.Fatalf("len() = %d at the end, want 0", q.len())
		}
	})
}

// Elements that come and go in order, as in a plain line, cost no comparisons that
// grow with their number, and the memory is that of those in it.
func TestQueueInOrder(t *testing.T) {
	for _, n := range []int{10, 100_000} {
		var q queue[*item]
		id := 0
		push := func() {
			q.push(&item{by: id, id: id})
			id++
		}
		for range n {
			push()
		}
		before := q.rest.compared
		for range 10 * n {
			q.remove(q.top())
			push()
		}
		if got := float64(q.rest.compared-before) / float64(10*n); got > 3 {
			t.Errorf("%d elements: %.1f comparisons for one that comes and one that goes, want 3 at most", n, got)
		}
		if got := cap(q.rest.run); got > 4*n {
			t.Errorf("%d elements: there is room for %d in the run, want 4 times as much at most", n, got)
		}
	}
}

// Elements that leave from the middle take their room with them, even if the first
// stays for ever.
func TestQueueClosesGaps(t *testing.T) {
	var q queue[*item]
	q.push(&item{by: 0})
	q.push(&item{by: 1})
	var lasts []*item
	for id := 2; id < 100_000; id++ {
		i := &item{by: id, id: id}
		q.push(i)
		if lasts = append(lasts, i); len(lasts) > 5 {
			q.remove(lasts[0])
			lasts = lasts[1:]
		}
	}
	if got := cap(q.rest.run); got > 1000 {
		t.Errorf("there is room for %d elements in the run, want little for 7", got)
	}
	if q.len() != 7 {
		t.Errorf("len() = %d, want 7", q.len())
	}
}

// A queue that was long and is short gives its memory back, whichever of its elements have
// left.
func TestQueueShrinksWhileInUse(t *testing.T) {
	const n, left = 100_000, 500
	for name, leaves := range map[string]func(i int) bool{
		"first": func(i int) bool { return i < n-left },
		"last":  func(i int) bool { return i >= left },
		"most":  func(i int) bool { return i%(n/left) != 0 },
	} {
		for _, inOrder := range []bool{true, false} {
			var q queue[*item]
			var all, stay []*item
			for id := range n {
				i := &item{by: id, id: id}
				if !inOrder {
					i.by = -id
				}
				q.push(i)
				all = append(all, i)
			}
			for i, e := range all {
				if leaves(i) {
					q.remove(e)
				} else {
					stay = append(stay, e)
				}
			}
			if r := q.rest; cap(r.run)+cap(r.heap) > 10*left+2*muchMemory {
				t.Errorf("the %s have left, in order: %v; there is room for %d and %d elements, want little for %d",
					name, inOrder, cap(r.run), cap(r.heap), left)
			}
			slices.SortFunc(stay, (*item).compare)
			for _, want := range stay {
				if got := q.top(); got != want {
					t.Fatalf("the %s have left, in order: %v; top() = %v, want %v", name, inOrder, *got, *want)
				}
				q.remove(want)
			}
		}
	}
}

// A queue that was long gives its memory back when it is empty, and does not hold
// on to what has left.
func TestQueueShrinks(t *testing.T) {
	var q queue[*item]
	var all []*item
	for id := range 100_000 {
		i := &item{by: id, id: id}
		if id%2 == 1 {
			i.by = -id // these are in the heap
		}
		q.push(i)
		all = append(all, i)
	}
	for _, i := range all {
		q.remove(i)
	}
	if r := q.rest; cap(r.run) > muchMemory || cap(r.heap) > muchMemory {
		t.Errorf("there is room for %d and %d elements, want %d at most", cap(r.run), cap(r.heap), muchMemory)
	}
}
