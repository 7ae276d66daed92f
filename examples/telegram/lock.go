package main

import (
	"errors"
	"fmt"
	"os"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("is locked")

// fileLock keeps other copies of the program from a file. The system lets go of it when the
// process ends, however it ends.
type fileLock struct{ f *os.File }

// lock locks a file by another one beside it, which is never replaced: the file itself is.
func lock(path string) (*fileLock, error) {
	path += ".lock"
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f); err != nil {
			f.Close()
			if errors.Is(err, errLocked) {
				return nil, err
			}
			return nil, fmt.Errorf("can't lock %s: %w", path, err)
		}
		// Who had the lock before may have removed the file.
		there, err := os.Stat(path)
		if mine, mineErr := f.Stat(); err == nil && mineErr == nil && os.SameFile(there, mine) {
			return &fileLock{f}, nil
		}
		f.Close()
	}
}
