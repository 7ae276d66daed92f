package dispatcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// looks answers what takes a look at all keys, limits or jobs. The loop does that a few at a
// time and goes on with its work in between. One look goes on at a time. All who have asked
// for one of its kind when it begins share it.
type looks[T any] struct {
	asked   []lookFor // for the next survey
	pending []imageFor[T]

	survey *schedule.Survey // that goes on; nil: none
	askers []lookFor
	found  *found

	imaging   *schedule.Imaging // that goes on; nil: none
	imageFors []imageFor[T]
	begun     int64 // when it was
	turn      bool  // the next look is an image

	replies []func() // to those who have asked, as far as they have not got them
}

// lookFor is what somebody wants to know, beside the Load.
type lookFor struct {
	keys, limits int
	reply        chan<- *found
}

// imageFor is called in the loop when an image is there that was begun at an instant.
type imageFor[T any] func(l *loop[T], im *schedule.Image, begun int64)

// found is what was found. Who adds to it is done when others read it.
type found struct {
	load   Load
	keys   top[KeyLoad]
	limits top[Bottleneck]
}

// lookAtOnce is how many keys, limits or jobs are looked at, at a time, and how many callers
// are answered. Each takes up to a microsecond.
const lookAtOnce = 256

func (l *loop[T]) isLooking() bool {
	k := &l.looks
	return k.survey != nil || k.imaging != nil || len(k.asked) > 0 || len(k.pending) > 0 || len(k.replies) > 0
}

// look goes on with what goes on, or begins the next look.
func (l *loop[T]) look() {
	if !l.isLooking() {
		return
	}
	k, now := &l.looks, l.now()
	switch {
	case len(k.replies) > 0:
		n := min(len(k.replies), lookAtOnce)
		for i, reply := range k.replies[:n] {
			reply()
			k.replies[i] = nil
		}
		if k.replies = k.replies[n:]; len(k.replies) == 0 {
			k.replies = nil
		}
	case k.survey != nil:
		l.goOnSurvey(now)
	case k.imaging != nil:
		l.goOnImage(now)
	case len(k.asked) > 0 && !l.sched.Behind(now):
		l.beginSurvey(now)
		l.goOnSurvey(now)
	}
}

// beginImage begins an image, if there is to be one and nothing else goes on. It comes before
// what is decided next, so that jobs which start at the instant of the question are in it.
func (l *loop[T]) beginImage(now int64) {
	k := &l.looks
	if len(k.pending) == 0 || k.survey != nil || k.imaging != nil || len(k.asked) > 0 && !k.turn {
		return
	}
	k.imageFors, k.pending, k.turn, k.begun = k.pending, nil, false, now
	k.imaging = l.sched.BeginImage()
}

func (l *loop[T]) goOnSurvey(now int64) {
	k := &l.looks
	if !k.survey.Step(now, lookAtOnce) {
		return
	}
	found := k.found
	for _, a := range k.askers {
		k.replies = append(k.replies, func() { a.reply <- found })
	}
	k.survey, k.askers, k.found, k.turn = nil, nil, nil, true
}

func (l *loop[T]) goOnImage(now int64) {
	k := &l.looks
	if !k.imaging.Step(lookAtOnce) {
		return
	}
	var runs []schedule.Run
	for _, s := range l.coming {
		runs = append(runs, s.entry.sched.Run())
	}
	im := k.imaging.Finish(now, l.desk.running(now, runs))
	begun := k.begun
	for _, f := range k.imageFors {
		k.replies = append(k.replies, func() { f(l, im, begun) })
	}
	k.imaging, k.imageFors = nil, nil
}

func (l *loop[T]) beginSurvey(now int64) {
	k := &l.looks
	k.askers, k.asked = k.asked, nil
	f := &found{load: Load{Ready: len(l.coming)}}
	f.keys.compare, f.limits.compare = KeyLoad.compare, Bottleneck.compare
	for _, a := range k.askers {
		f.keys.n, f.limits.n = max(f.keys.n, a.keys), max(f.limits.n, a.limits)
	}
	k.found = f
	k.survey = l.sched.Survey(now, func(key *schedule.KeyLoad) {
		waiting := 0
		for is, n := range key.Waiting {
			*f.load.of(schedule.Standing(is)) += n
			waiting += n
		}
		if waiting > 0 {
			f.keys.add(KeyLoad{key.Key, waiting, key.Running})
		}
	}, func(key string, p gcra.FreqLimitParams, lost int64) {
		f.limits.add(Bottleneck{key, p, time.Duration(lost)})
	})
}

// lookFor has the loop look, and returns what was found. For the error see ask.
func (d *Dispatcher[T]) lookFor(ctx context.Context, keys, limits int) (*found, error) {
	return ask(ctx, d, func(l *loop[T], _ int64, reply chan<- *found) {
		l.looks.asked = append(l.looks.asked, lookFor{keys, limits, reply})
	})
}

// top is the first n of all that is added, by compare. It is sorted by whoever asks first.
type top[E any] struct {
	n       int
	compare func(a, b E) int
	few     []E   // sorted, if n is at most fewTop
	blocks  [][]E // else all

	once sync.Once // for few, from blocks
}

const (
	// fewTop is of how many elements the first are found as they come, and not at the end.
	fewTop = 256

	topBlock = 1024
)

func (t *top[E]) add(e E) {
	if t.n > fewTop {
		last := len(t.blocks) - 1
		if last < 0 || len(t.blocks[last]) == topBlock {
			t.blocks = append(t.blocks, make([]E, 0, topBlock))
			last++
		}
		t.blocks[last] = append(t.blocks[last], e)
		return
	}
	at, _ := slices.BinarySearchFunc(t.few, e, t.compare)
	if at >= t.n {
		return
	}
	if len(t.few) == t.n {
		t.few = t.few[:t.n-1]
	}
	t.few = slices.Insert(t.few, at, e)
}

// first returns the first n, or all if there are fewer. It is safe for concurrent use.
func (t *top[E]) first(n int) []E {
	t.once.Do(func() {
		if t.blocks != nil {
			t.few, t.blocks = slices.Concat(t.blocks...), nil
			slices.SortFunc(t.few, t.compare)
		}
	})
	return t.few[:max(0, min(n, len(t.few)))]
}
