package dispatcher

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/freqlimit/dispatcher/backend/memory"
)

func newDispatcher(tb testing.TB) *Dispatcher[int] {
	tb.Helper()
	d, err := New(memory.New(memory.Config{}), func(context.Context, Job[int]) error { return nil }, Config[int]{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// The memory of IDs follows the jobs that have one and have not ended.
func TestIDsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher(t)
		const jobs = 50_000
		for i := range jobs {
			job := Job[int]{Key: "k", ID: strconv.Itoa(i)}
			if err := d.SubmitJob(t.Context(), job); err != nil {
				t.Fatal(err)
			}
		}
		if room := d.ids.Room(); room < jobs {
			t.Fatalf("there is room for %d IDs of jobs that wait, want %d at least", room, jobs)
		}
		go func() { _ = d.Run(context.Background()) }()
		if err := d.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if room := d.ids.Room(); d.ids.Len() > 0 || room > jobs/16 {
			t.Errorf("all jobs have ended, and %d IDs are kept, with room for %d; want none, with little room", d.ids.Len(), room)
		}
	})
}

// BenchmarkIDs is the memory that is kept of IDs whose jobs have ended.
func BenchmarkIDs(b *testing.B) {
	for _, jobs := range []int{10_000, 100_000, 1_000_000} {
		b.Run("jobs="+strconv.Itoa(jobs), func(b *testing.B) {
			var kept float64
			for b.Loop() {
				d := newDispatcher(b)
				ended := make(chan error, 1)
				ctx, stop := context.WithCancel(b.Context())
				go func() { ended <- d.Run(ctx) }()
				before := heapInUse()
				for i := range jobs {
					job := Job[int]{Key: "k", ID: strconv.Itoa(i), Limits: NoLimits}
					if err := d.SubmitJob(ctx, job); err != nil {
						b.Fatal(err)
					}
				}
				if err := d.WaitIdle(ctx); err != nil {
					b.Fatal(err)
				}
				kept = float64(heapInUse() - before)
				stop()
				<-ended
			}
			b.ReportMetric(max(0, kept), "B-kept")
		})
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
