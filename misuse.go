package dispatcher

import (
	"context"
	"fmt"
	"reflect"

	"github.com/freqlimit/dispatcher/backend"
)

// What is misused says so before it has done anything: a nil argument, or the zero value of a
// type that a function has to make.

// errNil is the error of a nil argument.
func errNil(name string) error {
	return &ConfigError{Field: name, Value: "nil", Reason: "must be given" + examples[name]}
}

// examples says what else could be given.
var examples = map[string]string{
	"ctx":     ", for example context.Background()",
	"backend": ", for example memory.New(memory.Config{})",
}

// errZero is the error of the methods of a zero value.
func errZero(name, by string) error {
	return &ConfigError{Field: name, Value: "zero", Reason: "must be made by " + by}
}

// check returns an error if New has not made the dispatcher or there is no context.
func (d *Dispatcher[T]) check(ctx context.Context) error {
	switch {
	case d.isZero():
		return errZero("Dispatcher", "New")
	case ctx == nil:
		return errNil("ctx")
	}
	return nil
}

func (d *Dispatcher[T]) isZero() bool { return d.epoch == nil }

// check returns an error if Track has not made the handle or there is no context.
func (h *Handle[T]) check(ctx context.Context) error {
	switch {
	case h.isZero():
		return errZero("Handle", "Track")
	case ctx == nil:
		return errNil("ctx")
	}
	return nil
}

func (h *Handle[T]) isZero() bool { return h.d == nil }

// check returns an error if NewFreqLimit has not made the limiter or there is no context.
func (f *FreqLimit) check(ctx context.Context) error {
	switch {
	case f.backend == nil:
		return errZero("FreqLimit", "NewFreqLimit")
	case ctx == nil:
		return errNil("ctx")
	}
	return nil
}

// checkBackend returns an error if there is no backend, or one that can't keep any limit.
func checkBackend(b backend.Backend) error {
	if isNil(b) {
		return errNil("backend")
	}
	if err := backend.Check(b, nil); err != nil {
		return &ConfigError{Field: "backend", Value: fmt.Sprintf("a %T", b), Reason: err.Error(), Err: err}
	}
	return nil
}

// isNil reports whether v is nil, or a nil pointer in an interface.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
