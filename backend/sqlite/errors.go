package sqlite

import (
	"errors"
	"fmt"

	"github.com/freqlimit/dispatcher/backend"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Sentinel errors, for [errors.Is]. The error of a write for which the disk has no room
// matches [backend.ErrJournalFull].
var (
	// ErrOwned is matched by the [*OwnedError] of an Open while another Backend works on
	// the file.
	ErrOwned = errors.New("sqlite: another process works on the file")

	// ErrForeign is matched if the file is not a database, or the database of another program.
	// Open has changed nothing in it.
	ErrForeign = errors.New("sqlite: not a file of this package: choose another path")

	// ErrNewer is matched if the file was written by a newer version of this package. Open
	// has changed nothing in it.
	ErrNewer = errors.New("sqlite: the file is of a newer version of this package: update the program")

	// ErrReadOnly is matched if the file can't be written.
	ErrReadOnly = errors.New("sqlite: the file is read-only: give the process the right to write it and its directory")

	// ErrNoFile is matched if the file can't be opened or created.
	ErrNoFile = errors.New("sqlite: can't open the file: its directory must exist, and the process must have the right to write both")

	// ErrCorrupt is matched if the file is damaged. Keep a copy of it and of those whose names
	// it begins, before trying the .recover command of the sqlite3 shell.
	ErrCorrupt = errors.New("sqlite: the file is damaged")

	// ErrClosed is returned by all methods after Close.
	ErrClosed = errors.New("sqlite: backend closed")

	// ErrNoJob is the error of a request for a job that is not kept, or is dead.
	ErrNoJob = errors.New("sqlite: the job is not kept, or dead")
)

// Error is an error of SQLite. It matches a sentinel error, if there is one for it, and the
// error of the driver, which has SQLite's code.
type Error struct {
	Path string
	Kind error // a sentinel error; nil: any other error
	Err  error // of the driver, if any
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Kind == nil:
		return fmt.Sprintf("sqlite: %v (%s)", e.Err, e.Path)
	case e.Err == nil:
		return fmt.Sprintf("%v (%s)", e.Kind, e.Path)
	}
	return fmt.Sprintf("%v (%s): %v", e.Kind, e.Path, e.Err)
}

// Unwrap returns Kind and Err.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// OwnedError says which process works on the file. It matches [ErrOwned].
type OwnedError struct {
	Path  string
	Owner string // as in "process 4711 on host7 since 2026-11-28T10:30:00Z"; "": not known
}

// Error implements error.
func (e *OwnedError) Error() string {
	owner := e.Owner
	if owner == "" {
		owner = "its owner is not known"
	}
	return fmt.Sprintf("%v (%s): %s", ErrOwned, e.Path, owner)
}

// Is reports whether target is [ErrOwned].
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }

// wrap returns the error of the driver as an *Error. Errors of this package stay as they are.
func wrap(path string, err error) error {
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	of, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	return &Error{Path: path, Kind: kind(of.Code()), Err: err}
}

// kind returns the sentinel error for a code of SQLite.
func kind(code int) error {
	switch code & 0xff {
	case lib.SQLITE_FULL:
		return backend.ErrJournalFull
	case lib.SQLITE_NOTADB:
		return ErrForeign
	case lib.SQLITE_CORRUPT:
		return ErrCorrupt
	case lib.SQLITE_READONLY, lib.SQLITE_PERM:
		return ErrReadOnly
	case lib.SQLITE_CANTOPEN:
		return ErrNoFile
	}
	return nil
}
