package sqlite

import (
	"context"

	"github.com/freqlimit/dispatcher/backend"
)

// Write implements [backend.Journal].
func (b *Backend) Write(ctx context.Context, c *backend.Changes) error {
	return b.do(ctx, &writeOp{c})
}

// writeOp is a call of Write.
type writeOp struct{ *backend.Changes }

func (*writeOp) decide(*Backend) {}
func (*writeOp) undo(*Backend)   {}

func (o *writeOp) weight() int {
	return len(o.Added) + len(o.Replaced) + len(o.Requeued) + len(o.Ended) + len(o.Died) + len(o.Revived) + len(o.Settings)
}

// store makes the changes. Each of them does nothing if it was made before.
func (o *writeOp) store(t *tx) error {
	c, err := t.begun()
	if err != nil {
		return err
	}
	for i := range o.Added {
		j := &o.Added[i]
		if err := insertJob(c, t.classes, j); err != nil {
			return err
		}
		t.next = max(t.next, j.Number+1)
	}
	for _, r := range o.Replaced {
		if _, err := c.exec("UPDATE jobs SET payload = ?, version = ? WHERE number = ?", blob(r.Payload), int64(r.Version), r.Number); err != nil {
			return err
		}
	}
	for _, r := range o.Requeued {
		_, err := c.exec("UPDATE jobs SET state = 'waiting', attempts = ?, failures = ?, holds = ?, losses = ?, retry_at = ?, last_error = ? "+
			"WHERE number = ? AND state = 'claimed'",
			int64(r.Attempts), int64(r.Failures), int64(r.Holds), int64(r.Losses), instant(r.RetryAt), orNull(r.LastError), r.Number)
		if err != nil {
			return err
		}
	}
	for _, number := range o.Ended {
		n, err := c.exec("DELETE FROM jobs WHERE number = ?", number)
		if err != nil {
			return err
		}
		t.deleted += n
	}
	for _, d := range o.Died {
		_, err := c.exec("UPDATE jobs SET state = 'dead', reason = ?, died_at = ? WHERE number = ? AND state <> 'dead'",
			d.Reason, instant(d.At), d.Number)
		if err != nil {
			return err
		}
	}
	for _, number := range o.Revived {
		_, err := c.exec("UPDATE jobs SET state = 'waiting', reason = NULL, died_at = NULL, attempts = 0, failures = 0, holds = 0, "+
			"losses = 0, retry_at = NULL, last_error = NULL WHERE number = ? AND state = 'dead'", number)
		if err != nil {
			return err
		}
	}
	for _, s := range o.Settings {
		if err := storeSetting(c, s); err != nil {
			return err
		}
	}
	return nil
}

func storeSetting(c *conn, s backend.Setting) error {
	if s.Value == nil {
		_, err := c.exec("DELETE FROM settings WHERE name = ?", s.Name)
		return err
	}
	_, err := c.exec("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", s.Name, s.Value)
	return err
}
