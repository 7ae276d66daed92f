package dispatcher_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

// disk is what a journal keeps. It outlives the processes that open it.
type disk struct {
	mu       sync.Mutex // guards what follows
	jobs     map[int64]backend.KeptJob
	dead     map[int64]backend.DeadJob
	settings []backend.Setting
	next     int64
	limits   *memory.Backend
}

func newDisk() *disk {
	return &disk{jobs: map[int64]backend.KeptJob{}, dead: map[int64]backend.DeadJob{}, next: 1, limits: inMemory()}
}

// journal is a process's view of a disk. Each call takes a while.
type journal struct {
	*disk
	takes func() time.Duration // for each way of a call

	mu    sync.Mutex  // guards what follows
	ended bool        // the process was killed: nothing it does has an effect
	fault error       // of all calls, which change nothing
	loses func() bool // reports whether the answer to a call is lost; nil: none is
}

var (
	errKilled = errors.New("killed")
	errLost   = errors.New("answer lost")
)

// open returns the view of a new process.
func (d *disk) open() *journal {
	return &journal{disk: d, takes: func() time.Duration { return time.Millisecond }}
}

// kill ends the process: what it does from now on has no effect.
func (j *journal) kill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
}

// isKilled reports whether kill was called.
func (j *journal) isKilled() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended
}

// fails has all calls fail with an error, nil: none.
func (j *journal) fails(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fault = err
}

// call makes a change, if the process lives.
func (j *journal) call(change func() error) error {
	time.Sleep(j.takes())
	if err := j.change(change); err != nil {
		return err
	}
	time.Sleep(j.takes())
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.ended:
		return errKilled
	case j.loses != nil && j.loses():
		return errLost
	}
	return nil
}

func (j *journal) change(change func() error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.ended:
		return errKilled
	case j.fault != nil:
		return j.fault
	}
	j.disk.mu.Lock()
	defer j.disk.mu.Unlock()
	return change()
}

func (j *journal) Traits() backend.Traits {
	return backend.Traits{Journal: j, Releaser: j.limits, Watcher: j.limits}
}

func (j *journal) Reserve(ctx context.Context, reqs []backend.Request, ds []backend.Decision) error {
	return j.call(func() error {
		if err := j.limits.Reserve(ctx, reqs, ds); err != nil {
			return err
		}
		for i := range reqs {
			if k, ok := j.jobs[reqs[i].Job]; ok && ds[i].Granted {
				k.Claimed = true
				j.jobs[k.Number] = k
			}
		}
		return nil
	})
}

func (j *journal) Hold(ctx context.Context, key string, d time.Duration) error {
	return j.call(func() error { return j.limits.Hold(ctx, key, d) })
}

func (j *journal) Clear(ctx context.Context) error {
	return j.call(func() error { return j.limits.Clear(ctx) })
}

func (j *journal) Recover(context.Context) (r backend.Recovered, err error) {
	err = j.call(func() error {
		r = backend.Recovered{Next: j.next, Jobs: len(j.jobs), Dead: len(j.dead), Settings: slices.Clone(j.settings)}
		return nil
	})
	return r, err
}

func (j *journal) Jobs(_ context.Context, after int64, jobs []backend.KeptJob) (n int, err error) {
	err = j.call(func() error {
		for _, number := range slices.Sorted(maps.Keys(j.jobs)) {
			if number > after && n < len(jobs) {
				jobs[n] = j.jobs[number]
				n++
			}
		}
		return nil
	})
	return n, err
}

func (j *journal) Find(_ context.Context, id string) (number int64, err error) {
	err = j.call(func() error {
		for _, k := range j.jobs {
			if k.ID == id {
				number = max(number, k.Number)
			}
		}
		return nil
	})
	return number, err
}

func (j *journal) DeadJobs(_ context.Context, after int64, jobs []backend.DeadJob) (n int, err error) {
	err = j.call(func() error {
		for _, number := range slices.Sorted(maps.Keys(j.dead)) {
			if number > after && n < len(jobs) {
				jobs[n] = j.dead[number]
				n++
			}
		}
		return nil
	})
	return n, err
}

func (j *journal) Write(_ context.Context, c *backend.Changes) error {
	return j.call(func() error {
		for _, k := range c.Added {
			j.jobs[k.Number] = k
			j.next = max(j.next, k.Number+1)
		}
		for _, r := range c.Replaced {
			if k, ok := j.jobs[r.Number]; ok {
				k.Payload, k.Version = r.Payload, r.Version
				j.jobs[r.Number] = k
			}
		}
		for _, r := range c.Requeued {
			if k, ok := j.jobs[r.Number]; ok {
				k.Progress, k.Claimed = r.Progress, false
				j.jobs[r.Number] = k
			}
		}
		for _, number := range c.Ended {
			delete(j.jobs, number)
			delete(j.dead, number)
		}
		for _, d := range c.Died {
			if k, ok := j.jobs[d.Number]; ok {
				delete(j.jobs, d.Number)
				j.dead[d.Number] = backend.DeadJob{KeptJob: k, Reason: d.Reason, DiedAt: d.At}
			}
		}
		for _, number := range c.Revived {
			if k, ok := j.dead[number]; ok {
				delete(j.dead, number)
				k.KeptJob.Progress, k.KeptJob.Claimed = backend.Progress{}, false
				j.jobs[number] = k.KeptJob
			}
		}
		for _, setting := range c.Settings {
			j.settings = slices.DeleteFunc(j.settings, func(old backend.Setting) bool { return old.Name == setting.Name })
			if setting.Value != nil {
				j.settings = append(j.settings, setting)
			}
		}
		return nil
	})
}
