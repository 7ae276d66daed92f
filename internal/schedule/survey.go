package schedule

import "github.com/freqlimit/dispatcher/gcra"

// Standing is what the first job of a lane waits for, and those behind it with it.
type Standing uint8

const (
	StandingReady   Standing = iota // for a worker, or for nothing: it is being taken
	StandingLimited                 // for a limit
	StandingHeld                    // for the end of a hold
	StandingDated                   // for a date
	StandingPaused                  // for Resume or ResumeKey
	StandingBehind                  // for a job of its key that runs, or is to run again

	standings
)

// KeyLoad is the jobs of one key.
type KeyLoad struct {
	Key     string
	Waiting [standings]int // by Standing
	Running int
}

// Survey counts the jobs of all keys, a few keys at a time, as they were at the instant at
// which it began. What they wait for is what they waited for when they were counted, or
// right before they changed.
type Survey struct {
	s      *Scheduler
	now    int64
	rounds rounds
	job    func(*KeyLoad)
	limit  func(key string, p gcra.FreqLimitParams, lost int64)

	large  map[*name]*KeyLoad // of keys with more than fewSiblings lanes, as far as they were seen
	larges []*KeyLoad         // the same, not told yet
}

// Behind reports whether dates have come of jobs that Next has not seen to yet: a survey would
// find that these wait for their dates still.
func (s *Scheduler) Behind(now int64) bool {
	for _, q := range [...]*queue[*byDate]{&s.dates, &s.tried} {
		if q.len() > 0 && q.top().NotBefore <= now {
			return true
		}
	}
	return false
}

// Survey begins a survey. Of each key that has jobs it calls keys, and of each limit that has
// cost time limits: nanoseconds, or the most that there can be.
func (s *Scheduler) Survey(now int64, keys func(*KeyLoad), limits func(key string, p gcra.FreqLimitParams, lost int64)) *Survey {
	s.tick(now)
	v := &Survey{s: s, now: now, rounds: s.newRounds(), job: keys, limit: limits}
	s.look(v)
	return v
}

// Step looks at some n lanes or limits, and reports whether that were the last ones. The
// caller goes on until it does.
func (v *Survey) Step(now int64, n int) (done bool) {
	v.s.tick(now)
	for range n {
		name, l, ok := v.rounds.next()
		switch {
		case !ok && len(v.larges) == 0:
			v.s.looker = nil
			v.s.losses.all(v.limit)
			return true
		case !ok:
			last := len(v.larges) - 1
			v.job(v.larges[last])
			v.larges = v.larges[:last]
		case l != nil:
			v.touched(l)
		case name.limit != nil:
			tellLoss(v.limit, name.key, name.limit.params, v.s.lossOf(name.limit))
		}
	}
	return false
}

// touched implements looker: it counts the jobs of a lane, unless it has done so.
func (v *Survey) touched(l *lane) {
	if l.seen == v.s.looks {
		return
	}
	switch f := l.siblings(); {
	case v.large[l.name] != nil:
		v.add(v.large[l.name], l)
	case f == nil:
		v.all(l.name.key, l)
	case f.few != nil:
		v.all(l.name.key, f.few...)
	default:
		k := &KeyLoad{Key: l.name.key}
		if v.large == nil {
			v.large = make(map[*name]*KeyLoad)
		}
		v.large[l.name] = k
		v.larges = append(v.larges, k)
		v.add(k, l)
	}
}

// all counts the jobs of all lanes of a key.
func (v *Survey) all(key string, lanes ...*lane) {
	k := KeyLoad{Key: key}
	for _, l := range lanes {
		if l.seen != v.s.looks {
			v.add(&k, l)
		}
	}
	v.job(&k)
}

func (v *Survey) add(k *KeyLoad, l *lane) {
	l.seen = v.s.looks
	k.Waiting[v.s.standing(v.now, l)] += int(l.length)
	if a := l.aside(); a != nil {
		k.Waiting[StandingDated] += a.sleepers
	}
	k.Running += int(l.running)
}

// left implements looker: whoever leaves changes a lane.
func (v *Survey) left(*Job, bool) {}

// started implements looker.
func (v *Survey) started(*Job) {}

// cut implements looker.
func (v *Survey) cut(*lane, uint64, *Job) {}

// altered implements looker.
func (v *Survey) altered(*limit) {}

func (s *Scheduler) standing(now int64, l *lane) Standing {
	switch {
	case l.length == 0 || l.state == asking:
		return StandingReady
	case s.paused || s.pausedKey(l.name.key):
		return StandingPaused
	case l.state == parked:
		switch {
		case s.heldUntil(l) > now:
			return StandingDated
		case s.busy(l) || s.kept(l):
			return StandingBehind
		}
		if g := l.peers(); g != nil && g.turn != nil && g.turn.state == waiting {
			return s.standing(now, g.turn)
		}
		return StandingReady
	case s.keyHold(now, l) != nil:
		return StandingHeld
	}
	for i := range l.uses {
		if l.uses[i].limit().closed > now {
			return StandingHeld
		}
	}
	if l.opens() > now || s.isKept(l.cohort.at) {
		return StandingLimited
	}
	return StandingReady
}
