package misuse

import (
	"errors"
	"io"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// checker is a backend that can't keep any limit.
type checker struct{ backend.Backend }

func (checker) Check([]backend.Limit) error { return io.EOF }

func TestErrors(t *testing.T) {
	inMemory := memory.New(memory.Config{})
	for _, c := range []struct {
		err  error
		want string
	}{
		{Nil("handler"), "dispatcher: handler is nil: must be given"},
		{Nil("ctx"), "dispatcher: ctx is nil: must be given, for example context.Background()"},
		{Zero("Handle", "Track"), "dispatcher: Handle is zero: must be made by Track"},
		{CheckBackend(nil), "dispatcher: backend is nil: must be given, for example memory.New(memory.Config{})"},
		{CheckBackend((*checker)(nil)), "dispatcher: backend is nil: must be given, for example memory.New(memory.Config{})"},
		{CheckBackend(checker{inMemory}), "dispatcher: backend is a misuse.checker: EOF"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("error = %v, want %s", c.err, c.want)
		}
		if !errors.Is(c.err, ErrConfig) {
			t.Errorf("%v does not match ErrConfig", c.err)
		}
	}
	if !errors.Is(CheckBackend(checker{inMemory}), io.EOF) {
		t.Error("the error of a backend's Check is not matched")
	}
	if err := CheckBackend(inMemory); err != nil {
		t.Errorf("CheckBackend() = %v for a backend without limits to check, want nil", err)
	}
}
