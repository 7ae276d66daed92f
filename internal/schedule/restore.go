package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/table"
)

// restored is a scheduler that is being made from a snapshot.
type restored struct {
	*Scheduler
	snap   *Snapshot
	target *Job // in the snapshot
	stand  *Job // the job in the scheduler for target; nil: none

	left  map[*Job]struct{}
	cuts  map[*lane][]cutSnapshot
	dated map[*Job]struct{} // jobs that were restored with their lanes

	lanes []*lane // that have jobs, in the order of their first ones, mostly
	heads map[*lane]headSnapshot
}

// scheduler returns a scheduler in which the jobs of the snapshot wait, the jobs that run, and the
// job that stands for target, nil if target does not wait.
func (snap *Snapshot) scheduler(target *Job) (s *Scheduler, running []*Job, stand *Job) {
	cfg := snap.cfg
	cfg.Horizon, cfg.Lead, cfg.Shared = 0, 0, false
	s = New(cfg)
	s.keys = table.Make[string, *keyState](max(snap.lanes.n, snap.limits.n))
	s.outage, s.paused = snap.outage, snap.paused
	r := restored{Scheduler: s, snap: snap, target: target, left: map[*Job]struct{}{}, cuts: map[*lane][]cutSnapshot{}, dated: map[*Job]struct{}{}, heads: map[*lane]headSnapshot{}}
	for _, j := range snap.left {
		r.left[j] = struct{}{}
	}
	for _, c := range snap.cuts {
		r.cuts[c.lane] = append(r.cuts[c.lane], c)
	}
	r.restoreLimits()
	r.restoreLanes()
	r.restoreAsleep()
	s.seq, s.arrival = snap.seq, snap.arrival
	s.tau = max(snap.tau, snap.now)
	s.decided = s.tau
	for _, run := range snap.running {
		l := s.find(run.Key, run.Priority)
		l.running++
		if f := l.keyLanes(); f != nil {
			f.busy = l
		}
		s.idle--
		running = append(running, &Job{lane: l, Slot: min(run.Slot, snap.now)})
	}
	slices.SortFunc(running, func(a, b *Job) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, l := range r.lanes {
		s.leaveGroup(l)
	}
	for _, l := range r.lanes {
		h := r.heads[l]
		l.rank.by, l.since = h.by, h.since
		s.enter(snap.now, l, false)
		r.restoreClaims(l, &h)
	}
	return s, running, r.stand
}

// restoreClaims restores the claims and the waivers of the head of a lane.
func (r *restored) restoreClaims(l *lane, h *headSnapshot) {
	if l.state != waiting {
		return
	}
	for i := range l.refs {
		ref := &l.refs[i]
		if ref.index < 0 {
			continue
		}
		lim := ref.limit()
		for _, w := range h.waivers {
			if w.key == lim.keyState.key {
				r.waive(ref, w.from)
			}
		}
		for _, c := range h.claims {
			if c.key == lim.keyState.key {
				lim.ensureContest().claim = &claim{limit: lim, lane: l, gate: ref.gate, claimTerms: c.terms}
			}
		}
	}
}

func (r *restored) restoreLimits() {
	restore := func(li limitSnapshot) {
		lim := r.limitOf(li.key)
		lim.params, lim.state, lim.closed = li.params, li.state, li.closed
		r.holdsEnd = max(r.holdsEnd, li.closed)
		r.unused(lim)
	}
	for _, li := range r.snap.limits.all() {
		if _, ok := r.snap.changed[li.key]; !ok {
			restore(*li)
		}
	}
	for _, li := range r.snap.changed {
		restore(li)
	}
}

// isLeft reports whether a job of the snapshot no longer waits.
func (r *restored) isLeft(ji *jobSnapshot, l *lane) bool {
	if _, ok := r.left[ji.job]; ok {
		return true
	}
	for _, c := range r.cuts[l] {
		if ji.seq < c.seq+seqStep && ji.job != c.asks {
			return true
		}
	}
	return false
}

// restoreJob returns a job for one of the snapshot. The caller puts it into l.
func (r *restored) restoreJob(l *lane, ji *jobSnapshot) *Job {
	j := &Job{Arrival: ji.arrival, seq: ji.seq &^ (datedBit | goneBit)}
	if j.keeps() {
		j.seq &^= keepBit
		r.keep(l, j)
	}
	if ji.job == r.target {
		r.stand = j
	}
	r.jobs++
	return j
}

// restoreLanes fills the lanes in the order of their first jobs, in which a pqueue.Queue is
// quick.
func (r *restored) restoreLanes() {
	type first struct {
		*laneSnapshot
		arrival int64
	}
	var order []first
	for _, li := range r.snap.lanes.all() {
		if at, ok := r.firstOf(li); ok {
			order = append(order, first{li, at})
		}
	}
	slices.SortFunc(order, func(a, b first) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, li := range order {
		r.restoreLane(li.laneSnapshot)
	}
}

// lane returns the lane for one of the snapshot, in its latest known state.
func (r *restored) lane(key string, priority int, of *lane, found headSnapshot) *lane {
	l := r.find(key, priority)
	h, ok := r.heads[l]
	if !ok {
		if h, ok = r.snap.heads[of]; !ok {
			h = found
		}
		r.heads[l] = h
	}
	l.lastSlot = h.lastSlot
	if h.paused && !r.pausedKey(key) {
		r.PauseKey(r.snap.now, key)
	}
	return l
}

// firstOf returns when one of the first jobs of a lane arrived. It returns false if none waits.
func (r *restored) firstOf(li *laneSnapshot) (arrival int64, ok bool) {
	for _, ji := range li.jobs.all() {
		if !r.isLeft(ji, li.lane) {
			return ji.arrival, true
		}
	}
	for i := range li.strays {
		if di := &li.strays[i]; !r.isLeft(&di.jobSnapshot, li.lane) {
			return di.arrival, true
		}
	}
	return 0, false
}

func (r *restored) restoreLane(li *laneSnapshot) {
	l := r.lane(li.key, li.priority, li.lane, li.head)
	r.lanes = append(r.lanes, l)
	dates := li.dates
	for i, ji := range li.jobs.all() {
		var di *datedSnapshot
		if len(dates) > 0 && dates[0].index == i {
			di, dates = &dates[0], dates[1:]
			r.dated[ji.job] = struct{}{}
		}
		if r.isLeft(ji, li.lane) {
			continue
		}
		j := r.restoreJob(l, ji)
		j.set = r.internKnown(ji.limits, l.tail)
		l.append(j)
		if di != nil {
			r.redate(l, j, di)
		}
	}
	for i := range li.strays {
		di := &li.strays[i]
		if _, twice := r.dated[di.job]; twice || r.isLeft(&di.jobSnapshot, li.lane) {
			continue
		}
		r.dated[di.job] = struct{}{}
		j := r.restoreJob(l, &di.jobSnapshot)
		j.set, j.lane = r.internKnown(di.limits, nil), l
		l.stray(r.date(j))
		r.redate(l, j, di)
	}
	l.surface()
	for j := l.head; j != nil; j = j.next {
		r.startWaiting(j)
	}
	for d := range l.others() {
		r.startWaiting(d.job)
	}
}

func (r *restored) restoreAsleep() {
	for _, di := range r.snap.asleep.all() {
		if _, there := r.dated[di.job]; there || r.isLeft(&di.jobSnapshot, di.lane) {
			continue
		}
		l := r.lane(di.key, di.priority, di.lane, di.head)
		j := r.restoreJob(l, &di.jobSnapshot)
		j.set, j.lane = r.internKnown(di.limits, nil), l
		if di.NotBefore <= r.snap.tau { // it has come since
			if l.length == 0 {
				r.lanes = append(r.lanes, l)
			}
			di := *di
			di.state = due
			l.stray(r.date(j))
			r.redate(l, j, &di)
			l.surface()
		} else {
			r.redate(l, j, di)
		}
		r.startWaiting(j)
	}
}

// redate gives a job its dates in the snapshot.
func (r *restored) redate(l *lane, j *Job, di *datedSnapshot) {
	d := r.date(j)
	d.Dates = di.Dates
	r.watchDeadline(d)
	if di.state != due {
		r.setApart(l, d, di.state)
	}
}

// internKnown is intern for limits whose params are known and do not change.
func (s *Scheduler) internKnown(limits []backend.Limit, last *Job) *limitSet {
	if len(limits) == 0 {
		return nil
	}
	t := (*limitSet)(nil)
	if last != nil && last.sharesSet() && sameLimits(last.set.limits, limits) {
		t = last.set
	} else {
		t = s.resolve(limits)
		if t.impossible() {
			s.addCostlySet(t)
		}
	}
	t.jobs++
	return t
}

// sameLimits is a quick equality: jobs of a lane mostly share the slice.
func sameLimits(a, b []backend.Limit) bool {
	return len(a) == len(b) && &a[0] == &b[0]
}
