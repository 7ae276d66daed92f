package schedule

import (
	heaps "container/heap"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

const (
	ms  = int64(time.Millisecond)
	sec = int64(time.Second)
)

// world runs a scheduler in virtual time, which it alone moves. Unless answer
// says otherwise, its backend grants whatever it is asked for. It keeps a ledger
// of every limit, apart from the scheduler's, and fails the test when a start is
// early or was decided too far ahead.
type world struct {
	*Scheduler
	tb     failer
	now    int64
	takes  func(*Job) int64 // how long the handler runs; nil: no time
	answer func(*Job)       // what the backend does when it is asked; nil: it grants
	again  func(*Job) bool  // whether a job that ends is to run again; nil: it is not
	after  func()           // called whenever nothing more can start now

	withoutClaims bool // no head is ever overdue

	running endings
	starts  []started
	expired []*Job
	failed  []*Job        // cost more than a Burst
	back    map[*Job]bool // jobs that wait to run again, and whose keys wait for them
	ledger  map[string]gcra.State
	closed  map[string]int64
}

// failer is what a *testing.T, a *testing.B and a *rapid.T have in common.
type failer interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// started is one start.
type started struct {
	*Job
	decided int64
	slot    int64
	limits  []backend.Limit
}

func newWorld(tb failer, cfg Config) *world {
	return &world{Scheduler: newScheduler(cfg), tb: tb, back: map[*Job]bool{}, ledger: map[string]gcra.State{}, closed: map[string]int64{}}
}

// newScheduler is New. Half of the schedulers have trees of gates, however few costs the
// jobs have.
func newScheduler(cfg Config) *Scheduler {
	s := New(cfg)
	if cfg.Workers%2 == 1 {
		s.few = 0
	}
	return s
}

// task is a job as the tests submit it, with an id.
type task struct {
	Job
	id        int
	submitted int64 // unknown if world has not submitted it
}

const unknown = -1

// newJob returns a job that is submitted when it is passed to Submit.
func newJob(id int) *Job {
	return &(&task{Job: Job{Arrival: math.MaxInt64}, id: id, submitted: unknown}).Job
}

func taskOf(j *Job) *task  { return (*task)(unsafe.Pointer(j)) }
func idOf(j *Job) int      { return taskOf(j).id }
func setID(j *Job, id int) { taskOf(j).id = id }

// many is more workers than a test has jobs.
const many = 1 << 20

func rate(limit int, period time.Duration, burst int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: limit, Period: period, Burst: burst}
}

func limitOn(key string, p gcra.FreqLimitParams) backend.Limit {
	return backend.Limit{Key: key, Params: p}
}

func costly(key string, p gcra.FreqLimitParams, cost int) backend.Limit {
	return backend.Limit{Key: key, Params: p, Cost: cost}
}

// submit submits a job of a key, now.
func (w *world) submit(key string, limits ...backend.Limit) *Job {
	return w.submitAt(0, key, limits...)
}

// submitAt is submit with a priority.
func (w *world) submitAt(priority int, key string, limits ...backend.Limit) *Job {
	j := newJob(0)
	for _, l := range limits {
		w.ledger[l.Key] = w.ledger[l.Key].Rebase(w.now, l.Params)
	}
	taskOf(j).submitted = w.now
	w.Submit(w.now, j, key, priority, limits)
	return j
}

// delay holds a key for so long, from now.
func (w *world) delay(key string, d int64) {
	w.closed[key] = max(w.closed[key], w.now+d)
	w.Hold(w.now, key, w.now+d)
}

// setParams changes the params of a limit.
func (w *world) setParams(key string, p gcra.FreqLimitParams) {
	w.ledger[key] = w.ledger[key].Rebase(w.now, p)
	w.SetParams(w.now, key, p)
}

// grant is the answer of a backend that has no other clients.
func (w *world) grant(j *Job) {
	limits := w.Request(j, nil)
	w.Granted(w.now, j, j.Slot)
	w.begin(j, limits)
}

func (w *world) begin(j *Job, limits []backend.Limit) {
	w.tb.Helper()
	for _, l := range limits {
		state := w.ledger[l.Key]
		if open := max(w.closed[l.Key], state.Slot(0, l.Params, l.Units())); j.Slot < open {
			w.tb.Fatalf("a job of key %q starts at %v, want no earlier than limit %q opens, %v",
				j.Key(), time.Duration(j.Slot), l.Key, time.Duration(open))
		}
		w.ledger[l.Key] = state.Charge(j.Slot, l.Params, l.Units())
	}
	if ahead := j.Slot - w.now; ahead > w.cfg.Horizon {
		w.tb.Fatalf("a job of key %q is decided on %v ahead of its slot, want %v at most",
			j.Key(), time.Duration(ahead), time.Duration(w.cfg.Horizon))
	}
	w.starts = append(w.starts, started{j, w.now, j.Slot, limits})
	delete(w.back, j)
	end := ending{j.Slot, len(w.starts), j}
	if w.takes != nil {
		end.at += w.takes(j)
	}
	heaps.Push(&w.running, end)
}

// step does all that can be done now.
func (w *world) step() {
	w.tb.Helper()
	for len(w.running) > 0 && w.running[0].at <= w.now {
		j := heaps.Pop(&w.running).(ending).Job
		again := w.again != nil && w.again(j)
		w.back[j] = again
		w.Finished(w.now, j, again)
	}
	w.expire()
	w.ruleOut()
	for {
		if w.withoutClaims {
			w.suppressClaims()
		}
		j, ask := w.Next(w.now)
		switch {
		case j == nil:
			w.expire()
			if w.after != nil {
				w.after()
			}
			return
		case !ask:
			w.begin(j, nil)
		case w.answer != nil:
			w.answer(j)
		default:
			w.grant(j)
		}
	}
}

func (w *world) expire() {
	for j := w.Expired(w.now); j != nil; j = w.Expired(w.now) {
		w.expired = append(w.expired, j)
	}
}

func (w *world) ruleOut() {
	w.RemoveImpossible(w.now, math.MaxInt, func(j *Job) { w.failed = append(w.failed, j) })
}

// behind reports whether a lane waits for a job of its key that is to run again.
func (w *world) behind(l *lane) bool {
	own, behind := false, false
	for j, back := range w.back {
		switch {
		case !back || j.Key() != l.keyState.key:
		case j.Priority() == l.rank.priority:
			own = true
		case j.Priority() > l.rank.priority:
			return true
		default:
			behind = w.cfg.Serial
		}
	}
	return behind && !own
}

// yields reports whether a lane waits for another one of its serial key, whose head is under
// the same limits.
func (w *world) yields(l *lane) bool {
	if !w.cfg.Serial {
		return false
	}
	costs := func(l *lane) map[string]int {
		costs := map[string]int{}
		for _, lim := range w.Request(l.head, nil) {
			costs[lim.Key] = lim.Units()
		}
		return costs
	}
	for o := range l.keyState.lanes() {
		if o.length > 0 && o.rank.priority > l.rank.priority && !w.behind(o) && maps.Equal(costs(o), costs(l)) {
			return true
		}
	}
	return false
}

// suppressClaims makes no head overdue.
func (w *world) suppressClaims() {
	for _, n := range w.keys.All() {
		for l := range n.lanes() {
			l.since = math.MaxInt64 / 2
		}
	}
}

// next is the instant at which there is something to do.
func (w *world) next() (at int64, ok bool) {
	at, ok = w.Wake()
	if len(w.running) > 0 && (!ok || w.running[0].at < at) {
		at, ok = w.running[0].at, true
	}
	return at, ok
}

// runUntil lets time pass until an instant, and does all that is to be done on
// the way.
func (w *world) runUntil(end int64) {
	w.tb.Helper()
	for w.step(); ; w.step() {
		at, ok := w.next()
		if !ok || at > end {
			break
		}
		w.now = max(w.now, at)
	}
	w.now = max(w.now, end)
	w.step()
}

// run runs all jobs to their end.
func (w *world) run() {
	w.tb.Helper()
	for w.step(); ; w.step() {
		at, ok := w.next()
		if !ok {
			break
		}
		w.now = max(w.now, at)
	}
	if w.Waiting() > 0 {
		w.tb.Fatalf("%d jobs wait for ever", w.Waiting())
	}
}

// of returns the slots of the jobs of one key.
func (w *world) of(key string) []int64 {
	var slots []int64
	for _, s := range w.starts {
		if s.Key() == key {
			slots = append(slots, s.slot)
		}
	}
	return slots
}

// order returns the keys in the order of their starts.
func (w *world) order() []string {
	var keys []string
	for _, s := range w.starts {
		keys = append(keys, s.Key())
	}
	return keys
}

// last is the last slot.
func (w *world) last() int64 {
	last := int64(0)
	for _, s := range w.starts {
		last = max(last, s.slot)
	}
	return last
}

// wantSlots fails the test unless the jobs of a key started at exactly these
// instants.
func (w *world) wantSlots(key string, want ...int64) {
	w.tb.Helper()
	if got := w.of(key); !slices.Equal(got, want) {
		w.tb.Errorf("the jobs of %q start at %v, want %v", key, spans(got), spans(want))
	}
}

// wantOrder fails the test unless jobs of these keys started in this order.
func (w *world) wantOrder(want ...string) {
	w.tb.Helper()
	if got := w.order(); !slices.Equal(got, want) {
		w.tb.Errorf("the order of starts is %q, want %q", got, want)
	}
}

// wantIdle fails the test unless all workers are free and nothing waits.
func (w *world) wantIdle() {
	w.tb.Helper()
	if w.Idle() != w.cfg.Workers || w.Waiting() != 0 {
		w.tb.Errorf("%d of %d workers are idle and %d jobs wait, want all idle and none waiting",
			w.Idle(), w.cfg.Workers, w.Waiting())
	}
}

func spans(instants []int64) []time.Duration {
	var ds []time.Duration
	for _, at := range instants {
		ds = append(ds, time.Duration(at))
	}
	return ds
}

// endings is the running jobs, a heap by when they end.
type endings []ending

type ending struct {
	at    int64
	order int
	*Job
}

func (e endings) Len() int { return len(e) }
func (e endings) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e endings) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)   { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// inEachOrder runs a test in each order.
func inEachOrder(t *testing.T, test func(t *testing.T, order Order)) {
	for _, order := range []Order{Fair, FIFO, Backlog} {
		t.Run(fmt.Sprint(order), func(t *testing.T) { test(t, order) })
	}
}
