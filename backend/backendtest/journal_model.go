package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// model is what a journal keeps: the definition of [backend.Changes].
type model struct {
	next     int64
	jobs     map[int64]backend.KeptJob
	dead     map[int64]backend.DeadJob
	settings []backend.Setting
}

func newModel() *model {
	return &model{next: 1, jobs: map[int64]backend.KeptJob{}, dead: map[int64]backend.DeadJob{}}
}

func (m *model) clone() *model {
	return &model{m.next, maps.Clone(m.jobs), maps.Clone(m.dead), slices.Clone(m.settings)}
}

// write makes changes.
func (m *model) write(c *backend.Changes) {
	for _, j := range c.Added {
		m.next = max(m.next, j.Number+1)
		_, dead := m.dead[j.Number]
		if _, kept := m.jobs[j.Number]; kept || dead {
			continue
		}
		m.jobs[j.Number] = j
	}
	for _, r := range c.Replaced {
		if j, ok := m.jobs[r.Number]; ok {
			j.Payload, j.Version = r.Payload, r.Version
			m.jobs[r.Number] = j
		}
		if d, ok := m.dead[r.Number]; ok {
			d.Payload, d.Version = r.Payload, r.Version
			m.dead[r.Number] = d
		}
	}
	for _, r := range c.Requeued {
		if j := m.jobs[r.Number]; j.Claimed {
			j.Claimed, j.Progress = false, r.Progress
			m.jobs[r.Number] = j
		}
	}
	for _, n := range c.Ended {
		delete(m.jobs, n)
		delete(m.dead, n)
	}
	for _, d := range c.Died {
		if j, ok := m.jobs[d.Number]; ok {
			j.Claimed = false
			m.dead[d.Number] = backend.DeadJob{KeptJob: j, Reason: d.Reason, DiedAt: d.At}
			delete(m.jobs, d.Number)
		}
	}
	for _, n := range c.Revived {
		if d, ok := m.dead[n]; ok {
			d.Progress = backend.Progress{}
			m.jobs[n] = d.KeptJob
			delete(m.dead, n)
		}
	}
	for _, s := range c.Settings {
		at := slices.IndexFunc(m.settings, func(o backend.Setting) bool { return o.Name == s.Name })
		switch {
		case s.Value == nil && at >= 0:
			m.settings = slices.Delete(m.settings, at, at+1)
		case s.Value == nil:
		case at >= 0:
			m.settings[at] = s
		default:
			m.settings = append(m.settings, s)
		}
	}
}

// find returns what Find returns.
func (m *model) find(id string) (number int64) {
	for n, j := range m.jobs {
		if j.ID == id {
			number = max(number, n)
		}
	}
	return number
}

// claim claims a job.
func (m *model) claim(number int64) {
	if j, ok := m.jobs[number]; ok {
		j.Claimed = true
		m.jobs[number] = j
	}
}

// readModel walks a journal, and returns an error if it contradicts itself: traps 34 and 37.
func readModel(ctx context.Context, j backend.Journal) (*model, error) {
	r, err := j.Recover(ctx)
	if err != nil {
		return nil, fmt.Errorf("Recover() = %w", err)
	}
	m := newModel()
	m.next, m.settings = r.Next, r.Settings
	ids := map[string]struct{}{}
	for after, page := int64(0), make([]backend.KeptJob, 7); ; {
		n, err := j.Jobs(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("Jobs(%d) = %w", after, err)
		}
		for _, job := range page[:n] {
			if job.Number <= after {
				return nil, fmt.Errorf("method Jobs has job %d after %d", job.Number, after)
			}
			after, m.jobs[job.Number] = job.Number, job
			if job.ID != "" {
				ids[job.ID] = struct{}{}
			}
		}
		if n < len(page) {
			break
		}
	}
	for after, page := int64(0), make([]backend.DeadJob, 5); ; {
		n, err := j.DeadJobs(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("DeadJobs(%d) = %w", after, err)
		}
		for _, d := range page[:n] {
			if d.Number <= after {
				return nil, fmt.Errorf("DeadJobs has job %d after %d", d.Number, after)
			}
			if _, ok := m.jobs[d.Number]; ok {
				return nil, fmt.Errorf("job %d is in Jobs and DeadJobs", d.Number)
			}
			if d.Claimed {
				return nil, fmt.Errorf("dead job %d is claimed", d.Number)
			}
			after, m.dead[d.Number] = d.Number, d
		}
		if n < len(page) {
			break
		}
	}
	for id := range ids {
		n, err := j.Find(ctx, id)
		if err != nil || n != m.find(id) {
			return nil, fmt.Errorf("Find(%q) = %d, %v, want %d", id, n, err, m.find(id))
		}
	}
	if r.Jobs != len(m.jobs) || r.Dead != len(m.dead) {
		return nil, fmt.Errorf("Recover() counts %d jobs and %d dead ones, want %d and %d", r.Jobs, r.Dead, len(m.jobs), len(m.dead))
	}
	return m, m.checkNext()
}

// checkNext returns an error if the next number is one that a job has.
func (m *model) checkNext() error {
	if m.next < 1 {
		return fmt.Errorf("the next number is %d, want at least 1", m.next)
	}
	for n := range m.jobs {
		if n >= m.next {
			return fmt.Errorf("the next number is %d, but there is a job %d", m.next, n)
		}
	}
	return nil
}

// CheckJournal walks all that a journal keeps. It returns an error if the journal contradicts
// itself: jobs out of order or in two places; IDs that can't be found; wrong counts; a next number that was
// used.
func CheckJournal(ctx context.Context, j backend.Journal) error {
	if j == nil {
		return errors.New("backendtest: CheckJournal: the journal is nil: must be given")
	}
	_, err := readModel(ctx, j)
	return err
}

// differsFrom describes the first difference to what is wanted, or returns "".
func (m *model) differsFrom(want *model) string {
	if m.next != want.next {
		return fmt.Sprintf("Next = %d, want %d", m.next, want.next)
	}
	for _, n := range slices.Sorted(maps.Keys(want.jobs)) {
		if got, ok := m.jobs[n]; !ok {
			return fmt.Sprintf("job %d is not there: %s", n, brief(want.jobs[n]))
		} else if !sameJob(got, want.jobs[n]) {
			return fmt.Sprintf("job %d = %s, want %s", n, brief(got), brief(want.jobs[n]))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(want.dead)) {
		got, ok := m.dead[n]
		w := want.dead[n]
		if !ok || !sameJob(got.KeptJob, w.KeptJob) || got.Reason != w.Reason || !got.DiedAt.Equal(w.DiedAt) {
			return fmt.Sprintf("dead job %d = %s, want %s", n, brief(got), brief(w))
		}
	}
	if len(m.jobs) != len(want.jobs) || len(m.dead) != len(want.dead) {
		return fmt.Sprintf("there are %d jobs and %d dead ones, want %d and %d", len(m.jobs), len(m.dead), len(want.jobs), len(want.dead))
	}
	// A nil Value would delete the setting.
	same := func(a, b backend.Setting) bool {
		return a.Name == b.Name && a.Value != nil && bytes.Equal(a.Value, b.Value)
	}
	if !slices.EqualFunc(m.settings, want.settings, same) {
		return fmt.Sprintf("Settings = %s, want %s", brief(m.settings), brief(want.settings))
	}
	return ""
}

// brief describes a value in at most 500 bytes.
func brief(v any) string {
	s := fmt.Sprintf("%+v", v)
	return s[:min(len(s), 500)]
}

// sameJob compares jobs as a dispatcher sees them. Nil limits and no limits differ. Nil payloads and
// Meta are the same as empty ones.
func sameJob(a, b backend.KeptJob) bool {
	for _, j := range []*backend.KeptJob{&a, &b} {
		j.Payload = append([]byte{}, j.Payload...)
		if len(j.Meta) == 0 {
			j.Meta = nil
		}
		for _, t := range []*time.Time{&j.Submitted, &j.NotBefore, &j.Deadline, &j.RetryAt} {
			if !t.IsZero() {
				*t = t.UTC().Round(0)
			}
		}
	}
	return reflect.DeepEqual(a, b)
}
