package sqlite

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/memory"
)

var (
	_ backend.Backend  = (*Backend)(nil)
	_ backend.Journal  = (*Backend)(nil)
	_ backend.Releaser = (*Backend)(nil)
	_ backend.Watcher  = (*Backend)(nil)
)

// Config configures a [Backend]. All fields are optional.
type Config struct {
	// NoSync does not wait until a write has reached the disk. The end of the process then still loses
	// nothing, but a crash of the machine may lose the writes of the last seconds: their jobs,
	// claims and debt. The file stays sound. It is for disks that take long to sync, if that
	// loss is bearable. Defaults to false.
	NoSync bool
}

// Backend keeps limits and jobs in one file. It is a [backend.Backend] and a [backend.Journal],
// made by [Open]. It is safe for concurrent use.
type Backend struct {
	path   string
	owner  *owner
	limits *memory.Backend // decides; ahead of the file by the transaction under way

	calls  calls
	writes sync.WaitGroup // the writer, which ends after calls.close
	closed sync.Once

	reading sync.Mutex // guards reader
	reader  *conn      // nil after Close

	releasing sync.Mutex          // guards released
	released  map[string]struct{} // keys that got slots back since their states were stored

	classes classes

	// The writer's own.
	writer  *conn
	keys    map[string]struct{} // whose states have changed in memory
	stored  int                 // states, since dropSome last looked for some to delete
	looked  string              // up to this key
	deleted int64               // jobs, since tidy last looked for free pages
}

// Open opens the file, which it creates if there is none. Its directory must exist, on a local
// disk. One Backend at a time may work on a file: Open fails with an [*OwnedError] while
// another does, in this process or another. Close the Backend when it is no longer used.
//
// The limits have the debt and the holds that they had when they were last used. Debt is paid
// by the time that has passed since, by the machine's clock. If the clock was set back
// meanwhile, the remaining waits are what they were; if it was set forward, that time counts
// as passed.
//
// Errors match [ErrOwned], [ErrForeign], [ErrNewer], [ErrReadOnly], [ErrNoFile], [ErrCorrupt] or
// [backend.ErrJournalFull], or are others of SQLite.
func Open(path string, cfg Config) (*Backend, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	b := &Backend{
		path:     path,
		limits:   memory.New(memory.Config{}),
		calls:    calls{wake: make(chan struct{}, 1)},
		released: make(map[string]struct{}),
		keys:     make(map[string]struct{}),
	}
	if b.owner, err = acquire(path); err != nil {
		return nil, wrap(path, err)
	}
	if err := b.open(cfg); err != nil {
		err = wrap(path, err)
		if errors.Is(err, ErrForeign) {
			return nil, errors.Join(err, b.closeConns(), b.owner.discard(path))
		}
		return nil, errors.Join(err, b.closeConns(), b.owner.release())
	}
	b.writes.Go(b.write)
	return b, nil
}

// resolve returns one path for all the names of a file that symbolic links make.
func resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("sqlite: path is empty: must be given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target, nil
	}
	// The file does not exist yet.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path)), nil
	}
	return path, nil
}

// open makes the connections and loads what has to be in memory. Before identify, it changes
// nothing in the file.
func (b *Backend) open(cfg Config) (err error) {
	if b.writer, err = dial(b.path); err != nil {
		return err
	}
	isNew, err := identify(b.writer, b.path)
	if err != nil {
		return err
	}
	if err := configure(b.writer, isNew, cfg); err != nil {
		return err
	}
	if isNew {
		if err := create(b.writer); err != nil {
			return err
		}
	}
	// A full disk is no reason not to open the file: its jobs can be read, and may wait for room.
	if err := wrap(b.path, writeOwner(b.writer)); err != nil && !errors.Is(err, backend.ErrJournalFull) {
		return err
	}
	if b.reader, err = dial(b.path, "mode=ro"); err != nil {
		return err
	}
	if err := b.classes.load(b.writer); err != nil {
		return err
	}
	return loadStates(b.writer, b.limits)
}

func (b *Backend) closeConns() error {
	var errs []error
	for _, c := range []*conn{b.reader, b.writer} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// Close waits for the calls that have begun, stores slots that were given back, and closes the
// file. Other methods fail with [ErrClosed] from then on. Close may be called more than once: a
// later call returns nil.
func (b *Backend) Close() (err error) {
	b.closed.Do(func() {
		b.calls.close()
		b.writes.Wait()
		b.reading.Lock()
		defer b.reading.Unlock()
		err = errors.Join(
			b.transact(func(*tx) error { return nil }),
			clearOwner(b.writer),
			b.closeConns(),
			b.limits.Close(),
			b.owner.release(),
		)
		b.reader = nil
	})
	return wrap(b.path, err)
}

// Traits implements [backend.Backend]: the backend takes slots back, reports changes and keeps
// jobs. It is not in-process, because what it decides has to reach the disk.
func (b *Backend) Traits() backend.Traits {
	return backend.Traits{Releaser: b, Watcher: b, Journal: b}
}
