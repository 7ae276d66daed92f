package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freqlimit/dispatcher/backend"
)

// jobColumns are those of a job that may run, in the order of insertJob and readJob.
const jobColumns = "number, state, key, priority, class, id, submitted, not_before, deadline, timeout, retry, meta, version, " +
	"attempts, failures, holds, losses, retry_at, last_error, payload"

const (
	waiting = "waiting"
	claimed = "claimed"
	// A dead job is 'dead'. Claiming a job changes one page of its row, however large its payload
	// is: SQLite writes a row of the same size in place.
)

// insertJob adds a job that waits. A job with that number stays as it is.
func insertJob(c *conn, cs *classes, j *backend.KeptJob) error {
	if j.Number < 1 {
		return fmt.Errorf("sqlite: job number %d: must be at least 1", j.Number)
	}
	class, err := cs.of(c, j.Key, j.Limits)
	if err != nil {
		return err
	}
	retry, err := encodeRetry(j.Retry)
	if err != nil {
		return fmt.Errorf("sqlite: retry policy of job %d: %w", j.Number, err)
	}
	_, err = c.exec("INSERT INTO jobs ("+jobColumns+") VALUES (?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "+
		"ON CONFLICT (number) DO NOTHING",
		j.Number, j.Key, int64(j.Priority), class, orNull(j.ID), instant(j.Submitted), instant(j.NotBefore), instant(j.Deadline),
		orNull(int64(j.Timeout)), retry, encodeMeta(j.Meta), int64(j.Version),
		int64(j.Attempts), int64(j.Failures), int64(j.Holds), int64(j.Losses), instant(j.RetryAt), orNull(j.LastError), blob(j.Payload))
	return err
}

// readJob is the opposite of insertJob.
func readJob(row []driver.Value, cs *classes) (j backend.KeptJob, err error) {
	j.Number = row[0].(int64)
	j.Claimed = row[1] == claimed
	j.Key = row[2].(string)
	j.Priority = int(row[3].(int64))
	if class, ok := row[4].(int64); ok {
		if j.Limits, err = cs.limits(class, j.Key); err != nil {
			return j, err
		}
	}
	j.ID, _ = row[5].(string)
	j.Submitted, j.NotBefore, j.Deadline = timeOf(row[6]), timeOf(row[7]), timeOf(row[8])
	timeout, _ := row[9].(int64)
	j.Timeout = time.Duration(timeout)
	if j.Retry, err = decodeRetry(row[10]); err != nil {
		return j, fmt.Errorf("sqlite: retry of job %d: %w", j.Number, err)
	}
	if j.Meta, err = decodeMeta(row[11]); err != nil {
		return j, fmt.Errorf("sqlite: meta of job %d: %w", j.Number, err)
	}
	j.Version = int(row[12].(int64))
	j.Attempts, j.Failures = int(row[13].(int64)), int(row[14].(int64))
	j.Holds, j.Losses = int(row[15].(int64)), int(row[16].(int64))
	j.RetryAt = timeOf(row[17])
	j.LastError, _ = row[18].(string)
	j.Payload = bytesOf(row[19])
	return j, nil
}

// instant is a time as a value of a column. The zero time is NULL. Times beyond the years 1678
// to 2262 are cut to these.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

func nanos(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1678:
		return math.MinInt64
	case year > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func timeOf(v driver.Value) time.Time {
	if n, ok := v.(int64); ok {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// orNull returns NULL for the zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

// blob is a byte slice as a value of a column: nil is NULL, and an empty one is not.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func bytesOf(v driver.Value) []byte {
	switch v := v.(type) {
	case []byte:
		if v == nil {
			return []byte{}
		}
		return v
	case string: // somebody has edited it in the sqlite3 shell
		return []byte(v)
	}
	return nil
}

func encodeRetry(r *backend.KeptRetry) (any, error) {
	if r == nil {
		return nil, nil
	}
	b, err := json.Marshal(r)
	return string(b), err
}

func decodeRetry(v driver.Value) (*backend.KeptRetry, error) {
	s, ok := v.(string)
	if !ok {
		return nil, nil
	}
	r := new(backend.KeptRetry)
	return r, json.Unmarshal([]byte(s), r)
}

// encodeMeta returns a JSON object of strings. JSON can't hold strings that are not UTF-8: with
// one of these it is an array of names and values in base64.
func encodeMeta(m map[string]string) any {
	if m == nil {
		return nil
	}
	var pairs [][]byte
	fine := true
	for name, value := range m {
		pairs = append(pairs, []byte(name), []byte(value))
		fine = fine && utf8.ValidString(name) && utf8.ValidString(value)
	}
	var b []byte
	if fine {
		b, _ = json.Marshal(m) // can't fail
	} else {
		b, _ = json.Marshal(pairs)
	}
	return string(b)
}

func decodeMeta(v driver.Value) (map[string]string, error) {
	s, ok := v.(string)
	if !ok {
		return nil, nil
	}
	m := map[string]string{}
	if !strings.HasPrefix(s, "[") {
		return m, json.Unmarshal([]byte(s), &m)
	}
	var pairs [][]byte
	if err := json.Unmarshal([]byte(s), &pairs); err != nil || len(pairs)%2 != 0 {
		return nil, fmt.Errorf("%.100q is no list of names and values: %w", s, err)
	}
	for i := 0; i < len(pairs); i += 2 {
		m[string(pairs[i])] = string(pairs[i+1])
	}
	return m, nil
}
