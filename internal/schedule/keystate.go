package schedule

// keyState is all that the scheduler has for one key. The lanes of the key and the limit
// with that key share it, because most limits have the key of their jobs.
type keyState struct {
	key   string
	lane  *lane  // one of them; nil: none
	limit *limit // nil: none
}

// keyStateOf returns the state of a key. If there is none it makes one: then the caller
// gives it a lane or a limit.
func (s *Scheduler) keyStateOf(key string) *keyState {
	if k := s.recent; k != nil && k.key == key {
		return k
	}
	k, ok := s.keys.Get(key)
	if !ok {
		k = &keyState{key: key}
		s.keys.Set(key, k)
	}
	s.recent = k
	return k
}

// lookUp returns the state of a key, an empty one if there is none.
func (s *Scheduler) lookUp(key string) *keyState {
	if k, ok := s.keys.Get(key); ok {
		return k
	}
	return &noKey
}

var noKey keyState

// dropKeyState forgets a key that has no lane and no limit.
func (s *Scheduler) dropKeyState(k *keyState) {
	if k.lane != nil || k.limit != nil {
		return
	}
	if s.recent == k {
		s.recent = nil
	}
	s.keys.Delete(k.key)
}
