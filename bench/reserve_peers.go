package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"go.uber.org/ratelimit"
	xrate "golang.org/x/time/rate"
)

// everyAsk makes an asker of a function that all goroutines share.
func everyAsk(ask func(key string) (bool, error)) (func() func(string) (bool, error), error) {
	return func() func(string) (bool, error) { return ask }, nil
}

func askXTimeAllow([]string) (func() func(string) (bool, error), error) {
	limiter := xrate.NewLimiter(reserveRate, reserveBurst)
	return everyAsk(func(string) (bool, error) { return limiter.AllowN(time.Now(), 1), nil })
}

func askXTimeReserve([]string) (func() func(string) (bool, error), error) {
	limiter := xrate.NewLimiter(reserveRate, reserveBurst)
	return everyAsk(func(string) (bool, error) { return limiter.ReserveN(time.Now(), 1).OK(), nil })
}

// askUber ignores keys and never refuses.
func askUber([]string) (func() func(string) (bool, error), error) {
	limiter := ratelimit.New(reserveRate)
	return everyAsk(func(string) (bool, error) { return !limiter.Take().IsZero(), nil })
}

func askThrottled([]string) (func() func(string) (bool, error), error) {
	store, err := memstore.NewCtx(0)
	if err != nil {
		return nil, err
	}
	limiter, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate:  throttled.PerSec(reserveRate),
		MaxBurst: reserveBurst,
	})
	if err != nil {
		return nil, err
	}
	// Two goroutines at one key get in each other's way: by default it gives up
	// after ten attempts.
	limiter.SetMaxCASAttemptsLimit(1 << 20)
	ctx := context.Background()
	return everyAsk(func(key string) (bool, error) {
		limited, _, err := limiter.RateLimitCtx(ctx, key, 1)
		return !limited, err
	})
}

// askMap is the usual way to have a limit for each key.
func askMap(names []string) (func() func(string) (bool, error), error) {
	var mu sync.Mutex
	byKey := make(map[string]*xrate.Limiter, len(names))
	return everyAsk(func(key string) (bool, error) {
		mu.Lock()
		limiter := byKey[key]
		if limiter == nil {
			limiter = xrate.NewLimiter(reserveRate, reserveBurst)
			byKey[key] = limiter
		}
		mu.Unlock()
		return limiter.AllowN(time.Now(), 1), nil
	})
}

// askWord is no limiter but the least that one does: it reads the clock, finds the
// word of a key, and moves it on with one atomic step.
func askWord(names []string) (func() func(string) (bool, error), error) {
	epoch, byKey := time.Now(), make(map[string]*atomic.Int64, len(names))
	for _, name := range names {
		byKey[name] = new(atomic.Int64)
	}
	return everyAsk(func(key string) (bool, error) {
		word := byKey[key]
		now := int64(time.Since(epoch))
		for {
			at := word.Load()
			if at > now+reserveBurst {
				return false, nil
			}
			if word.CompareAndSwap(at, max(at, now)+1) {
				return true, nil
			}
		}
	})
}
