package backend

import (
	"context"
	"errors"
	"time"
)

// Journal is an optional ability of a [Backend]: it keeps jobs too, for one process, so that they
// outlive it. A dispatcher writes each change to the journal before it acts on it, and a later
// process goes on from what was written.
//
// A job is identified by its number. The dispatcher numbers jobs in the order in which they were
// accepted, from [Recovered.Next] on, and never uses a number twice.
//
// A kept job waits, is claimed, or is dead. Reserve claims a job: see [Request.Job]. Write does
// everything else. If the process ends while a job is claimed, the job may or may not have run:
// the next process finds it claimed.
//
// All methods are safe for concurrent use. Calls that come while the journal is busy share its
// next write, so many callers are as fast as one. If a call returns an error, the change may
// have been made or not, unless the error matches [ErrJournalFull]: then it was not. The same
// change may be written again: what was made already stays as it is.
type Journal interface {
	// Recover returns what the journal keeps besides jobs. A dispatcher calls it once, before it
	// uses the journal otherwise.
	Recover(ctx context.Context) (Recovered, error)

	// Jobs reads kept jobs with numbers above after, in the order of their numbers, into jobs. It
	// returns how many there were, less than len(jobs) only if there are no more. Dead
	// jobs are left out. The payloads and slices are the caller's.
	Jobs(ctx context.Context, after int64, jobs []KeptJob) (n int, err error)

	// Find returns the highest number of a kept job with an ID that is not dead, or zero if there is
	// none.
	Find(ctx context.Context, id string) (number int64, err error)

	// DeadJobs is Jobs for dead jobs.
	DeadJobs(ctx context.Context, after int64, jobs []DeadJob) (n int, err error)

	// Write makes changes, all or none, and returns when they are durable: they then survive the
	// end of the process, and a crash of the machine too. It does not keep c.
	Write(ctx context.Context, c *Changes) error
}

// ErrJournalFull is matched by the error of a Write for which the journal has no room, such as on a
// full disk.
var ErrJournalFull = errors.New("backend: journal full")

// Recovered is what a [Journal] keeps besides jobs.
type Recovered struct {
	Next     int64     // the number of the next job: above those of all jobs that were ever kept, at least 1
	Jobs     int       // how many jobs are kept and not dead
	Dead     int       // how many are dead
	Settings []Setting // in the order in which they were written first
}

// KeptJob is a job as a [Journal] keeps it. Times are by the machine's clock.
type KeptJob struct {
	Number   int64
	Key      string
	Priority int

	// Limits are those of the job. Nil: the limit of the dispatcher's Config.Params, if any. Empty:
	// none.
	Limits []Limit

	ID                  string // "": none
	Submitted           time.Time
	NotBefore, Deadline time.Time // zero: none
	Timeout             time.Duration
	Retry               *KeptRetry // nil: the dispatcher's
	Meta                map[string]string

	Payload []byte
	Version int // of the codec that has encoded the payload

	Progress
	Claimed bool // a process has claimed it, and has not said what became of it
}

// KeptRetry is the retry policy of a job: see the fields of the same names of dispatcher.Retry.
type KeptRetry struct {
	MaxAttempts, MaxHolds int
	Initial, Max          time.Duration
	Multiplier, Jitter    float64
}

// Progress is what a job that waits has been through.
type Progress struct {
	Attempts int // how many times it was started
	Failures int // how many times its handler has failed
	Holds    int // how many times it was told to retry after a time
	Losses   int // how many times its process ended while it was claimed

	RetryAt   time.Time // when it may run again; zero: at once
	LastError string    // why it runs again; "": it does not
}

// DeadJob is a job that is kept although it will not run, until somebody replays or drops it.
type DeadJob struct {
	KeptJob
	Reason string
	DiedAt time.Time
}

// Setting is a setting of a dispatcher, by name.
type Setting struct {
	Name  string
	Value []byte // nil deletes the setting
}

// Changes are changes of a [Journal]. They are made in the order of the fields.
type Changes struct {
	Added    []KeptJob // new jobs, which wait
	Replaced []Replacement
	Requeued []Requeue // claimed jobs wait again
	Ended    []int64   // the numbers of jobs that are no longer kept, dead ones too
	Died     []Death   // jobs that wait or are claimed are dead
	Revived  []int64   // dead jobs wait again, with no Progress
	Settings []Setting
}

// Replacement gives a kept job another payload.
type Replacement struct {
	Number  int64
	Payload []byte
	Version int
}

// Requeue makes a claimed job wait again.
type Requeue struct {
	Number int64
	Progress
}

// Death makes a job dead.
type Death struct {
	Number int64
	Reason string
	At     time.Time
}
