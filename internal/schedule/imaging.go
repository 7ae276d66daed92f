package schedule

import "slices"

// Imaging makes an [Image], a few jobs at a time, while the scheduler goes on. The jobs are
// those that waited when it began. What it has found it does not look at again: it notes what
// changes.
type Imaging struct {
	s     *Scheduler
	im    *Image
	after uint64 // jobs with a seq above it have come since it began

	asleep []*byDate // jobs that waited for their dates when it began, as far as they are to do
	rounds rounds
	ended  bool // the rounds have

	lane   *lane // the one that it is at; nil: none
	of     *laneImage
	next   *Job     // the next one of its list
	last   jobImage // the one before, if it has one
	listed bool     // its list has been done
	strays []*stray // of the lane, as far as they are to do

	back   map[*Job]bool // jobs that have come back since it began
	lanes  []*lane       // that have changed
	limits []*limit      // the same
	jobs   int           // of Image.left whose limits are among them
}

// BeginImage begins an image.
func (s *Scheduler) BeginImage() *Imaging {
	g := &Imaging{
		s: s, after: s.seq, rounds: s.newRounds(),
		im: &Image{heads: make(map[*lane]headImage), changed: make(map[string]limitImage)},
	}
	for _, q := range [...]*queue[*byDate]{&s.dates, &s.tried} {
		g.asleep = slices.AppendSeq(g.asleep, q.all())
	}
	s.look(g)
	return g
}

// Step looks at n jobs, lanes or limits at most, and reports whether that was all: then
// [Imaging.Finish] is to be called before anything else. Else the caller goes on with Step.
func (g *Imaging) Step(n int) (done bool) {
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
			g.im.heads[l] = g.s.headOf(l)
		case g.jobs < len(g.im.left):
			if t := g.im.left[g.jobs].terms; t != nil {
				g.limits = append(g.limits, t.under...)
			}
			g.jobs++
		case len(g.limits) > 0:
			if lim := pullLast(&g.limits); lim.name.limit == lim { // it has not been forgotten
				g.im.changed[lim.name.key] = g.s.imageOfLimit(lim)
			}
		default:
			return true
		}
	}
	return false
}

// Finish returns the image, of an instant at which these jobs run.
func (g *Imaging) Finish(now int64, running []Run) *Image {
	s, im := g.s, g.im
	s.looker = nil
	im.cfg, im.now, im.running = s.cfg, now, running
	im.tau, im.seq, im.arrival, im.outage, im.paused = s.tau, s.seq, s.arrival, s.outage, s.paused
	return im
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

// addAsleep adds a job that waits for its date, unless it does so no longer: then it is with
// its lane.
func (g *Imaging) addAsleep(d *dated) {
	l := d.job.lane
	if d.state != asleep || l.cutOf(d.job) != nil {
		return
	}
	di := g.imageOfDated(d)
	di.lane, di.key, di.priority, di.head = l, l.name.key, l.rank.priority, g.s.headOf(l)
	g.im.asleep.add(di, pileBlock)
}

// goOn goes to the next name or lane.
func (g *Imaging) goOn() {
	n, l, ok := g.rounds.next()
	switch {
	case !ok:
		g.ended = true
	case l != nil:
		g.enter(l)
	case n.limit != nil:
		g.im.limits.add(g.s.imageOfLimit(n.limit), pileBlock)
	}
}

// enter begins with the jobs of a lane.
func (g *Imaging) enter(l *lane) {
	if l.length == 0 || l.seen == g.s.looks {
		return
	}
	l.seen = g.s.looks
	g.lane, g.next, g.last, g.listed = l, l.head, jobImage{}, false
	g.noteStrays()
	g.of = g.im.lanes.add(laneImage{
		lane: l, key: l.name.key, priority: l.rank.priority, head: g.s.headOf(l),
	}, pileBlock)
}

// noteStrays has the jobs added that are set aside, and the head if it may have been. It is
// called before and after the list of the lane is gone through: meanwhile a job may go from
// the head of the list there and back. One that is noted twice is restored once.
func (g *Imaging) noteStrays() {
	if a := g.lane.aside(); a != nil {
		g.strays = slices.AppendSeq(g.strays, a.strays.all())
	}
	if j := g.lane.head; j != nil && j.hasDates() {
		g.strays = append(g.strays, (*stray)(g.s.datesOf(j)))
	}
}

func (s *Scheduler) headOf(l *lane) headImage {
	h := headImage{paused: s.pausedKey(l.name.key), by: l.rank.by, since: l.since, lastSlot: l.lastSlot}
	if l.state != waiting {
		return h
	}
	for i := range l.uses {
		u := &l.uses[i]
		c := u.limit().contest
		if c == nil {
			continue
		}
		if w := c.waivers[u]; w != nil {
			h.waivers = append(h.waivers, waiverImage{u.limit().name.key, w.from})
		}
		if c.claim != nil && c.claim.lane == l && c.claim.made <= s.tau {
			h.claims = append(h.claims, claimImage{u.limit().name.key, c.claim.claimTerms})
		}
	}
	return h
}

// addJob adds the next job of the lane.
func (g *Imaging) addJob() {
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
		g.last = imageOfJob(j)
		if j.hasDates() {
			di := g.imageOfDated(g.s.datesOf(j))
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
			g.of.strays = append(g.of.strays, g.imageOfDated(d))
		}
	default:
		g.lane, g.of = nil, nil
	}
}

// tooLate reports whether a job has come since the image was begun.
func (g *Imaging) tooLate(j *Job) bool { return j.Number() > g.after/seqStep }

func imageOfJob(j *Job) jobImage { return jobImage{j.Arrival, j.seq, j.Limits(), j} }

// before reports whether a job comes after that of the image.
func (ji *jobImage) before(j *Job) bool {
	return ji.arrival < j.Arrival || ji.arrival == j.Arrival && ji.seq&^(seqStep-1) < j.seq&^(seqStep-1)
}

func (g *Imaging) imageOfDated(d *dated) datedImage {
	return datedImage{jobImage: imageOfJob(d.job), Dates: d.Dates, state: d.state}
}

func (s *Scheduler) imageOfLimit(lim *limit) limitImage {
	return limitImage{lim.name.key, lim.params, s.expected(lim), lim.closed}
}

// touched implements looker.
func (g *Imaging) touched(l *lane) { g.lanes = append(g.lanes, l) }

// left implements looker. A job that comes back, having run, is none of those that waited.
func (g *Imaging) left(j *Job, back bool) {
	if back {
		if g.back == nil {
			g.back = make(map[*Job]bool)
		}
		g.back[j] = true
	}
	g.im.left = append(g.im.left, j)
}

// started implements looker.
func (g *Imaging) started(j *Job) {
	if !g.tooLate(j) && !g.back[j] {
		// Others may read it while the job goes on.
		g.im.started = append(g.im.started, Expected{Job: &Job{lane: j.lane}, Slot: j.Slot})
	}
}

// cut implements looker.
func (g *Imaging) cut(l *lane, seq uint64, asks *Job) {
	g.im.cuts = append(g.im.cuts, cutImage{l, seq, asks})
	if g.lane == l {
		g.next, g.listed, g.strays = nil, true, g.strays[:0]
	}
}

// altered implements looker.
func (g *Imaging) altered(lim *limit) { g.limits = append(g.limits, lim) }
