package sqlite

import (
	"errors"
	"fmt"
	"os"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// owner is the right to work on a file: an exclusive lock on another file beside it, which is
// empty. The operating system frees the lock when the process ends, however it ends. The lock
// is SQLite's own, so it works wherever the database does. Readers of the database don't need it.
type owner struct{ lock *conn }

// The path of the lock is the path of the database with lockSuffix.
const lockSuffix = "-owner"

// acquire makes this process the owner of the file, or returns an *OwnedError.
func acquire(path string) (*owner, error) {
	c, err := dial(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	if err = c.script("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE"); err == nil {
		return &owner{c}, nil
	}
	_ = c.Close()
	if of, ok := errors.AsType[*sqlite.Error](err); ok && of.Code()&0xff == lib.SQLITE_BUSY {
		return nil, &OwnedError{Path: path, Owner: readOwner(path)}
	}
	return nil, err
}

// release lets others own the file. The empty file stays: another process may wait for its lock.
func (o *owner) release() error { return o.lock.Close() }

// discard is release after it turned out that the file is not a database of this package: then
// nothing is left beside it.
func (o *owner) discard(path string) error {
	return errors.Join(os.Remove(path+lockSuffix), o.release())
}

// writeOwner notes this process in the database, so that others can say who owns it.
func writeOwner(c *conn) error {
	host, _ := os.Hostname() // without a name the rest is still of use
	_, err := c.exec("UPDATE journal SET owner = ?",
		fmt.Sprintf("process %d on %s since %s", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339)))
	return err
}

// clearOwner is for an orderly end.
func clearOwner(c *conn) error {
	_, err := c.exec("UPDATE journal SET owner = NULL")
	return err
}

// readOwner returns the name of the owner, or "".
func readOwner(path string) string {
	c, err := dial(path, "mode=ro")
	if err != nil {
		return ""
	}
	defer c.Close()
	v, _ := c.value("SELECT owner FROM journal")
	name, _ := v.(string)
	return name
}
