package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A child measures what its order names, and its figures come back.
func TestChild(t *testing.T) {
	o := order{Group: "Memory of waiting jobs", Name: "dispatcher, one limit for all, 1,000 jobs", Settings: settings{Time: time.Millisecond, Max: 1000}}
	s, err := inChild(t.Context(), o)
	if err != nil || len(s.Figures) != 1 || s.Figures[""] <= 0 {
		t.Errorf("inChild(%v) = %v, %v, want a figure", o, s, err)
	}
}

// The lateness of each start comes back for the picture.
func TestChildLate(t *testing.T) {
	o := order{Group: latenessGroup(1000), Name: "dispatcher", Settings: settings{Time: 10 * time.Millisecond, Max: 1000}}
	s, err := inChild(t.Context(), o)
	if err != nil || len(s.Late) != 30 {
		t.Errorf("inChild(%v) = %d starts, %v, want 30", o, len(s.Late), err)
	}
}

// What a child has to say of an error is in the error, which names it.
func TestChildFails(t *testing.T) {
	_, err := inChild(t.Context(), order{Group: "no", Name: "such", Settings: settings{Time: time.Second, Max: 1000}})
	if err == nil || !strings.Contains(err.Error(), `no/such: there is no measurement "no/such"`) {
		t.Errorf("inChild() of nothing = %v, want an error that names it", err)
	}
}

// A child is ended with the context.
func TestChildStopped(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	from := time.Now()
	_, err := inChild(ctx, order{Group: latenessGroup(30), Name: "dispatcher", Settings: settings{Time: time.Minute, Max: 1000}})
	if took := time.Since(from); err == nil || took > 5*time.Second {
		t.Errorf("inChild() with a context that ends = %v after %v, want an error soon", err, took)
	}
}

func TestReadAnswer(t *testing.T) {
	crashed := errors.New("exit status 2")
	for _, c := range []struct {
		stdout, stderr string
		ran            error
		want           string // in the error
	}{
		{`{"Sample":{"Figures":{"":2}}}`, "", nil, ""},
		{`{"Err":"no luck"}`, "", nil, "no luck"},
		{"", "panic: oh", crashed, "exit status 2: panic: oh"},
		{"", "", nil, "EOF"},
		{"nonsense", "", nil, "invalid character"},
		{`{"Sample":{}}`, "", crashed, "exit status 2"},
	} {
		s, err := readAnswer(strings.NewReader(c.stdout), c.ran, c.stderr)
		switch {
		case c.want == "" && (err != nil || s.Figures[""] != 2):
			t.Errorf("readAnswer(%q) = %v, %v, want 2", c.stdout, s, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("readAnswer(%q, %q) = %v, want an error with %q", c.stdout, c.stderr, err, c.want)
		}
	}
}
