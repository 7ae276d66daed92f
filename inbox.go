package dispatcher

// inbox is the news for the goroutine that schedules.
type inbox[T any] struct {
	submitted blocks[submission[T]]
	news      []news
	answered  []*batch[T]
	commands  []func(l *loop[T], now int64)
	questions []question[T]
}

// hasNews reports whether there is something from outside.
func (in *inbox[T]) hasNews() bool {
	return len(in.submitted.last) > 0 || len(in.commands) > 0 || len(in.questions) > 0 || len(in.news) > 0
}

// blocks is submitted jobs, in blocks of blockSize: a queue that grows to
// millions copies nothing, and is taken in bit by bit.
type blocks[E any] struct {
	full  [][]E
	last  []E   // being filled
	spare [][]E // empty ones
}

const (
	// blockSize is how many submitted jobs are taken in at a time, so that a
	// million that come at once do not make others late.
	blockSize = 128

	// spareBlocks is how many empty blocks are kept.
	spareBlocks = 32
)

func (b *blocks[E]) add(e E) {
	if len(b.last) == cap(b.last) {
		if len(b.last) > 0 {
			b.full = append(b.full, b.last)
		}
		if n := len(b.spare); n > 0 {
			b.last, b.spare[n-1] = b.spare[n-1], nil
			b.spare = b.spare[:n-1]
		} else {
			b.last = make([]E, 0, blockSize)
		}
	}
	b.last = append(b.last, e)
}

// drain appends the blocks that are not empty to others, and is empty then.
func (b *blocks[E]) drain(others [][]E) [][]E {
	others = append(others, b.full...)
	if len(b.last) > 0 {
		others = append(others, b.last)
	}
	clear(b.full)
	b.full, b.last = empty(b.full), nil
	return others
}

// recycle takes back a block whose jobs have been taken in.
func (b *blocks[E]) recycle(block []E) {
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
func (l *loop[T]) take(empty inbox[T], closing bool) (in inbox[T], closed bool) {
	l.told.Store(false) // what comes from here on is news again
	if l.express {
		l.desk.mu.Lock()
		defer l.desk.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if closing {
		l.closeIntake()
	}
	if l.express {
		l.seeToExpress(closing)
	}
	in, l.inbox = l.inbox, empty
	return in, l.closed
}

// reset returns an empty inbox in the memory of this one, if it is not much.
func (in inbox[T]) reset() inbox[T] {
	return inbox[T]{
		submitted: blocks[submission[T]]{spare: in.submitted.spare},
		news:      empty(in.news),
		answered:  empty(in.answered),
		commands:  empty(in.commands),
		questions: empty(in.questions),
	}
}

func empty[E any](s []E) []E {
	if cap(s) > 16*blockSize {
		return nil
	}
	clear(s)
	return s[:0]
}
