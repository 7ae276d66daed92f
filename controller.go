package dispatcher

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// Controller has the methods of a [Dispatcher] that an operator needs and that don't depend on
// the type of its payloads: they show what jobs wait for, and pause, hold, speed up or drop
// them. So a console or an admin page can serve all dispatchers of a program. The methods are
// documented at Dispatcher.
//
// Later versions may add methods.
type Controller interface {
	// Inspection.
	Stats() Stats
	Load(ctx context.Context) (Load, error)
	Busiest(ctx context.Context, n int) ([]KeyLoad, error)
	Bottlenecks(ctx context.Context, n int) ([]Bottleneck, error)
	Forecast(ctx context.Context, takes time.Duration) (Forecast, error)

	// Control of all jobs.
	Pause()
	Resume()
	SetWorkers(n int) error

	// Control of a key: its jobs, for Hold also the jobs under its limit, and for SetParams
	// only those.
	PauseKey(key string)
	ResumeKey(key string)
	Hold(ctx context.Context, key string, delay time.Duration) error
	SetParams(key string, params gcra.FreqLimitParams) error
	DropKey(ctx context.Context, key string) (n int, err error)
}

var _ Controller = (*Dispatcher[any])(nil)

// DropKey is [Dispatcher.Drop], but returns only the number of dropped jobs.
func (d *Dispatcher[T]) DropKey(ctx context.Context, key string) (n int, err error) {
	jobs, err := d.Drop(ctx, key)
	return len(jobs), err
}
