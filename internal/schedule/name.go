package schedule

// name is what there is of one key. It is a lane's and a limit's name alike, since
// most limits are those of the key of their jobs.
type name struct {
	key   string
	lane  *lane  // one of them; nil: none
	limit *limit // nil: none
}

// nameOf returns the name of a key, a new one if need be: who calls it puts a lane or
// a limit there.
func (s *Scheduler) nameOf(key string) *name {
	if n := s.recent; n != nil && n.key == key {
		return n
	}
	n, ok := s.names.Get(key)
	if !ok {
		n = &name{key: key}
		s.names.Set(key, n)
	}
	s.recent = n
	return n
}

// lookUp returns what there is of a key, at least an empty name.
func (s *Scheduler) lookUp(key string) *name {
	if n, ok := s.names.Get(key); ok {
		return n
	}
	return &nobody
}

var nobody name

// dropName forgets a name without lanes and limit.
func (s *Scheduler) dropName(n *name) {
	if n.lane != nil || n.limit != nil {
		return
	}
	if s.recent == n {
		s.recent = nil
	}
	s.names.Delete(n.key)
}
