package schedule

import (
	"slices"

	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// SnapshotBuilder makes a [Snapshot] a few jobs at a time, while the scheduler goes on. The jobs are
// those that waited when it began. It visits each once, and notes what changes afterwards.
type SnapshotBuilder struct {
	s     *Scheduler
	snap  *Snapshot
	after uint64 // jobs with a seq above it have come since it began

	asleep []*byDate // jobs that waited for their dates when it began, as far as they are to do
	walk   keyWalk
	ended  bool // the walk has

	lane   *lane // the one that it is at; nil: none
	of     *laneSnapshot
	next   *Job        // the next one of its list
	last   jobSnapshot // the one before, if it has one
	listed bool        // its list has been done
	strays []*stray    // of the lane, as far as they are to do

	back   map[*Job]bool // jobs that have come back since it began
	lanes  []*lane       // that have changed
	limits []*limit      // the same
	jobs   int           // of Snapshot.left whose limits are among them
}

// BeginSnapshot begins a snapshot.
func (s *Scheduler) BeginSnapshot() *SnapshotBuilder {
	g := &SnapshotBuilder{
		s: s, after: s.seq, walk: s.walkKeys(),
		snap: &Snapshot{heads: make(map[*lane]headSnapshot), changed: make(map[string]limitSnapshot)},
	}
	for _, q := range [...]*pqueue.Queue[*byDate]{&s.dates, &s.tried} {
		g.asleep = slices.AppendSeq(g.asleep, q.All())
	}
	s.observe(g)
	return g
}

// Step visits n jobs, lanes or limits at most, and reports whether it has visited all. The caller
// calls it until it returns true, and then [SnapshotBuilder.Finish] before anything else.
func (g *SnapshotBuilder) Step(n int) (done bool) {
	for range n {
		switch {
		case len(g.asleep) > 0:
			g.addAsleep((*dated)(pullLast(&g.asleep)))
		case g.lane != nil:
			g.addJob()
		case !g.ended:
			g.goOn()
		case len(g.lanes) > 0:
			l := pullLast(&g.lanes)
			g.snap.heads[l] = g.s.snapshotHead(l)
		case g.jobs < len(g.snap.left):
			if t := g.snap.left[g.jobs].set; t != nil {
				g.limits = append(g.limits, t.under...)
			}
			g.jobs++
		case len(g.limits) > 0:
			if lim := pullLast(&g.limits); lim.keyState.limit == lim { // it has not been forgotten
				g.snap.changed[lim.keyState.key] = g.s.snapshotLimit(lim)
			}
		default:
			return true
		}
	}
	return false
}

// Finish returns the snapshot. running is the jobs that run now.
func (g *SnapshotBuilder) Finish(now int64, running []Run) *Snapshot {
	s, snap := g.s, g.snap
	s.observer = nil
	snap.cfg, snap.now, snap.running = s.cfg, now, running
	snap.tau, snap.seq, snap.arrival, snap.outage, snap.paused = s.tau, s.seq, s.arrival, s.outage, s.paused
	return snap
}

// pullLast takes the last element out of a slice that has one.
func pullLast[E any](s *[]E) E {
	var none E
	last := len(*s) - 1
	e := (*s)[last]
	(*s)[last] = none
	*s = (*s)[:last]
	return e
}

// addAsleep adds a job that waits for its date. If it no longer does, it is found with its lane.
func (g *SnapshotBuilder) addAsleep(d *dated) {
	l := d.job.lane
	if d.state != asleep || l.cutOf(d.job) != nil {
		return
	}
	di := g.snapshotDated(d)
	di.lane, di.key, di.priority, di.head = l, l.keyState.key, l.rank.priority, g.s.snapshotHead(l)
	g.snap.asleep.add(di, blockSize)
}

// goOn goes to the next key or lane.
func (g *SnapshotBuilder) goOn() {
	n, l, ok := g.walk.next()
	switch {
	case !ok:
		g.ended = true
	case l != nil:
		g.enter(l)
	case n.limit != nil:
		g.snap.limits.add(g.s.snapshotLimit(n.limit), blockSize)
	}
}

// enter begins with the jobs of a lane.
func (g *SnapshotBuilder) enter(l *lane) {
	if l.length == 0 || l.seen == g.s.observers {
		return
	}
	l.seen = g.s.observers
	g.lane, g.next, g.last, g.listed = l, l.head, jobSnapshot{}, false
	g.noteStrays()
	g.of = g.snap.lanes.add(laneSnapshot{
		lane: l, key: l.keyState.key, priority: l.rank.priority, head: g.s.snapshotHead(l),
	}, blockSize)
}

// noteStrays notes the strays of the lane, and the head if it may have been a stray. It is called
// before and after the list of the lane is visited, because a job may become the head and a stray
// again in between. A job that is noted twice is restored once.
func (g *SnapshotBuilder) noteStrays() {
	if a := g.lane.aside(); a != nil {
		g.strays = slices.AppendSeq(g.strays, a.strays.All())
	}
	if j := g.lane.head; j != nil && j.hasDates() {
		g.strays = append(g.strays, (*stray)(g.s.datesOf(j)))
	}
}

// snapshotHead returns the state of a lane and its head.
func (s *Scheduler) snapshotHead(l *lane) headSnapshot {
	h := headSnapshot{paused: s.pausedKey(l.keyState.key), by: l.rank.by, since: l.since, lastSlot: l.lastSlot}
	if l.state != waiting {
		return h
	}
	for i := range l.refs {
		ref := &l.refs[i]
		c := ref.limit().contest
		if c == nil {
			continue
		}
		if w := c.waivers[ref]; w != nil {
			h.waivers = append(h.waivers, waiverSnapshot{ref.limit().keyState.key, w.from})
		}
		if c.claim != nil && c.claim.lane == l && c.claim.made <= s.tau {
			h.claims = append(h.claims, claimSnapshot{ref.limit().keyState.key, c.claim.claimTerms})
		}
	}
	return h
}

// addJob adds the next job of the lane.
func (g *SnapshotBuilder) addJob() {
	l := g.lane
	if j := g.next; j != nil && j.next == nil && j != l.tail {
		g.next = l.head // it is not in the list any more: find the place after the last one
	}
	j := g.next
	switch {
	case j != nil:
		g.next = j.next
		if j.gone() || g.last.job != nil && !g.last.before(j) || g.tooLate(j) {
			return
		}
		g.last = snapshotJob(j)
		if j.hasDates() {
			di := g.snapshotDated(g.s.datesOf(j))
			di.index = g.of.jobs.n
			g.of.dates = append(g.of.dates, di)
		}
		g.of.jobs.add(g.last, int(l.length)-g.of.jobs.n)
	case !g.listed:
		g.listed = true
		g.noteStrays()
	case len(g.strays) > 0:
		d := (*dated)(pullLast(&g.strays))
		if d.state != asleep && !g.tooLate(d.job) {
			g.of.strays = append(g.of.strays, g.snapshotDated(d))
		}
	default:
		g.lane, g.of = nil, nil
	}
}

// tooLate reports whether a job was submitted after the snapshot was begun.
func (g *SnapshotBuilder) tooLate(j *Job) bool { return j.Number() > g.after/seqStep }

func snapshotJob(j *Job) jobSnapshot { return jobSnapshot{j.Arrival, j.seq, j.Limits(), j} }

// before reports whether j comes after the job of the snapshot.
func (ji *jobSnapshot) before(j *Job) bool {
	return ji.arrival < j.Arrival || ji.arrival == j.Arrival && ji.seq&^(seqStep-1) < j.seq&^(seqStep-1)
}

func (g *SnapshotBuilder) snapshotDated(d *dated) datedSnapshot {
	return datedSnapshot{jobSnapshot: snapshotJob(d.job), Dates: d.Dates, state: d.state}
}

func (s *Scheduler) snapshotLimit(lim *limit) limitSnapshot {
	return limitSnapshot{lim.keyState.key, lim.params, s.expected(lim), lim.closed}
}

// laneChanges implements observer.
func (g *SnapshotBuilder) laneChanges(l *lane) { g.lanes = append(g.lanes, l) }

// jobLeft implements observer. A job that has run and comes back is not one of those that waited
// when the snapshot was begun.
func (g *SnapshotBuilder) jobLeft(j *Job, back bool) {
	if back {
		if g.back == nil {
			g.back = make(map[*Job]bool)
		}
		g.back[j] = true
	}
	g.snap.left = append(g.snap.left, j)
}

// jobStarted implements observer.
func (g *SnapshotBuilder) jobStarted(j *Job) {
	if !g.tooLate(j) && !g.back[j] {
		// Others may read it while the job goes on.
		g.snap.started = append(g.snap.started, Expected{Job: &Job{lane: j.lane}, Slot: j.Slot})
	}
}

// laneCut implements observer.
func (g *SnapshotBuilder) laneCut(l *lane, seq uint64, asks *Job) {
	g.snap.cuts = append(g.snap.cuts, cutSnapshot{l, seq, asks})
	if g.lane == l {
		g.next, g.listed, g.strays = nil, true, g.strays[:0]
	}
}

// limitChanged implements observer.
func (g *SnapshotBuilder) limitChanged(lim *limit) { g.limits = append(g.limits, lim) }
