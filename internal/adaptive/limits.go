package adaptive

import (
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/pqueue"
	"github.com/freqlimit/dispatcher/internal/table"
)

// Limits holds the limits that were refused, by key and by when each of them is due. The zero
// value holds none, and Refuse must not be called on it.
type Limits struct {
	cfg    Config
	byKey  table.Map[string, *Limit]
	byTime pqueue.Queue[*Limit]
}

// Before implements [pqueue.Element].
func (l *Limit) Before(o *Limit) bool { return l.at < o.at }

// Position implements [pqueue.Element].
func (l *Limit) Position() *int32 { return &l.position }

// New returns an empty set of limits that adapt as cfg says.
func New(cfg Config) Limits { return Limits{cfg: cfg} }

// Len returns the number of limits.
func (ls *Limits) Len() int { return ls.byKey.Len() }

// Get returns the limit with a key, or nil if it is not here.
func (ls *Limits) Get(key string) *Limit {
	l, _ := ls.byKey.Get(key)
	return l
}

// Add adds a limit at factor 1, and returns it. Its key must be new. A call of Refuse must follow:
// the limit is forgotten at once otherwise.
func (ls *Limits) Add(key string, base gcra.FreqLimitParams) *Limit {
	l := &Limit{Key: key, Base: base, factor: 1}
	ls.byKey.Set(key, l)
	ls.byTime.Push(l)
	return l
}

// Refuse takes in a refusal for a limit, and reports whether the limit's params have changed. A
// limit keeps its factor if allowed says that the backend can't keep the new params.
func (ls *Limits) Refuse(l *Limit, r Refusal, allowed func(gcra.FreqLimitParams) bool) (changed bool) {
	old := l.factor
	if l.refuse(r, &ls.cfg) && !allowed(l.Params()) {
		l.factor = old
	}
	ls.byTime.Fix(l)
	return l.factor != old
}

// Next returns when the first limit is due: to raise its factor or to be forgotten. If ok is
// false, there are no limits.
func (ls *Limits) Next() (at int64, ok bool) {
	l := ls.byTime.Top()
	if l == nil {
		return 0, false
	}
	return l.at, true
}

// Recover handles the first limit if it is due by now, and returns it, or nil if none is due. The
// limit's factor has risen, or, if forgotten is true, the limit is gone.
func (ls *Limits) Recover(now int64) (l *Limit, forgotten bool) {
	l = ls.byTime.Top()
	if l == nil || now < l.at {
		return nil, false
	}
	if !l.recover(now, &ls.cfg) {
		ls.byTime.Remove(l)
		ls.byKey.Delete(l.Key)
		return l, true
	}
	ls.byTime.Fix(l)
	return l, false
}
