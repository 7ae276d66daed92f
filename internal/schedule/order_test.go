package schedule

import (
	"testing"
	"time"
)

// The orders differ in which of the ready lanes goes first; priority goes before
// all of them.
func TestOrders(t *testing.T) {
	for order, want := range map[Order][]string{
		// By when the head was ready: the second jobs of a lane are ready when
		// the first have started, so the lanes take turns.
		Fair: {"urgent", "urgent", "a", "b", "c", "b", "c", "c"},
		// By submission.
		FIFO: {"urgent", "urgent", "a", "b", "b", "c", "c", "c"},
		// By length, and by submission where lanes are as long.
		Backlog: {"urgent", "urgent", "c", "b", "c", "a", "b", "c"},
	} {
		t.Run(order.String(), func(t *testing.T) {
			w := newWorld(t, Config{Workers: many, Order: order})
			shared := limitOn("shared", rate(10, time.Second, 1))
			for i, key := range []string{"a", "b", "c"} {
				for range i + 1 {
					w.submit(key, shared)
				}
			}
			w.submitAt(1, "urgent", shared)
			w.submitAt(1, "urgent", shared)
			w.run()
			w.wantWindows()
			w.wantOrder(want...)
		})
	}
}

// A lane that grows while it waits gains rank in the order of backlogs.
func TestBacklogGrowsWhileItWaits(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Order: Backlog})
	shared := limitOn("shared", rate(10, time.Second, 1))
	w.submit("first", shared)
	w.step()
	w.submit("a", shared)
	w.submit("a", shared)
	w.submit("b", shared)
	w.runUntil(50 * ms)
	w.submit("b", shared)
	w.submit("b", shared)
	w.run()
	w.wantOrder("first", "b", "a", "b", "a", "b")
}
