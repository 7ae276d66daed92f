package engine

import (
	"cmp"
	"context"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// inspector answers questions about all keys, limits or jobs. The loop looks at a few of them in each
// step, so that its work goes on in between. Only one inspection or snapshot is in progress at a time.
// All questions of its kind that were asked before it begins share it.
type inspector struct {
	asked   []inspectionFor // for the next inspection
	pending []snapshotFor   // for the next snapshot

	inspection *schedule.Inspection // in progress; nil if none is
	askers     []inspectionFor
	found      *Found

	snapshot     *schedule.SnapshotBuilder // in progress; nil if none is
	snapshotFors []snapshotFor
	begun        int64 // when it began
	turn         bool  // a snapshot is next

	replies []func() // replies that are still to be sent
}

// inspectionFor says what a caller of Inspect wants to know besides the number of jobs.
type inspectionFor struct {
	keys, limits int
	reply        chan<- *Found
}

// snapshotFor is called by the loop with a finished snapshot and the instant at which it began.
type snapshotFor func(snap *schedule.Snapshot, begun int64)

// Found is the result of an inspection. It is complete before anyone reads it.
type Found struct {
	// Waiting counts waiting jobs by what they wait for, and Scheduled jobs that have slots.
	Waiting   [schedule.WaitReasons]int
	Scheduled int

	keys   top[KeyLoad]
	limits top[Bottleneck]
}

// Keys returns up to n keys with the most waiting jobs, the busiest first; keys with equal numbers are
// sorted by name.
func (f *Found) Keys(n int) []KeyLoad { return f.keys.first(n) }

// Limits returns up to n limits that have cost the most time, the most costly first; equal ones are
// sorted by name.
func (f *Found) Limits(n int) []Bottleneck { return f.limits.first(n) }

// KeyLoad counts the jobs of one key.
type KeyLoad struct {
	Key              string
	Waiting, Running int
}

func (k KeyLoad) compare(o KeyLoad) int {
	return cmp.Or(cmp.Compare(o.Waiting, k.Waiting), cmp.Compare(k.Key, o.Key))
}

// Bottleneck says how much time a limit has cost.
type Bottleneck struct {
	Key    string
	Params gcra.FreqLimitParams
	Lost   time.Duration
}

func (b Bottleneck) compare(o Bottleneck) int {
	return cmp.Or(cmp.Compare(o.Lost, b.Lost), cmp.Compare(b.Key, o.Key))
}

// Inspect makes the loop look at all keys and limits, and returns the result, with this many keys and
// limits. For the error see ask.
func (e *Engine) Inspect(ctx context.Context, keys, limits int) (*Found, error) {
	return ask(ctx, e, func(l *loop, _ int64, reply chan<- *Found) {
		l.inspector.asked = append(l.inspector.asked, inspectionFor{keys, limits, reply})
	})
}

// Snapshot returns a copy of everything that waits, and the instant at which it was begun. For the
// error see ask.
func (e *Engine) Snapshot(ctx context.Context) (*schedule.Snapshot, int64, error) {
	type taken struct {
		*schedule.Snapshot
		begun int64
	}
	t, err := ask(ctx, e, func(l *loop, _ int64, reply chan<- taken) {
		l.inspector.pending = append(l.inspector.pending, func(snap *schedule.Snapshot, begun int64) { reply <- taken{snap, begun} })
	})
	return t.Snapshot, t.begun, err
}

// Whereabouts says where a job is: it waits in a snapshot, or has its slot, or, if neither, has ended.
type Whereabouts struct {
	Snapshot *schedule.Snapshot // nil: it does not wait
	Slot     int64              // if HasSlot
	HasSlot  bool
}

// Find returns where a job is. For the error see ask.
func (e *Engine) Find(ctx context.Context, j *schedule.Job) (Whereabouts, error) {
	// The job may start before the snapshot is finished, so look where it is then.
	find := func(snap *schedule.Snapshot) Whereabouts {
		switch j.State() {
		case schedule.StateScheduled, schedule.StateRunning:
			return Whereabouts{Slot: j.Slot, HasSlot: true}
		case schedule.StateWaiting, schedule.StateAsking:
			return Whereabouts{Snapshot: snap}
		}
		return Whereabouts{}
	}
	return ask(ctx, e, func(l *loop, _ int64, reply chan<- Whereabouts) {
		if s := j.State(); s != schedule.StateWaiting && s != schedule.StateAsking {
			reply <- find(nil)
			return
		}
		l.inspector.pending = append(l.inspector.pending, func(snap *schedule.Snapshot, _ int64) { reply <- find(snap) })
	})
}

// inspectedAtOnce is how many keys, limits or jobs the loop looks at in one step, and how many replies
// it sends. Each takes up to a microsecond.
const inspectedAtOnce = 256

func (l *loop) isInspecting() bool {
	k := &l.inspector
	return k.inspection != nil || k.snapshot != nil || len(k.asked) > 0 || len(k.pending) > 0 || len(k.replies) > 0
}

// inspect goes on with the inspection or snapshot in progress, or begins the next inspection.
func (l *loop) inspect() {
	if !l.isInspecting() {
		return
	}
	k, now := &l.inspector, l.e.Now()
	switch {
	case len(k.replies) > 0:
		n := min(len(k.replies), inspectedAtOnce)
		for i, reply := range k.replies[:n] {
			reply()
			k.replies[i] = nil
		}
		if k.replies = k.replies[n:]; len(k.replies) == 0 {
			k.replies = nil
		}
	case k.inspection != nil:
		l.stepInspection(now)
	case k.snapshot != nil:
		l.stepSnapshot(now)
	case len(k.asked) > 0 && !l.sched.Behind(now):
		l.beginInspection(now)
		l.stepInspection(now)
	}
}

// beginSnapshot begins a snapshot if one was asked for and nothing else is in progress. takeIn calls it
// before jobs are decided, so that jobs that start at the instant of the question are in it.
func (l *loop) beginSnapshot(now int64) {
	k := &l.inspector
	if len(k.pending) == 0 || k.inspection != nil || k.snapshot != nil || len(k.asked) > 0 && !k.turn {
		return
	}
	k.snapshotFors, k.pending, k.turn, k.begun = k.pending, nil, false, now
	k.snapshot = l.sched.BeginSnapshot()
}

func (l *loop) stepInspection(now int64) {
	k := &l.inspector
	if !k.inspection.Step(now, inspectedAtOnce) {
		return
	}
	found := k.found
	for _, a := range k.askers {
		k.replies = append(k.replies, func() { a.reply <- found })
	}
	k.inspection, k.askers, k.found, k.turn = nil, nil, nil, true
}

func (l *loop) stepSnapshot(now int64) {
	k := &l.inspector
	if !k.snapshot.Step(inspectedAtOnce) {
		return
	}
	var runs []schedule.Run
	for _, s := range l.scheduled {
		runs = append(runs, s.Job.Run())
	}
	snap := k.snapshot.Finish(now, l.e.pool.running(now, runs))
	begun := k.begun
	for _, f := range k.snapshotFors {
		k.replies = append(k.replies, func() { f(snap, begun) })
	}
	k.snapshot, k.snapshotFors = nil, nil
}

func (l *loop) beginInspection(now int64) {
	k := &l.inspector
	k.askers, k.asked = k.asked, nil
	f := &Found{Scheduled: len(l.scheduled)}
	f.keys.compare, f.limits.compare = KeyLoad.compare, Bottleneck.compare
	for _, a := range k.askers {
		f.keys.n, f.limits.n = max(f.keys.n, a.keys), max(f.limits.n, a.limits)
	}
	k.found = f
	k.inspection = l.sched.Inspect(now, func(key *schedule.KeyLoad) {
		waiting := 0
		for is, n := range key.Waiting {
			f.Waiting[is] += n
			waiting += n
		}
		if waiting > 0 {
			f.keys.add(KeyLoad{key.Key, waiting, key.Running})
		}
	}, func(key string, p gcra.FreqLimitParams, lost int64) {
		f.limits.add(Bottleneck{key, p, time.Duration(lost)})
	})
}
