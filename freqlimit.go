package dispatcher

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/freqlimit"
	"github.com/freqlimit/dispatcher/gcra"
)

// FreqLimit is a rate limiter for code that waits in place: a goroutine calls Wait or Do and goes
// on at the instant that the limit of a key allows. Allow does not wait: it uses a slot if one is
// free now. For work that should not hold a goroutine while it waits, use a [Dispatcher]. See
// [freqlimit.Limiter].
type FreqLimit = freqlimit.Limiter

// NewFreqLimit returns a limiter that gives every key the same params. The backend b keeps the
// limits. It is [freqlimit.New].
func NewFreqLimit(b backend.Backend, params gcra.FreqLimitParams) (*FreqLimit, error) {
	return freqlimit.New(b, params)
}
