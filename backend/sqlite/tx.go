package sqlite

import "errors"

// tx is a transaction of the writer. It begins with the first use of the connection, so one
// that has nothing to store costs nothing.
type tx struct {
	b       *Backend
	classes *classes
	open    bool
	next    int64               // at least the number of the next job
	deleted int64               // jobs
	keys    map[string]struct{} // whose states are to be stored
}

// begun returns the connection, in the transaction.
func (t *tx) begun() (*conn, error) {
	if t.open {
		return t.b.writer, nil
	}
	_, err := t.b.writer.exec("BEGIN IMMEDIATE")
	t.open = err == nil
	return t.b.writer, err
}

// transact runs f in a transaction, stores the states of the keys that it names, and commits.
func (b *Backend) transact(f func(t *tx) error) error {
	t := &tx{b: b, classes: &b.classes, keys: b.keys}
	b.takeReleased()
	err := f(t)
	if err == nil {
		err = t.finish()
	}
	if err != nil {
		// An error such as a full disk may have rolled back already.
		_, _ = b.writer.exec("ROLLBACK")
		b.classes.forget(0)
		return err
	}
	b.classes.added = b.classes.added[:0]
	clear(b.keys)
	b.deleted += t.deleted
	return nil
}

// finish stores what all calls together have changed, and commits.
func (t *tx) finish() error {
	if t.next > 0 {
		c, err := t.begun()
		if err != nil {
			return err
		}
		if _, err := c.exec("UPDATE journal SET next_number = ?1 WHERE next_number < ?1", t.next); err != nil {
			return err
		}
	}
	if err := t.storeStates(); err != nil {
		return err
	}
	if !t.open {
		return nil
	}
	_, err := t.b.writer.exec("COMMIT")
	return err
}

// attempt stores a call so that the others are made if it fails. It returns an error if these can't be
// made either.
func (t *tx) attempt(c *call) error {
	conn, err := t.begun()
	if err != nil {
		return err
	}
	if _, err := conn.exec("SAVEPOINT call"); err != nil {
		return err
	}
	before, known := *t, len(t.classes.added)
	if c.err = c.store(t); c.err != nil {
		if _, err := conn.exec("ROLLBACK TO call"); err != nil {
			err, c.err = errors.Join(c.err, err), nil
			return err
		}
		t.classes.forget(known)
		t.next, t.deleted = before.next, before.deleted
		c.undo(t.b)
	}
	_, err = conn.exec("RELEASE call")
	return err
}
