package dispatcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/schedule"
)

// looks answers what takes a look at all keys and limits. The loop does that a few keys at a
// time and goes on with its work in between. All who have asked when a look begins share it.
type looks struct {
	asked  []lookFor // for the next one
	askers []lookFor // of the one that is going on
	survey *schedule.Survey
	found  *found
}

// lookFor is what somebody wants to know, beside the Load.
type lookFor struct {
	keys, limits int
	reply        chan<- *found
}

// found is what was found. Who adds to it is done when others read it.
type found struct {
	load   Load
	keys   top[KeyLoad]
	limits top[Bottleneck]
}

// lookAtOnce is how many keys and limits are looked at, at a time. Each takes up to a
// microsecond.
const lookAtOnce = 256

func (l *loop[T]) isLooking() bool { return l.looks.survey != nil || len(l.looks.asked) > 0 }

// look goes on with the look that is going on, or begins the next one.
func (l *loop[T]) look() {
	k, now := &l.looks, l.now()
	if k.survey == nil {
		if len(k.asked) == 0 || l.sched.Behind(now) {
			return
		}
		l.beginLook(now)
	}
	if !k.survey.Step(now, lookAtOnce) {
		return
	}
	for _, a := range k.askers {
		a.reply <- k.found
	}
	*k = looks{asked: k.asked}
}

func (l *loop[T]) beginLook(now int64) {
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
	return askFor(ctx, d, func(l *loop[T], _ int64, reply chan<- *found) {
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
