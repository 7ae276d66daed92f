package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// syncEvery is how often a ledger is written through to the disk: so much a machine that
// dies forgets. What the program alone does, dying included, is never forgotten.
const syncEvery = time.Second

// ledger is the file of unsent messages while a campaign runs. It holds all messages, and
// is written before the first of them leaves. What becomes of each is written over what was
// there: that takes no room on a disk that is full, and is right whenever the program dies.
// A nil ledger keeps no account.
type ledger struct {
	path    string
	offsets []int64           // by message: where its delivery stands
	kept    []message         // perhaps sent by an earlier campaign; not of this one
	broken  func(cause error) // is told, once, when the file can't be written

	mu         sync.Mutex // guards what follows
	file       ledgerFile
	deliveries []delivery // by message
	dirty      bool       // since the last Sync
	err        error      // why the file is not right any more

	stop    chan struct{}
	stopped sync.WaitGroup
}

// ledgerFile is what a ledger needs of a file.
type ledgerFile interface {
	io.WriterAt
	io.Closer
	Sync() error
}

// newLedger makes the file, whole or not at all; one that is there is replaced. Of the
// messages, those for which perhaps is true were perhaps sent by an earlier campaign, and
// so were the kept ones, which this campaign does not send.
func newLedger(path string, messages []message, perhaps []bool, kept []message, broken func(error)) (*ledger, error) {
	l := &ledger{
		path: path, kept: kept, broken: broken,
		offsets:    make([]int64, len(messages)),
		deliveries: make([]delivery, len(messages)),
		stop:       make(chan struct{}),
	}
	for i := range messages {
		l.deliveries[i] = unsent
		if perhaps != nil && perhaps[i] {
			l.deliveries[i] = perhapsSent
		}
	}
	err := replaceFile(path, func(w io.Writer) error {
		at := int64(0)
		for i, m := range messages {
			n, err := writeLine(w, l.deliveries[i], m)
			if err != nil {
				return err
			}
			l.offsets[i] = at + int64(len(lineBegin))
			at += int64(n)
		}
		return writeLines(w, perhapsSent, kept)
	})
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	l.file = f
	l.stopped.Go(l.keepSynced) // until close
	return l, nil
}

// keepSynced writes the file through to the disk from time to time.
func (l *ledger) keepSynced() {
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		dirty := l.dirty
		l.dirty = false
		l.mu.Unlock()
		if dirty {
			if err := l.file.Sync(); err != nil {
				l.fail(err)
			}
		}
	}
}

// mark writes what has become of a message.
func (l *ledger) mark(i int, d delivery) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	l.deliveries[i] = d
	l.dirty = true
	// Under the lock: what comes later must stand there in the end.
	_, err := l.file.WriteAt([]byte(d.padded()), l.offsets[i])
	l.mu.Unlock()
	if err != nil {
		return l.fail(err)
	}
	return nil
}

func (l *ledger) fail(err error) error {
	err = fmt.Errorf("can't keep account in %s: %w", l.path, err)
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		l.broken(err)
	}
	return err
}

// finish ends the account. It shortens the file to what is left, or removes it if nothing
// is. If it can't, the file stays as it is, which is right unless there is an error: that
// says that the file is not to be used.
func (l *ledger) finish(messages []message) error {
	close(l.stop)
	l.stopped.Wait()
	err := l.file.Sync()
	err = errors.Join(l.err, err, l.file.Close())
	left := len(l.kept)
	for _, d := range l.deliveries {
		if !d.isOver() {
			left++
		}
	}
	if left == 0 {
		if removeErr := os.Remove(l.path); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
			return errors.Join(err, removeErr)
		}
		return nil
	}
	if replaceFile(l.path, func(w io.Writer) error { return l.writeLeft(w, messages) }) == nil {
		return nil
	}
	return err
}

// writeLeft writes what is left to do, as lines of the file.
func (l *ledger) writeLeft(w io.Writer, messages []message) error {
	for i, m := range messages {
		d := l.deliveries[i]
		if d == sending {
			d = perhapsSent
		}
		if d.isOver() {
			continue
		}
		if _, err := writeLine(w, d, m); err != nil {
			return err
		}
	}
	return writeLines(w, perhapsSent, l.kept)
}

func writeLines(w io.Writer, d delivery, messages []message) error {
	for _, m := range messages {
		if _, err := writeLine(w, d, m); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile makes a file, whole or not at all: until it is complete, and on the disk,
// what was there stays.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if was, err := os.Stat(path); err == nil {
		f.Chmod(was.Mode().Perm()) // or it is for its owner alone
	}
	out := bufio.NewWriterSize(f, 64<<10)
	if err := write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync() // where directories can be
		dir.Close()
	}
	return nil
}
