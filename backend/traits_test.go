package backend_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// able is a backend with every ability.
type able struct{ *memory.Backend }

var errAble = errors.New("able keeps nothing")

func (able) Check([]backend.Limit) error { return errAble }
func (able) Shard(string) string         { return "able" }

func (a able) Traits() backend.Traits {
	return backend.Traits{InProcess: true, Releaser: a, Checker: a, Watcher: a, Sharder: a}
}

// wrapper embeds the interface, so it has no method of an ability.
type wrapper struct{ backend.Backend }

// overrider is a wrapper with a Release of its own.
type overrider struct{ backend.Backend }

func (overrider) Release(context.Context, []backend.Limit, int64) error { return errAble }

// remote is a wrapper that says it is not in this process, and can't be watched.
type remote struct{ backend.Backend }

func (r remote) Traits() backend.Traits {
	t := r.Backend.Traits()
	t.InProcess, t.Watcher = false, nil
	return t
}

func TestTraitsOfAWrapper(t *testing.T) {
	inner := able{memory.New(memory.Config{})}
	all := backend.Traits{InProcess: true, Releaser: inner, Checker: inner, Watcher: inner, Sharder: inner}
	own := overrider{inner}
	overridden := all
	overridden.Releaser = own
	for _, c := range []struct {
		name      string
		b         backend.Backend
		got, want backend.Traits
	}{
		{"a backend itself", inner, backend.TraitsOf(inner), all},
		{"a wrapper", wrapper{inner}, backend.TraitsOf(wrapper{inner}), all},
		{"a wrapper of a wrapper", wrapper{wrapper{inner}}, backend.TraitsOf(wrapper{wrapper{inner}}), all},
		{"a wrapper with a Release", own, backend.TraitsOf(own), overridden},
		{"a wrapper of that, which its Traits do not name", wrapper{own}, backend.TraitsOf(wrapper{own}), all},
		{
			"a wrapper with less",
			remote{inner},
			backend.TraitsOf(remote{inner}),
			backend.Traits{Releaser: inner, Checker: inner, Sharder: inner},
		},
	} {
		if c.got != c.want {
			t.Errorf("TraitsOf(%s) = %+v, want %+v", c.name, c.got, c.want)
		}
	}
}

func TestCheckAsksTheChecker(t *testing.T) {
	fine := []backend.Limit{limit("a")}
	inner := able{memory.New(memory.Config{})}
	for name, b := range map[string]backend.Backend{"a checker": inner, "a wrapper of one": wrapper{inner}} {
		if err := backend.Check(b, fine); err != errAble {
			t.Errorf("Check(%s) = %v, want %v", name, err, errAble)
		}
	}
	b := memory.New(memory.Config{})
	if err := backend.Check(b, fine); err != nil {
		t.Errorf("Check(memory) = %v, want nil", err)
	}
	if err := backend.Check(b, []backend.Limit{{Key: "a"}}); !errors.Is(err, backend.ErrLimit) {
		t.Errorf("Check(memory) of wrong params = %v, want an ErrLimit", err)
	}
	if err := backend.Check(nil, fine); err != nil {
		t.Errorf("Check(nil) = %v, want nil", err)
	}
	zero := backend.Traits{}
	if err := zero.Check([]backend.Limit{costing("a", math.MaxInt)}); !errors.Is(err, backend.ErrLimit) {
		t.Errorf("Check() of zero Traits = %v, want an ErrLimit", err)
	}
}
