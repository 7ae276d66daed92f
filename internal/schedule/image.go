package schedule

import (
	"iter"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// Image is what waits in a scheduler, and what starts while the image is made: enough to play
// it to its end. It may be played by several goroutines at once.
type Image struct {
	cfg     Config
	now     int64
	running []Run
	tau     int64
	seq     uint64
	arrival int64
	outage  int64
	paused  bool

	// What was found, each at its own instant.
	lanes  pile[laneImage]
	asleep pile[datedImage]
	limits pile[limitImage]

	// What has changed since.
	started []Expected            // jobs that waited at the beginning, in the order of their starts
	left    []*Job                // jobs that are in it, or not, and don't wait any more
	cuts    []cutImage            // the same, of many jobs at once
	heads   map[*lane]headImage   // of lanes that have changed
	changed map[string]limitImage // by key
}

// Run is a job that runs.
type Run struct {
	Key      string
	Priority int
	Slot     int64 // when it began
}

type laneImage struct {
	lane     *lane // only to tell it by: it belongs to the scheduler
	key      string
	priority int
	head     headImage
	jobs     pile[jobImage]
	dates    []datedImage // of jobs, by their index
	strays   []datedImage
}

// headImage is what is known of a lane and its head.
type headImage struct {
	paused   bool
	by       int64
	since    int64
	lastSlot int64
	waivers  []waiverImage
	claims   []claimImage
}

// waiverImage says until when a head waives its place under a limit.
type waiverImage struct {
	key  string
	from int64
}

// claimImage is a claim of a head on a limit.
type claimImage struct {
	key   string
	terms claimTerms
}

type jobImage struct {
	arrival int64
	seq     uint64
	limits  []backend.Limit
	job     *Job
}

type datedImage struct {
	jobImage
	Dates
	index int
	state datedState

	// If it is asleep.
	lane     *lane
	key      string
	priority int
	head     headImage
}

type limitImage struct {
	key    string
	params gcra.FreqLimitParams
	state  gcra.State
	closed int64
}

// cutImage is the jobs of a lane that have been cut off.
type cutImage struct {
	lane *lane
	seq  uint64 // theirs are not above it
	asks *Job   // it has not been; nil: none
}

// pile is many elements, in blocks: it grows without copying.
type pile[E any] struct {
	first []E
	more  [][]E
	n     int
}

// pileBlock is how many elements a block has at most.
const pileBlock = 512

// add adds an element, and returns where it is. There will be some expect more.
func (p *pile[E]) add(e E, expect int) *E {
	block := &p.first
	if last := len(p.more) - 1; last >= 0 {
		block = &p.more[last]
	}
	if len(*block) == cap(*block) {
		next := make([]E, 0, min(expect+1, pileBlock))
		if p.n == 0 {
			p.first = next
		} else {
			p.more = append(p.more, next)
			block = &p.more[len(p.more)-1]
		}
	}
	*block = append(*block, e)
	p.n++
	return &(*block)[len(*block)-1]
}

// all iterates over the elements, in the order in which they were added.
func (p *pile[E]) all() iter.Seq2[int, *E] {
	return func(yield func(int, *E) bool) {
		n := 0
		for b := -1; b < len(p.more); b++ {
			block := p.first
			if b >= 0 {
				block = p.more[b]
			}
			for i := range block {
				if !yield(n, &block[i]) {
					return
				}
				n++
			}
		}
	}
}
