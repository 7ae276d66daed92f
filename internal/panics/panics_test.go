package panics

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func call(f func() error) (err error) {
	defer Catch(&err)
	return f()
}

func blunder() error { panic("no") }

func TestCatch(t *testing.T) {
	if err := call(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("error without a panic = %v, want EOF", err)
	}
	p, ok := errors.AsType[*Error](call(blunder))
	if !ok || p.Value != "no" || p.Error() != "dispatcher: panic: no" || p.Unwrap() != nil {
		t.Fatalf("error of panic(no) = %v, want one with that value", p)
	}
	if !strings.Contains(string(p.Stack), "blunder") {
		t.Errorf("the stack does not show where the panic came from:\n%s", p.Stack)
	}
	if err := call(func() error { panic(io.EOF) }); !errors.Is(err, io.EOF) {
		t.Errorf("error of panic(io.EOF) = %v, want one that matches EOF", err)
	}
}
