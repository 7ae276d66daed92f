package dispatcher

// A job has its ID from its submission to its end. With ReplacePayload several jobs may have one ID: the
// latest is in Dispatcher.ids, and each knows its neighbors. Engine.mu guards all of this.

// sameID looks for another job with the ID of e. If there is one, sameID returns an error, or replaces
// its payload and returns it. It requires that the engine is locked.
func (d *Dispatcher[T]) sameID(e *entry[T]) (waiting *entry[T], err error) {
	o := e.options()
	old, _ := d.ids.Get(o.id)
	switch {
	case old == nil, o.onDuplicate == ReplacePayload && (old.extra.running || old.extra.canceled):
		return nil, nil
	case o.onDuplicate == RejectDuplicate:
		return nil, &DuplicateError{ID: o.id}
	}
	old.payload = e.payload
	if h := e.extra.handle; h != nil && old.extra.handle == nil {
		old.extra.handle, h.entry = h, old
	}
	d.replaced++
	return old, nil
}

// claimID makes a job that was accepted the latest with its ID. It requires that the engine is locked.
func (d *Dispatcher[T]) claimID(e *entry[T]) {
	id := e.options().id
	if old, ok := d.ids.Get(id); ok {
		e.extra.behind, old.extra.ahead = old, e
	}
	d.ids.Set(id, e)
}

// freeID removes a job that ends from the list of jobs with its ID. The latest of them is in ids, and
// each has its neighbors. It requires that the engine is locked.
func (d *Dispatcher[T]) freeID(e *entry[T]) {
	id, x := e.options().id, e.extra
	switch {
	case x.ahead != nil:
		x.ahead.extra.behind = x.behind
	case !d.isLatest(id, e):
		return // it was removed before
	case x.behind != nil:
		d.ids.Set(id, x.behind)
	default:
		d.ids.Delete(id)
	}
	if x.behind != nil {
		x.behind.extra.ahead = x.ahead
	}
	x.ahead, x.behind = nil, nil
}

// isLatest reports whether a job is the latest with its ID.
func (d *Dispatcher[T]) isLatest(id string, e *entry[T]) bool {
	latest, _ := d.ids.Get(id)
	return latest == e
}
