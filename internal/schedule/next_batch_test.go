package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// rivalled is a backend that others use too: what it knows and the scheduler's
// picture differ, so it refuses.
type rivalled struct {
	keys    map[string]*rivalKey
	charges map[string][]charge
	params  map[string]gcra.FreqLimitParams
}

type rivalKey struct {
	state  gcra.State
	closed int64
}

func newRivalled() *rivalled {
	return &rivalled{map[string]*rivalKey{}, map[string][]charge{}, map[string]gcra.FreqLimitParams{}}
}

func (b *rivalled) key(key string) *rivalKey {
	if b.keys[key] == nil {
		b.keys[key] = &rivalKey{}
	}
	return b.keys[key]
}

// reserve decides a request all or nothing. heldBy are keys whose holds apply.
func (b *rivalled) reserve(now, notBefore, horizon int64, limits []backend.Limit, heldBy ...string) (slot int64, r Refusal, granted bool) {
	slot, r.Binding = max(now, notBefore), -1
	for i, l := range limits {
		k := b.key(l.Key)
		k.state = k.state.Rebase(now, l.Params)
		if open := max(k.closed, k.state.Slot(now, l.Params, l.Units())); open > slot {
			slot, r.Binding = open, i
			r.Held = open == k.closed
		}
	}
	for _, key := range heldBy {
		if closed := b.key(key).closed; closed > slot {
			slot, r.Binding, r.Held = closed, -1, true
		}
	}
	r.Until = slot
	if slot-now > horizon {
		return 0, r, false
	}
	for _, l := range limits {
		k := b.key(l.Key)
		k.state = k.state.Charge(slot, l.Params, l.Units())
		b.charges[l.Key] = append(b.charges[l.Key], charge{slot, l.Units()})
		b.params[l.Key] = l.Params
	}
	return slot, Refusal{}, true
}

// trip is a batch on its way: decided at one instant, answered at a later one.
type trip struct {
	decided, answered int64
	jobs              []*Job
	answers           []func(now int64)
}

// rally drives a scheduler against a rivalled backend, in batches, with several
// on the way at once.
type rally struct {
	*world
	t       *rapidT
	work    workload
	store   *rivalled
	asking  []*Job
	trips   []*trip
	starts  map[int]int
	gone    map[int]bool
	granted map[laneID][]started
	told    map[string]int64 // until when keys are held, as far as it is known here
}

type laneID struct {
	key      string
	priority int
}

// Whatever the backend answers, in whatever batches and however late: every job
// starts once or is rejected, lanes keep their order, no job is before the slot
// that the backend gave it, no limit is exceeded, and nothing gets stuck.
func TestBatchesUnderRandomRefusals(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := draw(t)
		if !work.steady() {
			t.Skip()
		}
		r := &rally{
			world: newWorld(t, work.cfg), t: t, work: work, store: newRivalled(),
			starts: map[int]int{}, gone: map[int]bool{}, granted: map[laneID][]started{},
			told: map[string]int64{},
		}
		r.play()
		r.check()
	})
}

func (r *rally) play() {
	events := r.work.events
	for steps := 0; ; steps++ {
		if steps > 100_000 {
			r.t.Fatalf("no end: at %d %d jobs wait\n%v", r.now, r.Waiting(), r.work)
		}
		for len(events) > 0 && events[0].at <= r.now {
			r.happen(events[0])
			events = events[1:]
		}
		r.finish()
		r.travel()
		r.take()
		next, ok := r.Wake()
		sooner := func(at int64) {
			if !ok || at < next {
				next, ok = at, true
			}
		}
		if len(events) > 0 {
			sooner(events[0].at)
		}
		for _, e := range r.running {
			sooner(e.at)
		}
		for _, trip := range r.trips {
			if trip.answers == nil {
				sooner(trip.decided)
			} else {
				sooner(trip.answered)
			}
		}
		if !ok {
			return
		}
		r.now = max(r.now, next)
	}
}

// happen submits a job, or holds a key here or at the backend alone; now and
// then the rival takes a slot, or there is news of a limit, which need not be true.
func (r *rally) happen(e event) {
	if span(r.t, "news", 0, 4) == 0 {
		r.Invalidate(r.now, rapid.SampledFrom(r.work.limits()).Draw(r.t, "invalidated"))
	}
	if e.do == holdsKey {
		k := r.store.key(e.key)
		k.closed = max(k.closed, e.until)
		if rapid.Bool().Draw(r.t, "told") {
			r.Hold(r.now, e.key, e.until)
			r.told[e.key] = max(r.told[e.key], e.until)
		}
		return
	}
	j := r.work.work[e.job]
	r.Submit(r.now, newJob(e.job), j.key, j.priority, j.limits)
	for _, l := range j.limits {
		if span(r.t, "rival", 0, 2) == 0 {
			r.store.reserve(r.now, 0, 1<<40, []backend.Limit{l})
		}
	}
}

// limits returns the keys of the limits of all jobs, and the key of none.
func (w *workload) limits() []string {
	keys := []string{"none"}
	for _, j := range w.work {
		for _, l := range j.limits {
			keys = append(keys, l.Key)
		}
	}
	return keys
}

func (r *rally) finish() {
	rest := r.running[:0]
	var over []*Job
	for _, e := range r.running {
		if e.at <= r.now {
			over = append(over, e.Job)
		} else {
			rest = append(rest, e)
		}
	}
	r.running = rest
	for _, j := range over {
		again := r.work.work[idOf(j)].again > 0 && r.starts[idOf(j)] == 1
		r.Finished(r.now, j, again)
	}
}

// take takes jobs until there are none, and sends them off in batches of random
// sizes.
func (r *rally) take() {
	for {
		j, ask := r.Next(r.now)
		switch {
		case j == nil:
			r.send()
			r.mustGoOn()
			return
		case !ask:
			r.mustBeAlone(j)
			r.begin(j, j.Slot)
		default:
			r.mustBeAlone(j)
			r.asking = append(r.asking, j)
			if rapid.Bool().Draw(r.t, "send") {
				r.send()
			}
		}
	}
}

// mustBeAlone fails if keys are serial and another job of this key runs, or is
// being asked for.
func (r *rally) mustBeAlone(j *Job) {
	busy := r.busyKey(j.Key())
	same := func(o *Job) bool { return o.Key() == j.Key() }
	for _, trip := range r.trips {
		busy = busy || slices.ContainsFunc(trip.jobs, same)
	}
	if r.cfg.Serial && (busy || slices.ContainsFunc(r.asking, same)) {
		r.t.Fatalf("at %d job %v is taken while another of key %q runs or is asked for\n%v", r.now, idOf(j), j.Key(), r.work)
	}
}

func (r *rally) send() {
	if len(r.asking) == 0 {
		return
	}
	there := r.now + int64(span(r.t, "there", 0, 3))
	back := there + int64(span(r.t, "back", 0, 3))
	r.trips = append(r.trips, &trip{decided: there, answered: back, jobs: r.asking})
	r.asking = nil
}

// mustGoOn fails if jobs wait, a worker is free, and nothing will ever happen.
func (r *rally) mustGoOn() {
	if r.Waiting() == 0 || r.Idle() == 0 || len(r.trips) > 0 || len(r.running) > 0 {
		return
	}
	if at, ok := r.Wake(); !ok || at <= r.now {
		r.t.Fatalf("at %d %d jobs wait, %d workers are idle and nothing is on its way; Wake() = %d, %v\n%v",
			r.now, r.Waiting(), r.Idle(), at, ok, r.work)
	}
}

// travel lets the batches arrive, and their answers.
func (r *rally) travel() {
	for _, trip := range r.trips {
		if trip.answers == nil && trip.decided <= r.now {
			r.decide(trip)
		}
	}
	for i := 0; i < len(r.trips); i++ {
		trip := r.trips[i]
		if trip.answers == nil || trip.answered > r.now {
			continue
		}
		r.trips = slices.Delete(r.trips, i, i+1)
		i--
		for _, answer := range trip.answers {
			answer(r.now)
		}
	}
}

func (r *rally) decide(trip *trip) {
	away := span(r.t, "away", 0, 9) == 0
	for _, j := range trip.jobs {
		answer := func(now int64) { r.Failed(now, j, now+5) }
		if !away {
			slot, refusal, granted := r.store.reserve(r.now, r.NotBefore(j), r.cfg.Horizon, r.Request(j, nil), r.heldBy(j)...)
			switch {
			case granted:
				answer = func(now int64) {
					r.Granted(now, j, slot)
					r.begin(j, slot)
				}
			case span(r.t, "reject", 0, 19) == 0:
				answer = func(now int64) {
					r.Rejected(now, j)
					r.gone[idOf(j)] = true
				}
			default:
				limits := r.Request(j, nil)
				answer = func(now int64) {
					if refusal.Held {
						key := j.Key()
						if refusal.Binding >= 0 {
							key = limits[refusal.Binding].Key
						}
						r.told[key] = max(r.told[key], refusal.Until)
					}
					r.Refused(now, j, refusal)
				}
			}
		}
		trip.answers = append(trip.answers, answer)
	}
}

// heldBy is the key of a job, unless it is the key of one of its limits.
func (r *rally) heldBy(j *Job) []string {
	same := func(l backend.Limit) bool { return l.Key == j.Key() }
	named := slices.ContainsFunc(r.Request(j, nil), same)
	if got := r.IsLimit(j); got != named {
		r.t.Fatalf("IsLimit() of a job of key %q = %v, want %v\n%v", j.Key(), got, named, r.work)
	}
	if named {
		return nil
	}
	return []string{j.Key()}
}

func (r *rally) begin(j *Job, slot int64) {
	id := idOf(j)
	r.starts[id]++
	l := laneID{j.Key(), j.Priority()}
	before := r.granted[l]
	switch {
	case j.Slot < slot:
		r.t.Fatalf("job %d starts at %d, before the slot that it was granted, %d", id, j.Slot, slot)
	case j.Slot > slot && j.Slot > r.told[j.Key()]: // it may have been held meanwhile
		r.t.Fatalf("job %d starts at %d, want its slot, %d", id, j.Slot, slot)
	}
	r.granted[l] = append(before, started{Job: j, slot: j.Slot})
	r.running = append(r.running, ending{at: max(r.now, j.Slot) + r.work.work[id].takes, Job: j})
}

func (r *rally) check() {
	r.wantIdle()
	for id, j := range r.work.work {
		want := 1
		if j.again > 0 {
			want = 2
		}
		if n := r.starts[id]; n != want && !(r.gone[id] && n < want) {
			r.t.Fatalf("job %d starts %d times, want %d, or fewer as it was rejected: %v\n%v",
				id, n, want, r.gone[id], r.work)
		}
	}
	for l, starts := range r.granted {
		seen, last := map[*Job]bool{}, -1
		for i, s := range starts {
			if i > 0 && s.slot < starts[i-1].slot {
				r.t.Fatalf("lane %v: a start at %d after one at %d\n%v", l, s.slot, starts[i-1].slot, r.work)
			}
			id := idOf(s.Job)
			if !seen[s.Job] && id < last {
				r.t.Fatalf("lane %v: job %d starts after job %d\n%v", l, id, last, r.work)
			}
			seen[s.Job], last = true, max(last, id)
		}
	}
	for key, charges := range r.store.charges {
		if err := checkWindows(charges, r.store.params[key]); err != nil {
			r.t.Fatalf("limit %q: %v\n%v", key, err, r.work)
		}
	}
	r.now += 10_000
	r.Next(r.now)
	r.wantNothingKept()
}

// Who takes several jobs before answering gets one of each lane.
func TestBatchHasOneJobOfEachLane(t *testing.T) {
	w := newWorld(t, Config{Workers: 10})
	p := rate(10, time.Second, 10)
	for lane := range 3 {
		for range 4 {
			w.submit(fmt.Sprint(lane), limitOn("x", p))
		}
	}
	keys := map[string]int{}
	for {
		j, _ := w.Next(0)
		if j == nil {
			break
		}
		keys[j.Key()]++
	}
	if len(keys) != 3 || keys["0"] != 1 || keys["1"] != 1 || keys["2"] != 1 {
		t.Errorf("a batch has %v jobs by key, want one of each of three", keys)
	}
}

// A batch takes no more than the limit allows, by the picture, before the first
// answer has come.
func TestBatchIsChargedAsItIsTaken(t *testing.T) {
	w := newWorld(t, Config{Workers: 10, Horizon: 5 * ms})
	for lane := range 10 {
		w.submit(fmt.Sprint(lane), limitOn("x", rate(10, time.Second, 3)))
	}
	taken := 0
	for j, _ := w.Next(0); j != nil; j, _ = w.Next(0) {
		taken++
	}
	if taken != 3 {
		t.Errorf("%d jobs are taken at once, want a burst of 3", taken)
	}
}

// Trap 9 with a backend that learns of new params only when it is asked: the
// jobs that wait go at the new pace after a refusal.
func TestTrap9RaisedAtTheBackend(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	store := newRivalled()
	w.answer = func(j *Job) {
		limits := w.Request(j, nil)
		slot, refusal, granted := store.reserve(w.now, w.NotBefore(j), w.cfg.Horizon, limits)
		if !granted {
			w.Refused(w.now, j, refusal)
			return
		}
		w.Granted(w.now, j, slot)
		w.begin(j, nil)
	}
	for range 3 {
		w.submit("a", limitOn("x", rate(1, time.Hour, 1)))
	}
	w.runUntil(sec)
	w.submit("b", limitOn("x", rate(1, time.Second, 1)))
	w.run()
	if last := w.last(); last > 6*sec {
		t.Errorf("after the limit was raised to one per second the last of four jobs starts at %v, want 6s at most",
			time.Duration(last))
	}
}
