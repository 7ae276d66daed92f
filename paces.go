package dispatcher

import (
	"container/heap"

	"github.com/freqlimit/dispatcher/internal/table"
)

// paces is the limits that have been refused, by key, and by when each is to be looked at.
type paces struct {
	byKey table.Map[string, *pace]
	byAt  paceHeap
}

func (ps *paces) len() int { return ps.byKey.Len() }

// of returns the pace of a limit, nil if it has none.
func (ps *paces) of(key string) *pace {
	p, _ := ps.byKey.Get(key)
	return p
}

func (ps *paces) add(p *pace) {
	ps.byKey.Set(p.key, p)
	heap.Push(&ps.byAt, p)
}

// moved is called when the instant at which a pace is to be looked at has changed.
func (ps *paces) moved(p *pace) { heap.Fix(&ps.byAt, p.index) }

func (ps *paces) remove(p *pace) {
	heap.Remove(&ps.byAt, p.index)
	ps.byKey.Delete(p.key)
}

// next returns the pace that is to be looked at first, nil if there is none.
func (ps *paces) next() *pace {
	if len(ps.byAt) == 0 {
		return nil
	}
	return ps.byAt[0]
}

// paceHeap implements [heap.Interface].
type paceHeap []*pace

func (h paceHeap) Len() int           { return len(h) }
func (h paceHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h paceHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *paceHeap) Push(x any) {
	p := x.(*pace)
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *paceHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
