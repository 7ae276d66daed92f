package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/table"
)

// restored is what an image is being made into again.
type restored struct {
	*Scheduler
	im     *Image
	target *Job // in the image
	stand  *Job // that stands for it; nil: it is not there

	left  map[*Job]struct{}
	cuts  map[*lane][]cutImage
	dated map[*Job]struct{} // with their lanes already

	lanes []*lane // that have jobs, in the order of their first ones, mostly
	heads map[*lane]headImage
}

// scheduler returns a scheduler in which all of the image waits, and the job that
// stands for target, if that is in it.
func (im *Image) scheduler(target *Job) (s *Scheduler, running []*Job, stand *Job) {
	cfg := im.cfg
	cfg.Horizon, cfg.Lead, cfg.Shared = 0, 0, false
	s = New(cfg)
	s.names = table.Make[string, *name](max(im.lanes.n, im.limits.n))
	s.outage, s.paused = im.outage, im.paused
	r := restored{Scheduler: s, im: im, target: target, left: map[*Job]struct{}{}, cuts: map[*lane][]cutImage{}, dated: map[*Job]struct{}{}, heads: map[*lane]headImage{}}
	for _, j := range im.left {
		r.left[j] = struct{}{}
	}
	for _, c := range im.cuts {
		r.cuts[c.lane] = append(r.cuts[c.lane], c)
	}
	r.restoreLimits()
	r.restoreLanes()
	r.restoreAsleep()
	s.seq, s.arrival = im.seq, im.arrival
	s.tau = max(im.tau, im.now)
	s.decided = s.tau
	for _, run := range im.running {
		l := s.find(run.Key, run.Priority)
		l.running++
		if f := l.siblings(); f != nil {
			f.busy = l
		}
		s.idle--
		running = append(running, &Job{lane: l, Slot: min(run.Slot, im.now)})
	}
	slices.SortFunc(running, func(a, b *Job) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, l := range r.lanes {
		s.leavePeers(l)
	}
	for _, l := range r.lanes {
		h := r.heads[l]
		l.rank.by, l.since = h.by, h.since
		s.enter(im.now, l, false)
		r.restoreClaims(l, &h)
	}
	return s, running, r.stand
}

// restoreClaims brings back what there was of claims of a lane.
func (r *restored) restoreClaims(l *lane, h *headImage) {
	if l.state != waiting {
		return
	}
	for i := range l.uses {
		u := &l.uses[i]
		if u.index < 0 {
			continue
		}
		lim := u.limit()
		for _, w := range h.waivers {
			if w.key == lim.name.key {
				r.waive(u, w.from)
			}
		}
		for _, c := range h.claims {
			if c.key == lim.name.key {
				lim.contested().claim = &claim{limit: lim, lane: l, gate: u.gate, claimTerms: c.terms}
			}
		}
	}
}

func (r *restored) restoreLimits() {
	restore := func(li limitImage) {
		lim := r.limitOf(li.key)
		lim.params, lim.state, lim.closed = li.params, li.state, li.closed
		r.holdsEnd = max(r.holdsEnd, li.closed)
		r.unused(lim)
	}
	for _, li := range r.im.limits.all() {
		if _, ok := r.im.changed[li.key]; !ok {
			restore(*li)
		}
	}
	for _, li := range r.im.changed {
		restore(li)
	}
}

// isLeft reports whether a job waits no longer.
func (r *restored) isLeft(ji *jobImage, l *lane) bool {
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

// restoreJob returns a job that stands for that of an image, and is to be in a lane.
func (r *restored) restoreJob(l *lane, ji *jobImage) *Job {
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

// restoreLanes fills the lanes, in the order of their first jobs: then queues are quick, see
// queue.go.
func (r *restored) restoreLanes() {
	type first struct {
		*laneImage
		arrival int64
	}
	var order []first
	for _, li := range r.im.lanes.all() {
		if at, ok := r.firstOf(li); ok {
			order = append(order, first{li, at})
		}
	}
	slices.SortFunc(order, func(a, b first) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, li := range order {
		r.restoreLane(li.laneImage)
	}
}

// lane returns the lane that stands for one, as that was at last.
func (r *restored) lane(key string, priority int, of *lane, found headImage) *lane {
	l := r.find(key, priority)
	h, ok := r.heads[l]
	if !ok {
		if h, ok = r.im.heads[of]; !ok {
			h = found
		}
		r.heads[l] = h
	}
	l.lastSlot = h.lastSlot
	if h.paused && !r.pausedKey(key) {
		r.PauseKey(r.im.now, key)
	}
	return l
}

// firstOf returns when a job of a lane arrived that is among the first, if one waits.
func (r *restored) firstOf(li *laneImage) (arrival int64, ok bool) {
	for _, ji := range li.jobs.all() {
		if !r.isLeft(ji, li.lane) {
			return ji.arrival, true
		}
	}
	for i := range li.strays {
		if di := &li.strays[i]; !r.isLeft(&di.jobImage, li.lane) {
			return di.arrival, true
		}
	}
	return 0, false
}

func (r *restored) restoreLane(li *laneImage) {
	l := r.lane(li.key, li.priority, li.lane, li.head)
	r.lanes = append(r.lanes, l)
	dates := li.dates
	for i, ji := range li.jobs.all() {
		var di *datedImage
		if len(dates) > 0 && dates[0].index == i {
			di, dates = &dates[0], dates[1:]
			r.dated[ji.job] = struct{}{}
		}
		if r.isLeft(ji, li.lane) {
			continue
		}
		j := r.restoreJob(l, ji)
		j.terms = r.share(ji.limits, l.tail)
		l.append(j)
		if di != nil {
			r.redate(l, j, di)
		}
	}
	for i := range li.strays {
		di := &li.strays[i]
		if _, twice := r.dated[di.job]; twice || r.isLeft(&di.jobImage, li.lane) {
			continue
		}
		r.dated[di.job] = struct{}{}
		j := r.restoreJob(l, &di.jobImage)
		j.terms, j.lane = r.share(di.limits, nil), l
		l.stray(r.date(j))
		r.redate(l, j, di)
	}
	l.surface()
	for j := l.head; j != nil; j = j.next {
		r.await(j)
	}
	for d := range l.others() {
		r.await(d.job)
	}
}

func (r *restored) restoreAsleep() {
	for _, di := range r.im.asleep.all() {
		if _, there := r.dated[di.job]; there || r.isLeft(&di.jobImage, di.lane) {
			continue
		}
		l := r.lane(di.key, di.priority, di.lane, di.head)
		j := r.restoreJob(l, &di.jobImage)
		j.terms, j.lane = r.share(di.limits, nil), l
		if di.NotBefore <= r.im.tau { // it has come since
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
		r.await(j)
	}
}

// redate gives a job the dates of an image.
func (r *restored) redate(l *lane, j *Job, di *datedImage) {
	d := r.date(j)
	d.Dates = di.Dates
	r.press(d)
	if di.state != due {
		r.setApart(l, d, di.state)
	}
}

// share is agree for limits whose params are known already, and do not change.
func (s *Scheduler) share(limits []backend.Limit, last *Job) *terms {
	if len(limits) == 0 {
		return nil
	}
	t := (*terms)(nil)
	if last != nil && last.terms != nil && sameLimits(last.terms.limits, limits) {
		t = last.terms
	} else {
		t = s.resolve(limits)
		if t.hopeless() {
			s.appraise(t)
		}
	}
	t.jobs++
	return t
}

// sameLimits is a quick equality: jobs of a lane mostly share the slice.
func sameLimits(a, b []backend.Limit) bool {
	return len(a) == len(b) && &a[0] == &b[0]
}
