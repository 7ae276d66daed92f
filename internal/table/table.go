// Package table has a map that gives back the memory of entries that have left.
package table

import (
	"iter"
	"reflect"
)

// Map is a map that shrinks. A Go map keeps the memory of the most entries that it ever
// held; a Map moves to a smaller one when few of them are left. It does so a few entries at
// a time, so that no call takes long.
//
// The zero value is an empty map, ready to use. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	now    map[K]V // where new entries go
	old    map[K]V // what is being left; nil if there is none
	peak   int     // the most entries that now has held
	left   int     // the most that old has held
	walked int     // walks that have not ended: entries stay where they are
}

const (
	// A map is left when it holds less than a shrinkBy'th of its peak, unless that was
	// below shrinkFrom.
	shrinkBy   = 8
	shrinkFrom = 1024

	// moveAtOnce is how many entries each call moves. The old map is empty before the new one
	// can have grown to shrinkBy times its size.
	moveAtOnce = 8
)

// Make returns a map with room for n entries.
func Make[K comparable, V any](n int) Map[K, V] { return Map[K, V]{now: make(map[K]V, n)} }

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return len(m.now) + len(m.old) }

// Room returns how many entries the map has had room for. Its memory depends on that.
func (m *Map[K, V]) Room() int { return m.peak + m.left }

// Get returns the value of a key, and reports whether there is one.
func (m *Map[K, V]) Get(key K) (V, bool) {
	v, ok := m.now[key]
	if !ok && m.old != nil {
		v, ok = m.old[key]
	}
	return v, ok
}

// Has reports whether there is a value of a key.
func (m *Map[K, V]) Has(key K) bool {
	_, ok := m.Get(key)
	return ok
}

// Set gives a key a value.
func (m *Map[K, V]) Set(key K, v V) {
	if m.old != nil {
		if _, ok := m.old[key]; ok && m.walked > 0 {
			m.old[key] = v
			return
		}
		delete(m.old, key)
		m.move()
	}
	if m.now == nil {
		m.now = make(map[K]V)
	}
	m.now[key] = v
	m.peak = max(m.peak, len(m.now))
}

// Delete removes the entry of a key, if there is one.
func (m *Map[K, V]) Delete(key K) {
	delete(m.now, key)
	if m.old != nil || m.peak >= shrinkFrom {
		m.shrink(key)
	}
}

// shrink removes the entry of a key from the old map, or leaves the map if few entries are
// left.
func (m *Map[K, V]) shrink(key K) {
	switch {
	case m.old != nil:
		delete(m.old, key)
		m.move()
	case len(m.now) < m.peak/shrinkBy && m.walked == 0:
		m.now, m.old = nil, m.now
		m.peak, m.left = 0, m.peak
		m.move()
	}
}

// move moves a few entries.
func (m *Map[K, V]) move() {
	if m.walked > 0 {
		return
	}
	left := moveAtOnce
	for key, v := range m.old {
		if left--; left < 0 {
			return
		}
		if m.now == nil {
			m.now = make(map[K]V)
		}
		m.now[key] = v
		delete(m.old, key)
	}
	m.peak = max(m.peak, len(m.now))
	m.old, m.left = nil, 0
}

// All goes through all entries, in no particular order. Entries may come and go meanwhile, as
// in a range over a map.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		m.walked++
		defer func() { m.walked-- }()
		for _, entries := range [...]map[K]V{m.old, m.now} {
			for key, v := range entries {
				if !yield(key, v) {
					return
				}
			}
		}
	}
}

// Walk is a range over a [Map] that can be interrupted. An entry that is there from the
// beginning of the walk to its end is visited once; one that comes or goes meanwhile, once or
// not at all.
type Walk[K comparable, V any] struct {
	m    *Map[K, V]
	maps [2]map[K]V
	at   *reflect.MapIter // nil at the end
	next int              // of maps
}

// Walk begins a walk. While it lasts the map does not shrink; a caller that does not go to its end
// calls [Walk.Stop].
func (m *Map[K, V]) Walk() *Walk[K, V] {
	m.walked++
	w := &Walk[K, V]{m: m, maps: [...]map[K]V{m.old, m.now}}
	w.enter()
	return w
}

// enter goes to the next map.
func (w *Walk[K, V]) enter() {
	w.at = reflect.ValueOf(w.maps[w.next]).MapRange()
	w.next++
}

// Next returns the next value, or false at the end.
func (w *Walk[K, V]) Next() (v V, ok bool) {
	for w.at != nil {
		if w.at.Next() {
			return w.at.Value().Interface().(V), true
		}
		if w.next < len(w.maps) {
			w.enter()
		} else {
			w.Stop()
		}
	}
	return v, false
}

// Stop ends the walk. To end it twice does nothing.
func (w *Walk[K, V]) Stop() {
	if w.at != nil {
		w.at, w.maps = nil, [2]map[K]V{}
		w.m.walked--
	}
}
