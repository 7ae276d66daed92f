package reserve

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

// After an error, the delay before the next call doubles from firstRetry to lastRetry. A random
// part of it, up to a half, is left out.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 500 * time.Millisecond
)

// backoff returns how long to wait before calling a backend that has failed.
func (r *Reserver) backoff() time.Duration {
	delay := lastRetry
	if shift := r.failures - 1; shift < 10 {
		delay = min(firstRetry<<shift, lastRetry)
	}
	return jittered(delay)
}

func jittered(d time.Duration) time.Duration { return d - rand.N(d/2) }

// note counts failures, and reports when an outage begins and ends.
func (r *Reserver) note(err error) {
	switch {
	case err != nil:
		if r.failures++; r.failures == 1 && r.cfg.Run.Err() == nil {
			r.owner.Outage(err, r.failures)
		}
	case r.failures > 0:
		r.owner.Outage(nil, r.failures)
		r.failures = 0
	}
}

// noteSome logs, at most once a minute, that a part of the backend fails. Jobs under limits that it
// keeps wait, other jobs go on.
func (r *Reserver) noteSome(now int64, err error) {
	if err == nil || r.someAt > 0 && now-r.someAt < int64(time.Minute) {
		return
	}
	r.someAt = now
	r.owner.Log(slog.LevelWarn, "dispatcher: part of the backend unavailable, its jobs are waiting", slog.Any("error", err))
}
