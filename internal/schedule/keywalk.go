package schedule

import "github.com/freqlimit/dispatcher/internal/table"

// keyWalk visits all keys and their lanes, one at a time, while keys and lanes come and go. It
// visits every one that is there from its beginning to its end.
type keyWalk struct {
	keys *table.Walk[string, *keyState]
	few  []*lane                 // of the key that it is at, if they are few
	many *table.Walk[int, *lane] // of the key that it is at, if they are many; else nil
}

// walkKeys begins a walk.
func (s *Scheduler) walkKeys() keyWalk { return keyWalk{keys: s.keys.Walk()} }

// next returns a key without a lane, or a lane of the latest key. It returns false at the end.
func (r *keyWalk) next() (k *keyState, l *lane, ok bool) {
	if last := len(r.few) - 1; last >= 0 {
		l, r.few[last] = r.few[last], nil
		r.few = r.few[:last]
		return nil, l, true
	}
	if r.many != nil {
		if l, ok = r.many.Next(); ok {
			return nil, l, true
		}
		r.many = nil
	}
	if k, ok = r.keys.Next(); !ok {
		return nil, nil, false
	}
	l = k.lane
	if l == nil {
		return k, nil, true
	}
	switch f := l.keyLanes(); {
	case f == nil:
		r.few = append(r.few, l)
	case f.few != nil:
		r.few = append(r.few, f.few...)
	default:
		r.many = f.many.Walk()
	}
	return k, nil, true
}
