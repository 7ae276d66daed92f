package sqlite

import (
	"database/sql/driver"
	"time"

	"github.com/freqlimit/dispatcher/backend/memory"
)

// storeStates stores the states of the keys of this transaction as they are now. That may be
// after later charges, which are not granted before they are stored.
func (t *tx) storeStates() error {
	for key := range t.keys {
		s, ok := t.b.limits.State(key)
		c, err := t.begun()
		if err != nil {
			return err
		}
		if !ok {
			_, err = c.exec("DELETE FROM limit_states WHERE key = ?", key)
		} else {
			_, err = c.exec("INSERT INTO limit_states VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "+
				"tat = excluded.tat, last = excluded.last, interval = excluded.interval, held_until = excluded.held_until, written_at = excluded.written_at",
				key, nanos(s.TAT), nanos(s.Last), int64(s.Interval), nanos(s.HeldUntil), time.Now().UnixNano())
		}
		if err != nil {
			return err
		}
	}
	return t.dropSome()
}

const (
	// After dropEvery states were stored, dropSome looks at dropLook of them, so that at most about a
	// quarter of the rows are of limits without debt.
	dropEvery = 64
	dropLook  = 4 * dropEvery
)

// dropSome deletes some states of limits that have no debt and are not held.
func (t *tx) dropSome() error {
	b := t.b
	if b.stored += len(t.keys); b.stored < dropEvery || !t.open {
		return nil
	}
	b.stored = 0
	var idle []string
	looked := 0
	now := time.Now()
	err := b.writer.query(func(row []driver.Value) error {
		looked++
		b.looked = row[0].(string)
		if s, ok := b.limits.State(b.looked); !ok || s.TAT.Before(now) && s.HeldUntil.Before(now) {
			idle = append(idle, b.looked)
		}
		return nil
	}, "SELECT key FROM limit_states WHERE key > ? ORDER BY key LIMIT ?", b.looked, int64(dropLook))
	if looked < dropLook {
		b.looked = "" // from the beginning
	}
	for _, key := range idle {
		if err == nil {
			_, err = b.writer.exec("DELETE FROM limit_states WHERE key = ?", key)
		}
	}
	return err
}

// loadStates sets the states of the keys that are in the file.
//
// The times there are by the machine's clock. If the clock was set back since a state was
// written, the remaining time is what it was then.
func loadStates(c *conn, limits *memory.Backend) error {
	return c.query(func(row []driver.Value) error {
		now := time.Now()
		from := max(now.UnixNano(), row[5].(int64))
		at := func(v driver.Value) time.Time { return now.Add(time.Duration(v.(int64) - from)) }
		s := memory.KeyState{TAT: at(row[1]), Last: at(row[2]), Interval: time.Duration(row[3].(int64)), HeldUntil: at(row[4])}
		if s.TAT.After(now) || s.HeldUntil.After(now) {
			limits.SetState(row[0].(string), s)
		}
		return nil
	}, "SELECT key, tat, last, interval, held_until, written_at FROM limit_states")
}
