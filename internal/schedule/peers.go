package schedule

// peers is the lanes of a serial key whose heads wait for the same gates. Whatever lets one
// of them start lets the one of the highest priority start, and then the others wait for it
// to end. So only that one competes, and the others wait behind it as the jobs of a lane wait
// behind the head: a start takes as long with a million of them as with two.
//
// A lane is among peers while it has a head that does not ask, whether its key is busy, kept
// or paused. Then none of them competes, or only the one that keeps the key.
type peers struct {
	of    *siblings
	name  string // in siblings.peers
	lanes queue[*peer]
	turn  *lane // the one that competes; nil: none

	stirred bool // in Scheduler.stirred
}

// peer is a lane in peers.lanes.
type peer lane

func (l *peer) before(o *peer) bool { return l.rank.priority > o.rank.priority }
func (l *peer) place() *int32       { return &l.rare.peerPos }

// peers returns the peers of a lane with itself, nil if it is not among any.
func (l *lane) peers() *peers {
	if l.rare == nil {
		return nil
	}
	return l.rare.peers
}

// serialSiblings returns the lanes of a key if there are several and their jobs are serial,
// else nil.
func (s *Scheduler) serialSiblings(n *name) *siblings {
	if !s.cfg.Serial || n.lane == nil {
		return nil
	}
	return n.lane.siblings()
}

// joinPeers puts a lane among its peers, if it is not there yet.
func (s *Scheduler) joinPeers(f *siblings, l *lane) *peers {
	if l.rare.peers != nil {
		return l.rare.peers
	}
	gates := s.shared[:0]
	if t := l.head.terms; t != nil {
		for i, lim := range t.under {
			gates = append(gates, s.gateOf(lim, t.limits[i].Units()))
		}
	}
	s.shared = gates
	name := s.sortedName(gates)
	g, ok := f.peers.Get(string(name))
	if !ok {
		g = &peers{of: f, name: string(name)}
		f.peers.Set(g.name, g)
	}
	l.rare.peers = g
	g.lanes.push((*peer)(l))
	return g
}

// leavePeers is the opposite of joinPeers. The peers are stirred.
func (s *Scheduler) leavePeers(l *lane) {
	g := l.peers()
	if g == nil {
		return
	}
	l.rare.peers = nil
	g.lanes.remove((*peer)(l))
	if g.turn == l {
		g.turn = nil
	}
	if g.lanes.len() == 0 {
		g.of.peers.Delete(g.name)
		return
	}
	s.stir(g)
}

// stir notes that the turn may be another's.
func (s *Scheduler) stir(g *peers) {
	if !g.stirred {
		g.stirred = true
		s.stirred = append(s.stirred, g)
	}
}

// settleTurns gives the turn to those of the stirred peers whose it is. All but old are fresh.
func (s *Scheduler) settleTurns(now int64, old *lane) {
	if len(s.stirred) == 0 {
		return
	}
	for _, g := range s.stirred {
		g.stirred = false
		s.settleTurn(now, g, old)
	}
	clear(s.stirred)
	s.stirred = s.stirred[:0]
}

// settleAll is settleTurns for all lanes of a serial key.
func (s *Scheduler) settleAll(now int64, f *siblings, old *lane) {
	for _, g := range f.peers.All() {
		s.settleTurn(now, g, old)
	}
	s.settleTurns(now, old)
}

func (s *Scheduler) settleTurn(now int64, g *peers, old *lane) {
	if g.lanes.len() == 0 {
		return
	}
	l := (*lane)(g.lanes.top())
	if q := &g.of.keepers; q.len() > 0 && (*lane)(q.top()).peers() == g {
		l = (*lane)(q.top())
	}
	if !s.mayCompete(l) {
		l = nil
	}
	if l == g.turn {
		return
	}
	if g.turn != nil {
		s.suspend(g.turn)
	}
	if g.turn = l; l != nil {
		s.compete(now, l, l != old)
	}
}

// disperse ends the peers of the only lane that a key still has.
func (l *lane) disperse() {
	if g := l.rare.peers; g != nil {
		l.rare.peers = nil
		*g = peers{stirred: g.stirred}
	}
}
