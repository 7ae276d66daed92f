package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
)

// Joined Events call each function, in the order in which they were given, also after one that
// panics. Those that nobody has set stay nil, so that nothing is done for them.
func TestJoinEvents(t *testing.T) {
	var got []string
	say := func(who string) events {
		return events{
			Started: func(_ context.Context, j job) { got = append(got, fmt.Sprint(who, " started ", j.Payload)) },
			Retried: func(_ context.Context, j job, err error, d time.Duration) {
				got = append(got, fmt.Sprint(who, " retried ", j.Payload, " ", err, " ", d))
			},
			Done:        func(_ context.Context, r result) { got = append(got, fmt.Sprint(who, " done ", r.Outcome)) },
			BackendDown: func(_ context.Context, err error) { got = append(got, fmt.Sprint(who, " down ", err)) },
			BackendUp:   func(context.Context) { got = append(got, who+" up") },
		}
	}
	bad := events{
		Started:     func(context.Context, job) { panic("bad") },
		Retried:     func(context.Context, job, error, time.Duration) { panic("bad") },
		Done:        func(context.Context, result) { panic("bad") },
		BackendDown: func(context.Context, error) { panic("bad") },
		BackendUp:   func(context.Context) { panic("bad") },
	}
	all := dispatcher.JoinEvents(events{}, say("a"), bad, say("b"), events{})
	ctx, err := t.Context(), errors.New("gone")
	for _, call := range []func(){
		func() { all.Started(ctx, job{Payload: "x"}) },
		func() { all.Retried(ctx, job{Payload: "x"}, err, time.Second) },
		func() { all.Done(ctx, result{Outcome: dispatcher.Failed}) },
		func() { all.BackendDown(ctx, err) },
		func() { all.BackendUp(ctx) },
	} {
		func() {
			defer func() {
				if v := recover(); v != "bad" {
					t.Errorf("joined events panic with %v, want what one of them panics with", v)
				}
			}()
			call()
		}()
	}
	want := []string{
		"a started x", "b started x", "a retried x gone 1s", "b retried x gone 1s",
		"a done failed", "b done failed", "a down gone", "b down gone", "a up", "b up",
	}
	if !slices.Equal(got, want) {
		t.Errorf("joined events say\n%q, want\n%q", got, want)
	}
	none := dispatcher.JoinEvents(events{}, events{})
	if none.Started != nil || none.Retried != nil || none.Done != nil || none.BackendDown != nil || none.BackendUp != nil {
		t.Errorf("JoinEvents of nothing = %+v, want nil functions", none)
	}
}
