package schedule

// A limit whose jobs have many costs has one gate for each cost. They open in the order of their
// costs: the less a job costs, the earlier there is room for it. A claim depends on the cost too:
// if it lets a job go ahead, it does so for all jobs that cost less. So the lanes that may be
// taken are those at the gates up to some cost, and only the first of these lanes matters.
//
// gateTree holds the gates of such a limit in a tree ordered by cost. Each node has the first lane
// of its subtree. However many gates there are, the tree takes two places in the queues of the
// scheduler, and keeps them up to date in O(log n). It is a treap (Seidel and Aragon,
// "Randomized Search Trees", 1996).
type gateTree struct {
	byCost map[int]*gate // all gates of the limit
	root   *gateNode     // those with cohorts, except for cost 0
	unused *gateNode     // nodes to use again, linked by left
	turn   int64         // as gate.turn, for all gates in the tree
	claim  *claim        // that keeps lanes waiting there; nil: none

	ready gate // in Scheduler.ready while a lane may be taken: the first is at its node
	timed gate // in Scheduler.timed, by when others may be taken
}

// gateNode is a gate in a gateTree.
type gateNode struct {
	gate        *gate
	left, right *gateNode
	first       *gateNode // the node of its subtree that has the first lane
	weight      uint64    // not less than any in its subtree
}

// fewGates is up to how many gates a limit has no tree.
const fewGates = 8

// tree returns the tree that the gate is in while it has cohorts, nil if it has its own place in
// the queues.
func (g *gate) tree() *gateTree {
	if g.limit == nil || g.cost == 0 {
		return nil
	}
	return g.limit.tree
}

// ofTree reports whether the gate is one of the two that stand for a tree.
func (g *gate) ofTree() bool {
	if g.limit == nil || g.limit.tree == nil {
		return false
	}
	return g == &g.limit.tree.ready || g == &g.limit.tree.timed
}

// first returns the first cohort at a gate that is ready.
func (g *gate) first() *cohort {
	if g.node != nil {
		g = g.node.gate
	}
	return g.waiting.Top()
}

// growTree puts the gates of a limit into a tree from now on.
func (s *Scheduler) growTree(lim *limit) {
	t := &gateTree{byCost: make(map[int]*gate)}
	var watched []*gate
	for g := &lim.gate; g != nil; g = g.next {
		t.byCost[g.cost] = g
		if g.cost > 0 {
			t.turn = max(t.turn, g.turn)
			g.turn = 0
		}
		if g.in != nowhere {
			s.unwatch(g)
			watched = append(watched, g)
		}
	}
	t.ready.limit, t.timed.limit = lim, lim
	lim.tree = t
	for _, g := range t.byCost {
		if g.cost > 0 {
			g.applyParams(lim.params)
		}
	}
	for _, g := range watched {
		s.watch(g)
	}
}

// insert puts a gate with cohorts into the tree.
func (t *gateTree) insert(g *gate) {
	n := t.unused
	if n == nil {
		n = &gateNode{}
	} else {
		t.unused = n.left
	}
	*n = gateNode{gate: g, weight: mix(g.id)}
	g.in, g.node = inTree, n
	t.root = t.root.insert(n)
}

// remove is the opposite of insert.
func (t *gateTree) remove(g *gate) {
	n := g.node
	g.in, g.node = nowhere, nil
	t.root = t.root.remove(g.cost)
	*n = gateNode{left: t.unused}
	t.unused = n
}

// mix is the finalizer of SplitMix64: its bits depend on all bits of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// refresh updates the two places of a tree. It is called when another lane may be the first that
// may be taken, when that lane may rank differently, or when other lanes may be taken at another
// instant than before.
func (s *Scheduler) refresh(t *gateTree) {
	if c := t.claim; c != nil && (t.root == nil || !s.stands(c)) {
		t.claim = nil
		if !c.blocks() {
			s.unwatchHolder(c)
		}
	}
	first, next := s.foremost(t)
	switch g := &t.ready; {
	case first == nil && g.in == ready:
		s.ready.Remove((*readyGate)(g))
		g.in, g.node = nowhere, nil
	case first != nil && g.in == ready:
		g.node = first
		s.ready.Fix((*readyGate)(g))
	case first != nil:
		g.in, g.node = ready, first
		s.ready.Push((*readyGate)(g))
	}
	switch g := &t.timed; {
	case next == never && g.in == timed:
		s.timed.Remove((*timedGate)(g))
		g.in = nowhere
	case next != never && g.in == timed:
		g.at = next
		s.timed.Fix((*timedGate)(g))
	case next != never:
		g.in, g.at = timed, next
		s.timed.Push((*timedGate)(g))
	}
}

// lookAgain moves a tree to the next decision: it has no instant of its own until then.
func (s *Scheduler) lookAgain(t *gateTree) {
	s.timed.Remove((*timedGate)(&t.timed))
	t.timed.in = nowhere
	g := &t.ready
	g.node = t.root.first // it ranks no lower than the one to be found
	if g.in == ready {
		s.ready.Fix((*readyGate)(g))
	} else {
		g.in = ready
		s.ready.Push((*readyGate)(g))
	}
}

// foremost returns the node with the first lane that may be taken, nil if there is none, and the
// instant at which that may change if nothing happens before.
func (s *Scheduler) foremost(t *gateTree) (first *gateNode, next int64) {
	shut := func(g *gate) bool { return g.open() > s.tau }
	first, costlier := t.root.upTo(shut)
	next = never
	if costlier != nil {
		next = costlier.gate.open()
	}
	c := t.claim
	if c == nil || first != nil && !c.lane.Before(first.lane()) {
		return first, next
	}
	first, costlier = t.root.upTo(func(g *gate) bool { return shut(g) || s.keeps(c, g) })
	next = never
	if costlier != nil {
		g := costlier.gate
		next = g.open()
		if s.keeps(c, g) {
			next = max(next, c.until(g))
		}
	}
	if n := t.root.nextBefore(c.lane, shut); n != nil {
		next = min(next, n.gate.open())
	}
	return first, next
}

// isKept reports whether a claim keeps the lanes at a gate waiting.
func (s *Scheduler) isKept(g *gate) bool {
	if g.in != inTree {
		return g.blocked
	}
	c := g.limit.tree.claim
	return c != nil && s.stands(c) && c.lane.Before(g.node.lane()) && s.keeps(c, g)
}

// lane returns the first lane at the gate.
func (n *gateNode) lane() *lane { return n.gate.waiting.Top().lanes.Top() }

// firstOf returns the node whose lane ranks first. Either may be nil.
func firstOf(a, b *gateNode) *gateNode {
	if a == nil || b != nil && b.gate.waiting.Top().Before(a.gate.waiting.Top()) {
		return b
	}
	return a
}

// foremost returns n.first, nil for an empty tree.
func (n *gateNode) foremost() *gateNode {
	if n == nil {
		return nil
	}
	return n.first
}

// sum computes n.first.
func (n *gateNode) sum() {
	n.first = firstOf(firstOf(n, n.left.foremost()), n.right.foremost())
}

// upTo divides a tree at the cost from which all gates are shut. Of the gates below it returns the
// one with the first lane, and of the gates that are shut the cheapest. Either is nil if there is
// none.
func (n *gateNode) upTo(shut func(*gate) bool) (first, costlier *gateNode) {
	for n != nil {
		if shut(n.gate) {
			costlier = n
			n = n.left
		} else {
			first = firstOf(firstOf(first, n), n.left.foremost())
			n = n.right
		}
	}
	return first, costlier
}

// nextBefore returns the cheapest of the shut gates whose first lane does not rank after l, nil if
// there is none.
func (n *gateNode) nextBefore(l *lane, shut func(*gate) bool) *gateNode {
	if n == nil || l.Before(n.first.lane()) {
		return nil
	}
	if shut(n.gate) {
		if found := n.left.nextBefore(l, shut); found != nil {
			return found
		}
		if !l.Before(n.lane()) {
			return n
		}
	}
	return n.right.nextBefore(l, shut)
}

// insert adds a node, and returns the root of the tree.
func (n *gateNode) insert(o *gateNode) *gateNode {
	switch {
	case n == nil:
		n = o
	case o.weight > n.weight:
		o.left, o.right = n.split(o.gate.cost)
		n = o
	case o.gate.cost < n.gate.cost:
		n.left = n.left.insert(o)
	default:
		n.right = n.right.insert(o)
	}
	n.sum()
	return n
}

// split divides a tree into the nodes below a cost and those above. No node has that cost.
func (n *gateNode) split(cost int) (below, above *gateNode) {
	switch {
	case n == nil:
		return nil, nil
	case n.gate.cost < cost:
		n.right, above = n.right.split(cost)
		below = n
	default:
		below, n.left = n.left.split(cost)
		above = n
	}
	n.sum()
	return below, above
}

// remove takes out the node for a cost, and returns the root of the tree.
func (n *gateNode) remove(cost int) *gateNode {
	switch {
	case n.gate.cost == cost:
		return joined(n.left, n.right)
	case cost < n.gate.cost:
		n.left = n.left.remove(cost)
	default:
		n.right = n.right.remove(cost)
	}
	n.sum()
	return n
}

// joined returns one tree made of two. All costs in a are below those in b.
func joined(a, b *gateNode) *gateNode {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.weight > b.weight:
		a.right = joined(a.right, b)
		a.sum()
		return a
	}
	b.left = joined(a, b.left)
	b.sum()
	return b
}

// update is called when the gate for a cost has another first lane, or when its first lane ranks
// differently.
func (n *gateNode) update(cost int) {
	switch {
	case cost < n.gate.cost:
		n.left.update(cost)
	case cost > n.gate.cost:
		n.right.update(cost)
	}
	n.sum()
}
