package dispatcher

// inbox is the news for the goroutine that schedules.
type inbox[T any] struct {
	submitted blocks[T]
	deferred  []deferral
	answered  []*batch[T]
	commands  []command[T]
}

type deferral struct {
	key   string
	until int64
}

// blocks is submitted jobs, in blocks of blockSize: a queue that grows to
// millions copies nothing, and is taken in bit by bit.
type blocks[T any] struct {
	full  [][]submission[T]
	last  []submission[T]   // being filled
	spare [][]submission[T] // empty ones
}

const (
	// blockSize is how many submitted jobs are taken in at a time, so that a
	// million that come at once do not make others late.
	blockSize = 128

	// spareBlocks is how many empty blocks are kept.
	spareBlocks = 32
)

func (b *blocks[T]) add(s submission[T]) {
	if len(b.last) == cap(b.last) {
		if len(b.last) > 0 {
			b.full = append(b.full, b.last)
		}
		if n := len(b.spare); n > 0 {
			b.last, b.spare[n-1] = b.spare[n-1], nil
			b.spare = b.spare[:n-1]
		} else {
			b.last = make([]submission[T], 0, blockSize)
		}
	}
	b.last = append(b.last, s)
}

// recycle takes back a block whose jobs have been taken in.
func (b *blocks[T]) recycle(block []submission[T]) {
	clear(block) // it holds on to no job, even if something holds on to it
	if len(b.spare) < spareBlocks {
		b.spare = append(b.spare, block[:0])
	}
}

// signal says that there is news, after it has been put where the loop looks.
func (d *Dispatcher[T]) signal() {
	if d.told.Load() || d.told.Swap(true) {
		return // the loop has yet to look
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take swaps the inbox for an empty one, and says whether it was the last that
// can hold submitted jobs. If closing, it is.
func (d *Dispatcher[T]) take(empty inbox[T], closing bool) (in inbox[T], closed bool) {
	d.told.Store(false) // what comes from here on is news again
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = d.closed || closing
	in, d.inbox = d.inbox, empty
	return in, d.closed
}
