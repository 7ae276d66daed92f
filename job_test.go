package dispatcher_test

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// wantFields compares the exported fields of two structs, such as jobs.
func wantFields[S any](t *testing.T, what string, got, want S) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		f := g.Type().Field(i)
		if f.IsExported() && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s: %s = %v, want %v", what, f.Name, g.Field(i), w.Field(i))
		}
	}
}

// Handlers, Events and handles get all fields of a job back, however the job ends.
func TestJobKeepsItsFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		all := func(payload string) job {
			return job{
				Key: "key", Payload: payload, Priority: -3, ID: payload,
				Limits:      []dispatcher.Limit{limit("limit", perSecond(100))},
				OnDuplicate: dispatcher.ReplacePayload,
				NotBefore:   begin.Add(time.Second),
				Deadline:    begin.Add(time.Hour),
				Timeout:     time.Minute,
				Retry:       new(steady(2)),
				Meta:        map[string]string{"trace": payload},
			}
		}
		var mu sync.Mutex
		told := make(map[string][]string) // of a payload
		tell := func(what string, j job) {
			mu.Lock()
			defer mu.Unlock()
			told[j.Payload] = append(told[j.Payload], what)
			wantFields(t, j.Payload+" "+what, j, all(j.Payload))
		}
		s := prepare(t, inMemory(), config{Workers: 1, Events: dispatcher.Events[string]{
			Started: func(_ context.Context, j job) { tell("started", j) },
			Retried: func(_ context.Context, j job, _ error, _ time.Duration) { tell("retried", j) },
			Done:    func(_ context.Context, r result) { tell(r.Outcome.String(), r.Job) },
		}}, func(_ context.Context, j job) error {
			tell("handled", j)
			if j.Attempt() == 1 {
				return errFailed
			}
			return nil
		})
		s.submitJob(all("runs"))
		s.track(all("canceled at once")).Cancel()
		s.run()
		s.track(all("canceled")).Cancel()
		time.Sleep(time.Minute)
		s.drain()
		want := map[string][]string{
			"runs":             {"started", "handled", "retried", "started", "handled", "succeeded"},
			"canceled at once": {"canceled"},
			"canceled":         {"canceled"},
		}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// A job under NoLimits comes back that way, so it has none when it is submitted again.
func TestNoLimitsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *stage
		s = open(t, inMemory(), config{Params: every(time.Hour)}, func(ctx context.Context, j job) error {
			if len(j.Limits) > 0 {
				t.Errorf("Job.Limits = %v, want none", j.Limits)
			}
			if j.Payload == "first" {
				j.Payload, j.ID = "again", ""
				return s.SubmitJob(ctx, j)
			}
			return nil
		})
		s.submitJob(job{Payload: "first", Limits: dispatcher.NoLimits})
		s.submitJob(job{Payload: "first", Limits: dispatcher.NoLimits, ID: "slow path"})
		if err := s.WaitIdle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.drain()
		s.wantStarts("first", 0, 0)
		s.wantStarts("again", 0, 0)
	})
}

// What is appended to NoLimits is a slice of its own, and NoLimits stays what it is.
func TestAppendToNoLimits(t *testing.T) {
	a := append(dispatcher.NoLimits, limit("a", perSecond(1)))
	b := append(dispatcher.NoLimits, limit("b", perSecond(1)))
	if a[0].Key != "a" || b[0].Key != "b" || len(dispatcher.NoLimits) != 0 {
		t.Errorf("append(NoLimits, ...) = %v and %v, NoLimits = %v, want three slices of their own", a, b, dispatcher.NoLimits)
	}
}

// The names of what to do about a duplicate.
func TestOnDuplicateString(t *testing.T) {
	for o, want := range map[dispatcher.OnDuplicate]string{
		dispatcher.RejectDuplicate: "reject", dispatcher.ReplacePayload: "replace payload", 7: "OnDuplicate(7)",
	} {
		if got := o.String(); got != want {
			t.Errorf("OnDuplicate(%d).String() = %q, want %q", int(o), got, want)
		}
	}
}
