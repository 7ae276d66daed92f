package dispatcher

// dropFresh drops jobs that are not with the scheduler.
func (l *loop[T]) dropFresh(fresh [][]submission[T]) {
	for _, block := range fresh {
		for i := range block {
			s := &block[i]
			l.drop(s.entry, l.jobBefore(s), Dropped, l.stopped(s.entry))
		}
	}
}

// jobBefore is jobOf for a job that is not with the scheduler.
func (l *loop[T]) jobBefore(s *submission[T]) Job[T] {
	if s.entry.hasID() {
		l.mu.Lock()
		s.entry.extra.ended = true
		l.freeID(s.entry)
		l.mu.Unlock()
	}
	return Job[T]{
		Key:       s.key,
		Payload:   s.entry.payload,
		Limits:    append([]Limit{}, l.brought(s)...),
		Priority:  s.priority,
		Options:   s.entry.options(),
		epoch:     l.epoch,
		submitted: s.entry.submitted(),
		slot:      noSlot,
	}
}

// drop ends a job that waits without running it.
func (l *loop[T]) drop(e *entry[T], j Job[T], o Outcome, why error) {
	e.at(stageNew)
	l.leave(1)
	r := &Result[T]{Job: j, Outcome: o, Err: why}
	l.resolve(e, r)
	l.reportSoon(e, r)
	if e.extra != nil {
		// The scheduler or a handle may hold on to it for a while.
		var none T
		e.payload = none
	}
}
