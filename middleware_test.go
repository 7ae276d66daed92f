package dispatcher_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// The first middleware is the outermost, nil is left out, contexts and errors go through all of
// them, and what Config.Middleware was made of may be changed after New.
func TestMiddlewareOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		type key struct{}
		layer := func(name string) dispatcher.Middleware {
			return func(ctx context.Context, _ dispatcher.JobInfo, next func(context.Context) error) error {
				got = append(got, name)
				if err := next(context.WithValue(ctx, key{}, name)); err != nil {
					return errors.Join(err, errEnough)
				}
				return nil
			}
		}
		layers := []dispatcher.Middleware{layer("outer"), nil, layer("inner")}
		s := open(t, inMemory(), config{Middleware: layers}, func(ctx context.Context, _ job) error {
			if ctx.Value(key{}) != "inner" {
				t.Errorf("the handler's context is of the middleware %v, want inner", ctx.Value(key{}))
			}
			got = append(got, "handler")
			return errFailed
		})
		clear(layers)
		s.submit("chat", "hello")
		s.drain()
		if want := []string{"outer", "inner", "handler"}; !slices.Equal(got, want) {
			t.Errorf("middleware and handler run as %q, want %q", got, want)
		}
		r := s.outcomeOf("hello")
		if !errors.Is(r.Err, errFailed) || !errors.Is(r.Err, errEnough) {
			t.Errorf("the error is %v, want what the middleware has made of the handler's", r.Err)
		}
	})
}

// A middleware may call the handler twice, or not at all.
func TestMiddlewareDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := func(_ context.Context, j dispatcher.JobInfo, next func(context.Context) error) (err error) {
			for range j.Priority {
				err = errors.Join(err, next(t.Context()))
			}
			return err
		}
		s := open(t, inMemory(), config{Middleware: []dispatcher.Middleware{calls}}, nil)
		for n, payload := range []string{"never", "once", "twice"} {
			s.submitJob(job{Key: payload, Payload: payload, Priority: n})
		}
		s.drain()
		s.wantStarts("never")
		s.wantStarts("once", 0)
		s.wantStarts("twice", 0, 0)
		if r := s.outcomeOf("never"); r.Outcome != dispatcher.Succeeded {
			t.Errorf("the job that no handler ran for has %v, %v, want what its middleware returned, succeeded", r.Outcome, r.Err)
		}
	})
}

// A middleware gets all that is known of a job but its payload.
func TestJobInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := []dispatcher.Limit{limit("limit", every(time.Second))}
		begin := time.Now()
		var got []dispatcher.JobInfo
		watch := func(ctx context.Context, j dispatcher.JobInfo, next func(context.Context) error) error {
			got = append(got, j)
			return next(ctx)
		}
		handler := func(_ context.Context, j job) error {
			if j.Attempt() == 1 {
				return errFailed
			}
			return nil
		}
		s := open(t, inMemory(), config{Middleware: []dispatcher.Middleware{watch}, Retry: steady(2)}, handler)
		s.submitJob(job{
			Key: "chat", Payload: "hello", Limits: limits, Priority: 2, ID: "id", NotBefore: begin.Add(time.Minute),
			Deadline: begin.Add(time.Hour), Meta: map[string]string{"trace": "1"},
		})
		s.drain()
		want := dispatcher.JobInfo{
			Key: "chat", Limits: limits, Priority: 2, ID: "id", NotBefore: begin.Add(time.Minute),
			Deadline: begin.Add(time.Hour), Meta: map[string]string{"trace": "1"},
			Attempt: 1, Submitted: begin, Slot: begin.Add(time.Minute),
		}
		again := want
		again.Attempt, again.Failures, again.Slot = 2, 1, begin.Add(time.Minute+time.Second)
		if len(got) != 2 {
			t.Fatalf("the middleware runs %d times, want 2", len(got))
		}
		wantFields(t, "attempt 1", got[0], want)
		wantFields(t, "attempt 2", got[1], again)
	})
}
