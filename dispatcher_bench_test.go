package dispatcher_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
)

// floor is a dispatcher that a benchmark fills.
type floor struct {
	*dispatcher.Dispatcher[int]
	b     *testing.B
	done  sync.WaitGroup // jobs that have not ended
	ended chan error
	stop  context.CancelFunc
}

func newFloor(b *testing.B, workers int, limits func(key string, i int) []dispatcher.Limit) *floor {
	f := &floor{b: b, ended: make(chan error, 1)}
	d, err := dispatcher.New(inMemory(), func(context.Context, dispatcher.Job[int]) error { return nil },
		dispatcher.Config[int]{
			Workers:  workers,
			Capacity: 1 << 30,
			Limits:   limits,
			Events:   dispatcher.Events[int]{Done: func(context.Context, dispatcher.Result[int]) { f.done.Done() }},
		})
	if err != nil {
		b.Fatal(err)
	}
	f.Dispatcher = d
	return f
}

func (f *floor) run() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go func() { f.ended <- f.Run(ctx) }()
	f.b.Cleanup(func() {
		stop()
		<-f.ended
	})
}

func (f *floor) submit(key string) {
	f.done.Add(1)
	if err := f.Submit(context.Background(), key, 0); err != nil {
		f.b.Fatal(err)
	}
}

// keysOf returns n keys, made beforehand so that they cost nothing later.
func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	return keys
}

// batchSize is how many jobs are submitted and waited for in one go.
const batchSize = 1000

// batches runs batches of jobs, from Submit to the end of the last one.
func (f *floor) batches(names []string) {
	f.run()
	f.b.ReportAllocs()
	i := 0
	for f.b.Loop() {
		for range batchSize {
			f.submit(names[i%len(names)])
			i++
		}
		f.done.Wait()
	}
	f.b.ReportMetric(float64(f.b.Elapsed().Nanoseconds())/float64(f.b.N)/batchSize, "ns/job")
}

// As a plain pool of 64 workers: from Submit to the end of the job.
func BenchmarkPool(b *testing.B) {
	for _, keys := range []int{1, 100_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) {
			newFloor(b, 64, nil).batches(keysOf(keys))
		})
	}
}

// The same, submitted by as many goroutines as there are processors.
func BenchmarkPoolParallel(b *testing.B) {
	f := newFloor(b, 64, nil)
	f.run()
	names := keysOf(1000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			f.submit(names[i%len(names)])
		}
	})
	f.done.Wait()
}

// Under two limits, of which one is shared by 100,000 keys, and none of which
// ever binds.
func BenchmarkLimited(b *testing.B) {
	for _, keys := range []int{1, 100_000} {
		b.Run("keys="+strconv.Itoa(keys), func(b *testing.B) {
			wide := perSecond(1_000_000_000)
			wide.Burst = 1 << 30
			newFloor(b, 64, func(key string, _ int) []dispatcher.Limit {
				return []dispatcher.Limit{limit("shared", wide), limit(key, wide)}
			}).batches(keysOf(keys))
		})
	}
}

// Submit alone, while so many jobs wait for a limit.
func BenchmarkSubmit(b *testing.B) {
	for _, waiting := range []int{1000, 1_000_000} {
		b.Run("waiting="+strconv.Itoa(waiting), func(b *testing.B) {
			f := newFloor(b, 16, func(key string, _ int) []dispatcher.Limit {
				return []dispatcher.Limit{limit("shared", every(time.Hour)), limit(key, every(time.Hour))}
			})
			f.run()
			names := keysOf(waiting)
			for _, key := range names {
				f.submit(key)
			}
			settle(b, f.Dispatcher)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.submit(names[i%waiting])
			}
		})
	}
}

// settle waits until the schedule has taken in all that was submitted: then a
// job that is under no limit starts at once.
func settle(b *testing.B, d *dispatcher.Dispatcher[int]) {
	err := d.SubmitJob(context.Background(), dispatcher.Job[int]{Key: "settle", Limits: dispatcher.NoLimits})
	if err != nil {
		b.Fatal(err)
	}
	for d.Stats().Succeeded < 2 { // it, and the first under the limits
		runtime.Gosched()
	}
}

// Trap 29: a million jobs, of a million keys and of one, from the first Submit to
// the end of the last one. A job should cost as much as one of a thousand.
func BenchmarkTrap29Million(b *testing.B) {
	for _, jobs := range []int{1000, 1_000_000} {
		for _, keys := range []int{1, jobs} {
			b.Run("jobs="+strconv.Itoa(jobs)+"/keys="+strconv.Itoa(keys), func(b *testing.B) {
				wide := perSecond(1_000_000_000)
				wide.Burst = 1 << 30
				names := keysOf(keys)
				b.ReportAllocs()
				for b.Loop() {
					f := newFloor(b, 16, func(key string, _ int) []dispatcher.Limit {
						return []dispatcher.Limit{limit("shared", wide), limit(key, wide)}
					})
					for i := range jobs {
						f.submit(names[i%keys])
					}
					ended := make(chan error, 1)
					go func() { ended <- f.Run(context.Background()) }()
					if err := f.Shutdown(context.Background()); err != nil {
						b.Fatal(err)
					}
					<-ended
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(jobs), "ns/job")
			})
		}
	}
}
