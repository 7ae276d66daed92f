package freqlimit

import (
	"context"
	"fmt"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/guard"
)

// Allow reports whether the key has a free slot now, and uses that slot. If there is none, it
// returns false and charges nothing. It does not wait for a slot, only for the backend's answer;
// ctx shortens that if the backend heeds it, as goredis does.
//
// Waits go first: while a wait for the key has been refused and has no slot yet, Allow returns false.
//
// If ctx has ended, or the backend fails, Allow returns an error and uses no slot. If the backend
// charges a slot and fails to answer, that slot is lost.
func (f *Limiter) Allow(ctx context.Context, key string) (bool, error) {
	if err := f.check(ctx); err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		return false, endError(ctx, "allow")
	}
	if f.isRefused(key) {
		return false, nil
	}
	requests := [1]backend.Request{{Limits: f.limits(key)}} // with no Horizon: now or not at all
	var decisions [1]backend.Decision
	asked := time.Now()
	if err := guard.Reserve(ctx, f.backend, requests[:], decisions[:]); err != nil {
		if ctx.Err() != nil {
			return false, endError(ctx, "allow")
		}
		return false, fmt.Errorf("dispatcher: allow: %w", err)
	}
	if err := decisions[0].Err; err != nil {
		return false, fmt.Errorf("dispatcher: allow: %w", err)
	}
	answered := time.Now()
	f.mu.Lock()
	f.trip.Observe(answered, answered.Sub(asked))
	f.mu.Unlock()
	return decisions[0].Granted, nil
}

// isRefused reports whether a waiter for a key has been refused and has no slot yet.
func (f *Limiter) isRefused(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.keys.Get(key)
	return ok && l.counter != nil && l.refused
}
