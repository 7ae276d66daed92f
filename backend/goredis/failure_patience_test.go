package goredis

import (
	"errors"
	"testing"
	"time"
)

// A failure that somebody may be about to fix is final at once if Redis has never
// answered, else when it has lasted.
func TestLastingFailuresAreFinalInTheEnd(t *testing.T) {
	err := errors.New("whatever")
	var s setup
	for i, c := range []struct {
		at    time.Duration
		err   error
		is    outlook
		final bool
	}{
		{0, err, passing, false},
		{1, err, lasting, true},
		{2, err, lasting, true},
		{time.Second, nil, passing, false},
		{2 * time.Second, err, lasting, false},
		{11 * time.Second, err, lasting, false},
		{12 * time.Second, err, lasting, true},
		{13 * time.Second, err, passing, false},
		{14 * time.Second, err, lasting, true},
		{15 * time.Second, nil, passing, false},
		{30 * time.Second, err, lasting, false},
		{31 * time.Second, err, final, true},
	} {
		if got := s.isFinal(c.err, c.is, int64(c.at)); got != c.final {
			t.Errorf("step %d: isFinal(%v, %v, %v) = %t, want %t", i, c.err, c.is, c.at, got, c.final)
		}
	}
}
