package goredis

import (
	"errors"
	"testing"
	"time"
)

// A refusal for want of rights is final at once if Redis has never answered, else
// when it has lasted. Others are final at once.
func TestSetupErrorsAreFinalInTheEnd(t *testing.T) {
	refused, away := &SetupError{Err: errors.New("NOPERM"), rights: true}, errors.New("LOADING")
	moved := &SetupError{Err: errors.New("MOVED")}
	var s setup
	for i, c := range []struct {
		at    time.Duration
		err   error
		final bool
	}{
		{0, away, false},
		{1, refused, true},
		{2, refused, true},
		{time.Second, nil, false},
		{2 * time.Second, refused, false},
		{11 * time.Second, refused, false},
		{12 * time.Second, refused, true},
		{13 * time.Second, away, false},
		{14 * time.Second, refused, true},
		{15 * time.Second, nil, false},
		{30 * time.Second, refused, false},
		{31 * time.Second, moved, true},
	} {
		if got := s.lasts(c.err, int64(c.at)); got != c.final {
			t.Errorf("step %d: lasts(%v, %v) = %t, want %t", i, c.err, c.at, got, c.final)
		}
	}
}
