// Package misuse has the errors of wrong arguments: what is misused says so before it does anything.
package misuse

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/panics"
)

// ErrConfig is matched by every [*ConfigError].
var ErrConfig = errors.New("dispatcher: invalid configuration")

// ConfigError says which argument of a function, or which field of a configuration, is wrong. It
// matches [ErrConfig], and whatever Err matches.
type ConfigError struct {
	Field  string // as in "Workers"
	Value  any    // the offending value
	Reason string // what the value must be
	Err    error  // a more precise error, or nil
}

// Error implements error.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("dispatcher: %s is %v: %s", e.Field, e.Value, e.Reason)
}

// Is reports whether target is [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// Unwrap returns e.Err.
func (e *ConfigError) Unwrap() error { return e.Err }

// examples says what to pass instead of nil.
var examples = map[string]string{
	"ctx":     ", for example context.Background()",
	"backend": ", for example memory.New(memory.Config{})",
}

// Nil returns the error of a nil argument.
func Nil(name string) error {
	return &ConfigError{Field: name, Value: "nil", Reason: "must be given" + examples[name]}
}

// Zero returns the error of a method that is called on a zero value, which should have been
// made by a function.
func Zero(name, by string) error {
	return &ConfigError{Field: name, Value: "zero", Reason: "must be made by " + by}
}

// CheckBackend returns an error if b is nil, or can't keep any limit.
func CheckBackend(b backend.Backend) error {
	if IsNil(b) {
		return Nil("backend")
	}
	if err := check(b); err != nil {
		return &ConfigError{Field: "backend", Value: fmt.Sprintf("a %T", b), Reason: err.Error(), Err: err}
	}
	return nil
}

// check calls a backend that may be a wrapper of nil: its panic is an error.
func check(b backend.Backend) (err error) {
	defer panics.Catch(&err)
	return backend.Check(b, nil)
}

// IsNil reports whether v is nil, or a nil pointer in an interface.
func IsNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
