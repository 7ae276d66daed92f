package dispatcher

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"golang.org/x/sync/errgroup"
)

// releaseTimeout bounds what the backend may take, after Run's or a waiter's
// context has ended, to be told what others ought to know.
const releaseTimeout = time.Second

// lastWords returns a context for that.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
}

// spare is a slot that is not used.
type spare struct {
	limits []Limit
	stamp  int64 // by the backend's clock
}

// maxReleases is how many slots are given back at once to a backend that is elsewhere.
const maxReleases = 16

// giveBackSoon gives back slots, the latest first, without waiting for a backend that is elsewhere:
// Run waits for that.
func (l *loop[T]) giveBackSoon(slots ...spare) {
	slots = slices.DeleteFunc(slots, func(s spare) bool { return len(s.limits) == 0 })
	r, ok := l.backend.(backend.Releaser)
	if !ok || len(slots) == 0 {
		return
	}
	// So nothing is lost at a backend that takes back its latest slot alone.
	slices.SortStableFunc(slots, func(a, b spare) int { return cmp.Compare(b.stamp, a.stamp) })
	ctx, cancel := lastWords(l.ctx)
	if l.asker.inProcess {
		defer cancel()
		for _, s := range slots {
			l.giveBack(ctx, r, s)
		}
		l.givenBack(l.now(), slots)
		return
	}
	l.group.Go(func() error {
		defer cancel()
		var calls errgroup.Group
		calls.SetLimit(maxReleases)
		for _, s := range slots {
			calls.Go(func() error {
				l.giveBack(ctx, r, s)
				return nil
			})
		}
		_ = calls.Wait()
		l.command(func(l *loop[T], now int64) { l.givenBack(now, slots) })
		return nil
	})
}

// giveBack gives back one slot.
func (d *Dispatcher[T]) giveBack(ctx context.Context, r backend.Releaser, s spare) {
	if err := guard(func() error { return r.Release(ctx, s.limits, s.stamp) }); err != nil {
		d.logSoon(slog.LevelWarn, "dispatcher: the backend did not take a slot back", slog.Any("error", err))
	}
}

// givenBack lets the jobs that wait have slots that were given back.
func (l *loop[T]) givenBack(now int64, slots []spare) {
	for _, s := range slots {
		l.sched.GivenBack(now, s.limits)
	}
}

// spareOf returns the slot that a job was granted, and does not use.
func (l *loop[T]) spareOf(e *entry[T], stamp int64) spare {
	limits := l.sched.Request(&e.sched, nil)
	limits = slices.DeleteFunc(limits, func(limit Limit) bool {
		return limit.Params.ValidateCost(limit.Units()) != nil // they were others when it was granted
	})
	return spare{limits, stamp}
}

// errBackendGoexit is the error of a backend that has ended the goroutine which called it.
var errBackendGoexit = errors.New("dispatcher: the backend called runtime.Goexit")

// reserve is b.Reserve, and returns a panic as its error: so jobs wait for a backend that panics as for
// one that fails.
func reserve(ctx context.Context, b backend.Backend, reqs []backend.Request, decisions []backend.Decision) (err error) {
	defer catch(&err)
	return b.Reserve(ctx, reqs, decisions)
}

// guard calls another function of a backend as reserve does.
func guard(f func() error) (err error) {
	defer catch(&err)
	return f()
}

// catch is deferred. It turns a panic into an error.
func catch(err *error) {
	if v := recover(); v != nil {
		*err = newPanicError(v)
	}
}
