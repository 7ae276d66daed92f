package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Image is what waits in a scheduler at one instant: enough to play it to its end.
type Image struct {
	cfg     Config
	now     int64
	running []Run
	tau     int64
	seq     uint64
	arrival int64
	outage  int64
	paused  bool
	pauses  []string
	lanes   []laneImage
	limits  []limitImage
}

// Run is a job that runs.
type Run struct {
	Key      string
	Priority int
	Slot     int64 // when it began
}

type laneImage struct {
	key      string
	rank     rank
	overdue  int64
	lastSlot int64
	jobs     []jobImage
	dates    []datedImage // of jobs, by their index
	strays   []datedImage
	asleep   []datedImage
}

type jobImage struct {
	arrival int64
	seq     uint64
	limits  []backend.Limit
	job     *Job
}

type datedImage struct {
	jobImage
	Dates
	index int
	state datedState
}

type limitImage struct {
	key    string
	params gcra.FreqLimitParams
	state  gcra.State
	closed int64
}

// Image returns what waits, and goes on waiting, while these jobs run. It takes from
// 0.1 us a job, if they have few keys, to 1 us, if each has its own.
func (s *Scheduler) Image(now int64, running []Run) *Image {
	im := &Image{
		cfg: s.cfg, now: now, running: running,
		tau: s.tau, seq: s.seq, arrival: s.arrival, outage: s.outage, paused: s.paused,
	}
	for key := range s.pauses {
		im.pauses = append(im.pauses, key)
	}
	for _, n := range s.names.All() {
		if lim := n.limit; lim != nil {
			im.limits = append(im.limits, limitImage{n.key, lim.params, s.expected(lim), lim.closed})
		}
		for l := range n.lanes() {
			if l.length > 0 || l.aside() != nil {
				im.lanes = append(im.lanes, s.imageOf(l))
			}
		}
	}
	return im
}

func (s *Scheduler) imageOf(l *lane) laneImage {
	li := laneImage{key: l.name.key, rank: l.rank, overdue: l.overdue, lastSlot: l.lastSlot, jobs: make([]jobImage, 0, l.length)}
	for j := l.head; j != nil; j = j.next {
		if j.gone() {
			continue
		}
		if j.hasDates() {
			d := s.dated[j]
			li.dates = append(li.dates, datedImage{Dates: d.Dates, state: d.state, index: len(li.jobs)})
		}
		li.jobs = append(li.jobs, imageOfJob(j))
	}
	for d := range l.others() {
		di := datedImage{jobImage: imageOfJob(d.job), Dates: d.Dates, state: d.state}
		if d.strays {
			li.strays = append(li.strays, di)
		} else {
			li.asleep = append(li.asleep, di)
		}
	}
	return li
}

func imageOfJob(j *Job) jobImage { return jobImage{j.Arrival, j.seq, j.Limits(), j} }

// scheduler returns a scheduler in which all of the image waits, and the job that
// stands for target, if that is in it.
func (im *Image) scheduler(target *Job) (s *Scheduler, running []*Job, stand *Job) {
	cfg := im.cfg
	cfg.Horizon, cfg.Lead, cfg.Shared = 0, 0, false
	s = New(cfg)
	s.names = table.Make[string, *name](max(len(im.lanes), len(im.limits)))
	s.outage, s.paused = im.outage, im.paused
	for _, key := range im.pauses {
		s.PauseKey(im.now, key)
	}
	for _, li := range im.limits {
		lim := s.limitOf(li.key)
		lim.params, lim.state, lim.closed = li.params, li.state, li.closed
		s.holdsEnd = max(s.holdsEnd, li.closed)
		s.unused(lim)
	}
	// In the order of time queues are quick: see queue.go.
	order := make([]*laneImage, len(im.lanes))
	for i := range im.lanes {
		order[i] = &im.lanes[i]
	}
	slices.SortFunc(order, func(a, b *laneImage) int { return cmp.Compare(a.first(), b.first()) })
	copyOf := func(l *lane, ji jobImage) *Job {
		j := &Job{Arrival: ji.arrival, seq: ji.seq &^ (datedBit | goneBit)}
		if ji.job == target {
			stand = j
		}
		s.jobs++
		if j.keeps() {
			j.seq &^= keepBit
			s.keep(l, j)
		}
		return j
	}
	for _, li := range order {
		l := s.find(li.key, li.rank.priority)
		l.lastSlot = li.lastSlot
		for _, ji := range li.jobs {
			j := copyOf(l, ji)
			j.terms = s.share(ji.limits, l.tail)
			l.append(j)
		}
		j, at := l.head, 0
		for _, di := range li.dates {
			for ; at < di.index; at++ {
				j = j.next
			}
			d := s.redate(j, di)
			if di.state == held {
				s.setApart(l, d, held)
			}
		}
		for _, di := range li.strays {
			j := copyOf(l, di.jobImage)
			j.terms, j.lane = s.share(di.limits, nil), l
			d := s.redate(j, di)
			l.stray(d)
			if di.state == held {
				s.setApart(l, d, held)
			}
			s.await(j)
		}
		for _, di := range li.asleep {
			j := copyOf(l, di.jobImage)
			j.terms = s.share(di.limits, nil)
			s.setApart(l, s.redate(j, di), asleep)
			s.await(j)
		}
		for j := l.head; j != nil; j = j.next {
			s.await(j)
		}
	}
	s.seq, s.arrival = im.seq, im.arrival
	s.tau = max(im.tau, im.now)
	for _, r := range im.running {
		l := s.find(r.Key, r.Priority)
		l.running++
		if f := l.siblings(); f != nil {
			f.busy = l
		}
		s.idle--
		running = append(running, &Job{lane: l, Slot: min(r.Slot, im.now)})
	}
	slices.SortFunc(running, func(a, b *Job) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, li := range order {
		l := s.find(li.key, li.rank.priority)
		l.rank.by, l.overdue = li.rank.by, li.overdue
		s.enter(im.now, l, false)
	}
	return s, running, stand
}

// first is when a job arrives that is among the first.
func (li *laneImage) first() int64 {
	if len(li.jobs) > 0 {
		return li.jobs[0].arrival
	}
	return li.asleep[0].arrival
}

// redate gives a job the dates of an image.
func (s *Scheduler) redate(j *Job, di datedImage) *dated {
	d := s.date(j)
	d.Dates = di.Dates
	s.press(d)
	return d
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
