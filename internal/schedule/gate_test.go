package schedule

import "testing"

// A limit has one gate for each cost, however many there are.
func TestGateForEachCost(t *testing.T) {
	s := New(Config{Workers: 1})
	lim := s.limitOf("x")
	s.setParams(0, lim, rate(1, 1, 1000))
	gates := map[int]*gate{}
	for range 2 {
		for _, cost := range []int{5, 1, 9, 2, 8, 3, 7, 4, 6, 0, 10, 11, 12} {
			g := s.gateOf(lim, cost)
			if g.cost != cost || g.limit != lim {
				t.Errorf("the gate for cost %d is that for cost %d", cost, g.cost)
			}
			if known := gates[cost]; known != nil && known != g {
				t.Errorf("there is another gate for cost %d", cost)
			}
			gates[cost] = g
		}
	}
	n := 0
	for g := &lim.gate; g != nil; g = g.next {
		n++
	}
	if n != len(gates) {
		t.Errorf("the limit has %d gates, want %d", n, len(gates))
	}
}
