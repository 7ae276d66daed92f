// Package panics turns panics into errors.
package panics

import (
	"fmt"
	"runtime/debug"
)

// Error is the error of a function that panicked. If the value is an error, Unwrap returns it.
type Error struct {
	Value any    // what was passed to panic
	Stack []byte // as [runtime/debug.Stack] prints it
}

// New returns the error of a value that a deferred function recovered. That function, or one
// that it calls, calls New, so that the stack shows where the panic came from.
func New(value any) *Error { return &Error{Value: value, Stack: debug.Stack()} }

// Catch sets *err if the function that defers it panics. It must be deferred directly:
//
//	defer panics.Catch(&err)
func Catch(err *error) {
	if v := recover(); v != nil {
		*err = New(v)
	}
}

// Error implements error. It leaves out the stack.
func (e *Error) Error() string { return fmt.Sprintf("dispatcher: panic: %v", e.Value) }

// Unwrap returns Value if it is an error.
func (e *Error) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
