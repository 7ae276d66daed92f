package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/sqlite"
)

// benchJob is a message to one of many chats, under the limits of a bot and of the chat.
func benchJob(n int64) backend.KeptJob {
	key := fmt.Sprint("chat:", n%1000)
	return backend.KeptJob{
		Number: n, Key: key, Limits: []backend.Limit{limit("bot", 1), limit(key, 1)},
		Submitted: time.Now(), Payload: payload, Version: 1,
	}
}

var payload = make([]byte, 100)

// perSecond reports how many jobs were handled in a second.
func perSecond(b *testing.B, jobs int64) {
	b.ReportMetric(float64(jobs)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAdd adds jobs, each goroutine a batch at a time.
func BenchmarkAdd(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		for _, batch := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("goroutines=%d/batch=%d", goroutines, batch), func(b *testing.B) {
				s := open(b, filepath.Join(b.TempDir(), "jobs.db"))
				var number, batches atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range goroutines {
					wg.Go(func() {
						c := backend.Changes{Added: make([]backend.KeptJob, batch)}
						for batches.Add(1) <= int64(b.N) {
							for i := range c.Added {
								c.Added[i] = benchJob(number.Add(1))
							}
							if err := s.Write(b.Context(), &c); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				perSecond(b, number.Load())
			})
		}
	}
}

// BenchmarkClaim claims jobs, 64 a call, each under two limits.
func BenchmarkClaim(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "jobs.db"))
	reqs, decisions := make([]backend.Request, 64), make([]backend.Decision, 64)
	fillWith(b, s, 64*b.N)
	number := int64(0)
	b.ResetTimer()
	for range b.N {
		for i := range reqs {
			number++
			j := benchJob(number)
			reqs[i] = backend.Request{Job: number, Limits: j.Limits, HeldBy: []string{j.Key}, Horizon: backend.Unlimited}
		}
		if err := s.Reserve(b.Context(), reqs, decisions); err != nil || !decisions[63].Granted {
			b.Fatalf("Reserve() = %+v, %v, want it granted", decisions[63], err)
		}
	}
	perSecond(b, number)
}

// BenchmarkLife takes jobs from the first to the last write, in 64 goroutines, 16 a call.
func BenchmarkLife(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "jobs.db"))
	var number, batches atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		wg.Go(func() {
			c := backend.Changes{Added: make([]backend.KeptJob, 16)}
			reqs, decisions, ended := make([]backend.Request, 16), make([]backend.Decision, 16), make([]int64, 16)
			for batches.Add(1) <= int64(b.N) {
				for i := range c.Added {
					j := benchJob(number.Add(1))
					c.Added[i], ended[i] = j, j.Number
					reqs[i] = backend.Request{Job: j.Number, Limits: j.Limits, Horizon: backend.Unlimited}
				}
				for _, err := range []error{
					s.Write(b.Context(), &c),
					s.Reserve(b.Context(), reqs, decisions),
					s.Write(b.Context(), &backend.Changes{Ended: ended}),
				} {
					if err != nil {
						b.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	perSecond(b, number.Load())
}

// BenchmarkJobs reads 100,000 jobs, 1000 a call.
func BenchmarkJobs(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "jobs.db"))
	fillWith(b, s, 100_000)
	page := make([]backend.KeptJob, 1000)
	read := int64(0)
	for b.Loop() {
		for after := int64(0); ; {
			n, err := s.Jobs(b.Context(), after, page)
			if err != nil {
				b.Fatal(err)
			}
			read += int64(n)
			if n < len(page) {
				break
			}
			after = page[n-1].Number
		}
	}
	perSecond(b, read)
}

// BenchmarkOpen opens a file with 100,000 jobs, and counts them.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "jobs.db")
	s := open(b, path)
	fillWith(b, s, 100_000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := sqlite.Open(path, sqlite.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if r, err := s.Recover(b.Context()); err != nil || r.Jobs != 100_000 {
			b.Fatalf("Recover() = %+v, %v", r, err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// fillWith adds jobs, at least 1000 of them.
func fillWith(b *testing.B, s *sqlite.Backend, n int) {
	b.Helper()
	for number := int64(1); number <= int64(n); {
		var c backend.Changes
		for range 1000 {
			c.Added = append(c.Added, benchJob(number))
			number++
		}
		write(b, s, c)
	}
}
