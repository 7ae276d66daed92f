package dispatcher

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
	"github.com/freqlimit/dispatcher/gcra"
)

// The memory of IDs follows the jobs that have one and have not ended.
func TestIDsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(memory.New(memory.Config{}), func(context.Context, Job[int]) error { return nil }, Config[int]{})
		if err != nil {
			t.Fatal(err)
		}
		const jobs = 50_000
		for i := range jobs {
			job := Job[int]{Key: "k", Options: &Options{ID: strconv.Itoa(i)}}
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

// The memory of a FreqLimit follows the keys that are waited for.
func TestFreqLimitForgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := NewFreqLimit(memory.New(memory.Config{}), gcra.FreqLimitParams{Limit: 1, Period: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		const keys = 5_000
		for i := range 2 * keys {
			go func() { _ = f.Wait(t.Context(), strconv.Itoa(i/2)) }()
		}
		synctest.Wait()
		if room := f.keys.Room(); room < keys {
			t.Fatalf("there is room for %d keys that are waited for, want %d at least", room, keys)
		}
		for i := range 2 { // the first waits end, then the others
			if err := f.Wait(t.Context(), strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if room := f.keys.Room(); f.keys.Len() > 0 || room > keys/4 {
			t.Errorf("all waits have ended, and %d keys are kept, with room for %d; want none, with little room", f.keys.Len(), room)
		}
	})
}
