package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/freqlimit/dispatcher/backend"
)

// Recover implements [backend.Journal].
func (b *Backend) Recover(ctx context.Context) (backend.Recovered, error) {
	var r backend.Recovered
	err := b.read(ctx, func(c *conn) (err error) {
		if r.Next, err = c.number("SELECT max((SELECT next_number FROM journal), 1 + ifnull((SELECT max(number) FROM jobs), 0))"); err != nil {
			return err
		}
		dead, err := c.number("SELECT count(*) FROM jobs WHERE state = 'dead'")
		if err != nil {
			return err
		}
		all, err := c.number("SELECT count(*) FROM jobs")
		if err != nil {
			return err
		}
		r.Jobs, r.Dead = int(all-dead), int(dead)
		return c.query(func(row []driver.Value) error {
			r.Settings = append(r.Settings, backend.Setting{Name: row[0].(string), Value: bytesOf(row[1])})
			return nil
		}, "SELECT name, value FROM settings ORDER BY position")
	})
	return r, err
}

// Jobs implements [backend.Journal].
func (b *Backend) Jobs(ctx context.Context, after int64, jobs []backend.KeptJob) (n int, err error) {
	err = b.read(ctx, func(c *conn) error {
		return c.query(func(row []driver.Value) (err error) {
			jobs[n], err = readJob(row, &b.classes)
			n++
			return err
		}, "SELECT "+jobColumns+" FROM jobs WHERE number > ? AND state <> 'dead' ORDER BY number LIMIT ?", after, int64(len(jobs)))
	})
	return n, err
}

// Find implements [backend.Journal].
func (b *Backend) Find(ctx context.Context, id string) (number int64, err error) {
	if id == "" {
		return 0, nil
	}
	err = b.read(ctx, func(c *conn) error {
		number, err = c.number("SELECT ifnull(max(number), 0) FROM jobs WHERE id = ? AND state <> 'dead'", id)
		return err
	})
	return number, err
}

// DeadJobs implements [backend.Journal].
func (b *Backend) DeadJobs(ctx context.Context, after int64, jobs []backend.DeadJob) (n int, err error) {
	err = b.read(ctx, func(c *conn) error {
		return c.query(func(row []driver.Value) (err error) {
			d := &jobs[n]
			if d.KeptJob, err = readJob(row, &b.classes); err != nil {
				return err
			}
			d.Reason, _ = row[20].(string)
			d.DiedAt = timeOf(row[21])
			n++
			return nil
		}, "SELECT "+jobColumns+", reason, died_at FROM jobs WHERE number > ? AND state = 'dead' ORDER BY number LIMIT ?", after, int64(len(jobs)))
	})
	return n, err
}

// read calls f with the connection for reading, in one transaction: what f reads is as it was
// at one moment. Writes go on meanwhile.
func (b *Backend) read(ctx context.Context, f func(c *conn) error) (err error) {
	if err := enter(ctx); err != nil {
		return err
	}
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.reader == nil {
		return ErrClosed
	}
	if _, err := b.reader.exec("BEGIN"); err != nil {
		return wrap(b.path, err)
	}
	err = f(b.reader)
	if _, end := b.reader.exec("ROLLBACK"); err == nil {
		err = end
	}
	return wrap(b.path, err)
}
