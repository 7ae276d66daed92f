package dispatcher

import (
	"context"

	"github.com/freqlimit/dispatcher/internal/misuse"
)

// check returns an error if New has not made the dispatcher or there is no context.
func (d *Dispatcher[T]) check(ctx context.Context) error {
	switch {
	case d.isZero():
		return misuse.Zero("Dispatcher", "New")
	case ctx == nil:
		return misuse.Nil("ctx")
	}
	return nil
}

func (d *Dispatcher[T]) isZero() bool { return d.engine == nil }

// check returns an error if Track has not made the handle or there is no context.
func (h *Handle[T]) check(ctx context.Context) error {
	switch {
	case h.isZero():
		return misuse.Zero("Handle", "Track")
	case ctx == nil:
		return misuse.Nil("ctx")
	}
	return nil
}

func (h *Handle[T]) isZero() bool { return h.d == nil }
