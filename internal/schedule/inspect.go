package schedule

import (
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
)

// WaitReason says what the head of a lane waits for. The jobs behind it count as waiting for
// the same.
type WaitReason uint8

const (
	ReasonReady   WaitReason = iota // for a worker, or for nothing: it is being taken
	ReasonLimited                   // for a limit
	ReasonHeld                      // for the end of a hold
	ReasonDated                     // for a date
	ReasonPaused                    // for Resume or ResumeKey
	ReasonBehind                    // for a job of its key that runs, or is to run again

	WaitReasons
)

// KeyLoad counts the jobs of one key.
type KeyLoad struct {
	Key     string
	Waiting [WaitReasons]int // by WaitReason
	Running int
}

// Inspection counts the jobs of all keys as they were when it began, a few keys at a time. The
// reason for which a job waits is the one at the instant at which it was counted: before its lane
// changed, if it did.
type Inspection struct {
	s     *Scheduler
	now   int64
	walk  keyWalk
	job   func(*KeyLoad)
	limit func(key string, p gcra.FreqLimitParams, waited int64)

	large  map[*keyState]*KeyLoad // of keys with more than fewSiblings lanes, as far as they were seen
	larges []*KeyLoad             // the same, not told yet
}

// Behind reports whether dates of jobs have come that Next has not seen to yet. An inspection would
// still find these jobs waiting for their dates.
func (s *Scheduler) Behind(now int64) bool {
	for _, q := range [...]*pqueue.Queue[*byDate]{&s.dates, &s.tried} {
		if q.Len() > 0 && q.Top().NotBefore <= now {
			return true
		}
	}
	return false
}

// Inspect begins an inspection. It calls keys for each key that has jobs, and limits for each
// limit that has a wait time: waited is in nanoseconds, or [math.MaxInt64] if that is too little.
func (s *Scheduler) Inspect(now int64, keys func(*KeyLoad), limits func(key string, p gcra.FreqLimitParams, waited int64)) *Inspection {
	s.tick(now)
	v := &Inspection{s: s, now: now, walk: s.walkKeys(), job: keys, limit: limits}
	s.observe(v)
	return v
}

// Step looks at about n lanes or limits, and reports whether the inspection is complete. The
// caller calls it until it is.
func (v *Inspection) Step(now int64, n int) (done bool) {
	v.s.tick(now)
	for range n {
		k, l, ok := v.walk.next()
		switch {
		case !ok && len(v.larges) == 0:
			v.s.observer = nil
			v.s.waitTimes.all(v.limit)
			return true
		case !ok:
			last := len(v.larges) - 1
			v.job(v.larges[last])
			v.larges = v.larges[:last]
		case l != nil:
			v.laneChanges(l)
		case k.limit != nil:
			reportWait(v.limit, k.key, k.limit.params, v.s.waitedFor(k.limit))
		}
	}
	return false
}

// laneChanges implements observer: it counts the jobs of a lane, unless it has done so.
func (v *Inspection) laneChanges(l *lane) {
	if l.seen == v.s.observers {
		return
	}
	switch f := l.keyLanes(); {
	case v.large[l.keyState] != nil:
		v.add(v.large[l.keyState], l)
	case f == nil:
		v.all(l.keyState.key, l)
	case f.few != nil:
		v.all(l.keyState.key, f.few...)
	default:
		k := &KeyLoad{Key: l.keyState.key}
		if v.large == nil {
			v.large = make(map[*keyState]*KeyLoad)
		}
		v.large[l.keyState] = k
		v.larges = append(v.larges, k)
		v.add(k, l)
	}
}

// all counts the jobs of all lanes of a key.
func (v *Inspection) all(key string, lanes ...*lane) {
	k := KeyLoad{Key: key}
	for _, l := range lanes {
		if l.seen != v.s.observers {
			v.add(&k, l)
		}
	}
	v.job(&k)
}

func (v *Inspection) add(k *KeyLoad, l *lane) {
	l.seen = v.s.observers
	k.Waiting[v.s.waitReason(v.now, l)] += int(l.length)
	if a := l.aside(); a != nil {
		k.Waiting[ReasonDated] += a.sleepers
	}
	k.Running += int(l.running)
}

// jobLeft implements observer. The lane of the job was counted before.
func (v *Inspection) jobLeft(*Job, bool) {}

// jobStarted implements observer.
func (v *Inspection) jobStarted(*Job) {}

// laneCut implements observer.
func (v *Inspection) laneCut(*lane, uint64, *Job) {}

// limitChanged implements observer.
func (v *Inspection) limitChanged(*limit) {}

func (s *Scheduler) waitReason(now int64, l *lane) WaitReason {
	switch {
	case l.length == 0 || l.state == asking:
		return ReasonReady
	case s.paused || s.pausedKey(l.keyState.key):
		return ReasonPaused
	case l.state == parked:
		switch {
		case s.blockedUntil(l) > now:
			return ReasonDated
		case s.busy(l) || s.kept(l):
			return ReasonBehind
		}
		if g := l.group(); g != nil && g.competitor != nil && g.competitor.state == waiting {
			return s.waitReason(now, g.competitor)
		}
		return ReasonReady
	case s.keyHold(now, l) != nil:
		return ReasonHeld
	}
	for i := range l.refs {
		if l.refs[i].limit().closed > now {
			return ReasonHeld
		}
	}
	if l.opens() > now || s.isKept(l.cohort.at) {
		return ReasonLimited
	}
	return ReasonReady
}
