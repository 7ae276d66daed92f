package sqlite

import "strconv"

const (
	// lookEvery is after how many deleted jobs tidy looks for free pages.
	lookEvery = 1000

	// The file gives free pages back to the disk if they are more than spare, and more than a
	// quarter of it. A queue whose length varies within that only reuses them.
	spare = 256

	// tidyPages is how many pages tidy gives back at a time: some milliseconds of work.
	tidyPages = 256
)

// tidy does a part of what keeps the file from growing for ever, and reports whether there is more
// to do. Errors are left to the next write, which has them too.
func (b *Backend) tidy() (more bool) {
	if b.classes.due() {
		b.reading.Lock()
		err := b.classes.sweep(b.writer)
		b.reading.Unlock()
		if err != nil {
			return false
		}
	}
	if b.deleted < lookEvery {
		return false
	}
	free, err := b.writer.number("PRAGMA freelist_count")
	if err != nil {
		return false
	}
	all, err := b.writer.number("PRAGMA page_count")
	if err != nil || free <= spare || free <= all/4 {
		b.deleted = 0
		return false
	}
	if err := b.writer.script("PRAGMA incremental_vacuum(" + strconv.Itoa(tidyPages) + ")"); err != nil {
		b.deleted = 0
		return false
	}
	return true
}
