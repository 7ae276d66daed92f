package schedule

import (
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Snapshot has the jobs that wait in a scheduler, those that started while it was made, and all that
// a forecast needs. Several goroutines may use it at once.
type Snapshot struct {
	cfg     Config
	now     int64
	running []Run
	tau     int64
	seq     uint64
	arrival int64
	outage  int64
	paused  bool

	// What the builder found, each at its own instant.
	lanes  blockList[laneSnapshot]
	asleep blockList[datedSnapshot]
	limits blockList[limitSnapshot]

	// What has changed since.
	started []Expected               // jobs that waited at the beginning, in the order of their starts
	left    []*Job                   // jobs that no longer wait, whether the builder has found them or not
	cuts    []cutSnapshot            // the same, for many jobs at once
	heads   map[*lane]headSnapshot   // of lanes that have changed
	changed map[string]limitSnapshot // by key
}

// Run is a job that runs.
type Run struct {
	Key      string
	Priority int
	Slot     int64 // when it began
}

type laneSnapshot struct {
	lane     *lane // only for comparisons: it belongs to the scheduler
	key      string
	priority int
	head     headSnapshot
	jobs     blockList[jobSnapshot]
	dates    []datedSnapshot // of jobs, by their index
	strays   []datedSnapshot
}

// headSnapshot is what is known of a lane and its head.
type headSnapshot struct {
	paused   bool
	by       int64
	since    int64
	lastSlot int64
	waivers  []waiverSnapshot
	claims   []claimSnapshot
}

// waiverSnapshot says until when a head waives its place under a limit.
type waiverSnapshot struct {
	key  string
	from int64
}

// claimSnapshot is a claim of a head on a limit.
type claimSnapshot struct {
	key   string
	terms claimTerms
}

type jobSnapshot struct {
	arrival int64
	seq     uint64
	limits  []backend.Limit
	job     *Job
}

type datedSnapshot struct {
	jobSnapshot
	Dates
	index int
	state datedState

	// If it is asleep.
	lane     *lane
	key      string
	priority int
	head     headSnapshot
}

type limitSnapshot struct {
	key    string
	params gcra.FreqLimitParams
	state  gcra.State
	closed int64
}

// cutSnapshot is the jobs of a lane that have been cut off.
type cutSnapshot struct {
	lane *lane
	seq  uint64 // their seqs are not above it
	asks *Job   // the job that was not cut off; nil: none
}
