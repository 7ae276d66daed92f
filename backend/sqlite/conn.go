package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// busyTimeout is how long a write waits for another program that writes to the file, such as a
// sqlite3 shell.
const busyTimeout = 10 * time.Second

// conn is a connection to a file, with its statements. It uses the driver without
// database/sql, which would take as much time as SQLite itself. A conn is used by one goroutine
// at a time.
type conn struct {
	driver.Conn
	stmts map[string]driver.Stmt // prepared, by their text
	args  []driver.NamedValue    // scratch
}

// dial opens a file. params are parameters of the URI, as in "mode=ro".
func dial(path string, params ...string) (*conn, error) {
	params = append(params, fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()))
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // of a Windows drive: path is absolute
	}
	uri := url.URL{Scheme: "file", Path: name, RawQuery: strings.Join(params, "&")}
	c, err := sqlite.NewConnector(uri.String())
	if err != nil {
		return nil, err
	}
	dc, err := c.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{Conn: dc, stmts: make(map[string]driver.Stmt)}, nil
}

// Close closes the statements and the connection.
func (c *conn) Close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.Conn.Close())...)
}

// prepare returns a statement, prepared once, and its arguments.
func (c *conn) prepare(query string, args []any) (driver.Stmt, []driver.NamedValue, error) {
	s := c.stmts[query]
	if s == nil {
		var err error
		if s, err = c.Prepare(query); err != nil {
			return nil, nil, err
		}
		c.stmts[query] = s
	}
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s, c.args, nil
}

// exec runs a statement with arguments of the driver's types: nil, int64, float64, string and
// []byte. It returns how many rows have changed.
func (c *conn) exec(query string, args ...any) (changed int64, err error) {
	s, named, err := c.prepare(query, args)
	if err != nil {
		return 0, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), named)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query runs a statement and calls f with each row. f must not keep row, but may keep its
// strings and byte slices.
func (c *conn) query(f func(row []driver.Value) error, query string, args ...any) (err error) {
	s, named, err := c.prepare(query, args)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), named)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
}

// value returns the only value of the first row, or nil.
func (c *conn) value(query string, args ...any) (v any, err error) {
	err = c.query(func(row []driver.Value) error {
		v = row[0]
		return nil
	}, query, args...)
	return v, err
}

// number returns the only value of the first row, which is an integer, or 0.
func (c *conn) number(query string, args ...any) (int64, error) {
	v, err := c.value(query, args...)
	n, _ := v.(int64)
	return n, err
}

// script runs several statements that return nothing, once.
func (c *conn) script(text string) error {
	_, err := c.Conn.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}
