package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// releaseTimeout bounds what the backend may take, after Run's or a waiter's
// context has ended, to be told what others ought to know.
const releaseTimeout = time.Second

// lastWords returns a context for that.
func lastWords(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
}

// giveBack gives back the slot of a job that will not start.
func (d *Dispatcher[T]) giveBack(ctx context.Context, limits []backend.Limit, stamp int64) {
	r, ok := d.backend.(backend.Releaser)
	if !ok || len(limits) == 0 {
		return
	}
	if err := guard(func() error { return r.Release(ctx, limits, stamp) }); err != nil {
		d.logSoon(slog.LevelWarn, "dispatcher: the backend did not take a slot back", slog.Any("error", err))
	}
}

// spare is a slot that is not used.
type spare struct {
	limits []Limit
	stamp  int64
}

// giveBackSoon gives back slots, which are in the order of their times, without waiting for a backend
// that is elsewhere.
func (l *loop[T]) giveBackSoon(slots ...spare) {
	if len(slots) == 0 {
		return
	}
	back := func() error {
		ctx, cancel := lastWords(l.ctx)
		defer cancel()
		for _, s := range slices.Backward(slots) { // a limit takes back only its last slot
			l.giveBack(ctx, s.limits, s.stamp)
		}
		return nil
	}
	if l.asker.inProcess {
		_ = back()
	} else {
		l.group.Go(back)
	}
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
