package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// noLimits is the class of jobs that have no limits. It has no rows.
const noLimits = 0

// classes are the lists of limits that jobs have, each stored once. A limit whose key ends with
// the key of the job is stored as what comes before, so that the limits of a hundred thousand
// chats are one class.
//
// Readers use byID only. The rest belongs to the writer.
type classes struct {
	byID   sync.Map // int64 to []classLimit
	byText map[string]int64
	last   int64    // the highest number of a class
	added  []string // in this transaction
	swept  int      // how many there were after the last sweep
}

// classLimit is a limit of a class.
type classLimit struct {
	backend.Limit      // Key is what comes before the key of the job, if plusKey
	plusKey       bool // the key of the job follows
}

// sweepFrom is how many classes there may be, beyond twice those of the last sweep, before the
// next one.
var sweepFrom = 10_000

// load reads all classes.
func (cs *classes) load(c *conn) error {
	all := map[int64][]classLimit{}
	err := c.query(func(row []driver.Value) error {
		id := row[0].(int64)
		all[id] = append(all[id], classLimit{
			Limit: backend.Limit{
				Key:    row[1].(string),
				Params: gcra.FreqLimitParams{Limit: int(row[3].(int64)), Period: time.Duration(row[4].(int64)), Burst: int(row[5].(int64))},
				Cost:   int(row[6].(int64)),
			},
			plusKey: row[2] != int64(0),
		})
		return nil
	}, "SELECT class, key, plus_key, events, period, burst, cost FROM class_limits ORDER BY class, position")
	if err != nil {
		return err
	}
	cs.byID.Clear()
	cs.byText, cs.added, cs.swept = make(map[string]int64, len(all)), nil, len(all)
	for id, limits := range all {
		cs.byID.Store(id, limits)
		cs.byText[text(limits)] = id
		cs.last = max(cs.last, id)
	}
	return nil
}

// of returns the class of a job's limits, as a value of the column. It stores a new one.
func (cs *classes) of(c *conn, key string, limits []backend.Limit) (any, error) {
	switch {
	case limits == nil:
		return nil, nil
	case len(limits) == 0:
		return int64(noLimits), nil
	}
	class := make([]classLimit, len(limits))
	for i, l := range limits {
		class[i] = classLimit{Limit: l}
		if key != "" && strings.HasSuffix(l.Key, key) {
			class[i].Key, class[i].plusKey = strings.TrimSuffix(l.Key, key), true
		}
	}
	name := text(class)
	if id, ok := cs.byText[name]; ok {
		return id, nil
	}
	id := cs.last + 1
	for i, l := range class {
		_, err := c.exec("INSERT INTO class_limits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", id, int64(i), l.Key, integer(l.plusKey),
			int64(l.Params.Limit), int64(l.Params.Period), int64(l.Params.Burst), int64(l.Cost))
		if err != nil {
			return nil, err
		}
	}
	cs.byID.Store(id, class)
	cs.byText[name], cs.last = id, id
	cs.added = append(cs.added, name)
	return id, nil
}

// forget drops the classes added since there were n of them: their transaction was rolled back.
func (cs *classes) forget(n int) {
	for _, name := range cs.added[n:] {
		cs.byID.Delete(cs.byText[name])
		delete(cs.byText, name)
	}
	cs.added = cs.added[:n]
}

// limits returns the limits of a job.
func (cs *classes) limits(id int64, key string) ([]backend.Limit, error) {
	if id == noLimits {
		return []backend.Limit{}, nil
	}
	v, ok := cs.byID.Load(id)
	if !ok {
		return nil, fmt.Errorf("sqlite: class %d has no limits in table class_limits", id)
	}
	class := v.([]classLimit)
	limits := make([]backend.Limit, len(class))
	for i, l := range class {
		limits[i] = l.Limit
		if l.plusKey {
			limits[i].Key += key
		}
	}
	return limits, nil
}

// due reports whether there are so many more classes than after the last sweep that it is time
// for one.
func (cs *classes) due() bool { return len(cs.byText) >= 2*cs.swept+sweepFrom }

// sweep deletes the classes that no job has. It looks at all jobs. Nobody may read jobs meanwhile.
func (cs *classes) sweep(c *conn) error {
	_, err := c.exec("DELETE FROM class_limits WHERE class NOT IN (SELECT class FROM jobs WHERE class IS NOT NULL)")
	if err != nil {
		return err
	}
	return cs.load(c)
}

// text returns a string that is the same for equal classes only.
func text(class []classLimit) string {
	var b []byte
	for _, l := range class {
		b = binary.AppendVarint(b, int64(len(l.Key)))
		b = append(b, l.Key...)
		for _, n := range []int64{integer(l.plusKey), int64(l.Params.Limit), int64(l.Params.Period), int64(l.Params.Burst), int64(l.Cost)} {
			b = binary.AppendVarint(b, n)
		}
	}
	return string(b)
}

func integer(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
