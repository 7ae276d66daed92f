package goredis_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// lateness is how long after their slots jobs started.
type lateness struct {
	memory, redis []time.Duration // by the local clock
	server        []time.Duration // on Redis, by the server's clock
}

var latenessRates = []int{30, 300}

// add works for about a time at a rate, first on memory and then on a server of this
// machine, which so has the same clock.
func (l *lateness) add(t testing.TB, client *redis.Client, rate int, lasts time.Duration) {
	t.Helper()
	jobs := int(float64(rate) * lasts.Seconds())
	inMemory := memory.New(memory.Config{})
	defer inMemory.Close()
	for _, r := range atRate(t, inMemory, rate, jobs) {
		l.memory = append(l.memory, r.Lateness())
	}
	b, err := goredis.New(client, goredis.Config{Prefix: redistest.Prefix(t)})
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	noted := newLedger(b)
	for _, r := range atRate(t, noted, rate, jobs) {
		l.redis = append(l.redis, r.Lateness())
		token, ok := noted.use(noted.slot(sharedKey, r.Job.Slot()))
		if !ok {
			t.Fatalf("slot of a job = %v, want one that was granted to it alone", r.Job.Slot())
		}
		l.server = append(l.server, r.Started.Round(0).Sub(time.UnixMicro(token)))
	}
}

// atRate runs jobs of many keys under one limit.
func atRate(t testing.TB, b backend.Backend, rate, jobs int) []dispatcher.Result[int] {
	t.Helper()
	results := make(chan dispatcher.Result[int], jobs)
	d, err := dispatcher.New(b, func(context.Context, dispatcher.Job[int]) error { return nil },
		dispatcher.Config[int]{
			Limits: func(string, int) []dispatcher.Limit {
				return []dispatcher.Limit{{Key: sharedKey, Params: gcra.FreqLimitParams{Limit: rate, Period: time.Second}}}
			},
			Events: dispatcher.Events[int]{Done: func(_ context.Context, r dispatcher.Result[int]) { results <- r }},
		})
	if err != nil {
		t.Fatalf("dispatcher.New() = %v, want nil", err)
	}
	for i := range jobs {
		if err := d.Submit(t.Context(), strconv.Itoa(i%100), i); err != nil {
			t.Fatalf("Submit() = %v, want nil", err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown() = %v, want nil", err)
	}
	<-ended
	close(results)
	var all []dispatcher.Result[int]
	for r := range results {
		if r.Outcome != dispatcher.Succeeded {
			t.Fatalf("outcome = %v with %v, want it to succeed", r.Outcome, r.Err)
		}
		all = append(all, r)
	}
	return all
}

// quantile sorts the times. It is the least one if q is 0 and the greatest if q
// is 1.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))]
}

// Trap 27: no job starts early, on memory or on Redis, by the local clock or by
// the server's. How late they start depends on the machine: see BenchmarkLateness.
func TestLateness(t *testing.T) {
	client, lasts := redistest.Start(t).Client(t), time.Second
	if testing.Short() {
		lasts = 200 * time.Millisecond
	}
	for _, rate := range latenessRates {
		t.Run(fmt.Sprintf("%d per second", rate), func(t *testing.T) {
			var l lateness
			for range 2 {
				l.add(t, client, rate, lasts)
			}
			for _, c := range []struct {
				name  string
				times []time.Duration
			}{{"memory", l.memory}, {"Redis", l.redis}, {"Redis by the server's clock", l.server}} {
				t.Logf("%s: p50 %v, p99 %v", c.name, quantile(c.times, 0.5), quantile(c.times, 0.99))
				if first := quantile(c.times, 0); first < 0 {
					t.Errorf("least lateness on %s = %v, want no early start", c.name, first)
				}
			}
		})
	}
}

// How late jobs start on memory and on Redis, in real time and in turn. Early
// starts must be 0 anywhere; lateness depends on the machine and on what else it
// does.
func BenchmarkLateness(b *testing.B) {
	client := redistest.Start(b).Client(b)
	for _, rate := range latenessRates {
		b.Run("rate="+strconv.Itoa(rate), func(b *testing.B) {
			var l lateness
			for b.Loop() {
				l.add(b, client, rate, time.Second)
			}
			early := 0
			for _, c := range []struct {
				name  string
				times []time.Duration
			}{{"memory", l.memory}, {"redis", l.redis}, {"server", l.server}} {
				for _, p := range []int{50, 99} {
					at := quantile(c.times, float64(p)/100)
					b.ReportMetric(float64(at.Nanoseconds())/1e3, fmt.Sprintf("%s-p%d-µs", c.name, p))
				}
				for _, d := range c.times {
					if d < 0 {
						early++
					}
				}
			}
			b.ReportMetric(float64(early), "early")
		})
	}
}
