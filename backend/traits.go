package backend

import "context"

// Traits say what a [Backend] can do beyond its own methods, and how it answers. The zero
// value is a remote backend with no optional ability.
//
// A backend that has an ability puts itself into the field:
//
//	func (b *MyBackend) Traits() backend.Traits {
//		return backend.Traits{Releaser: b, Watcher: b}
//	}
//
// The abilities are values because of wrappers. A type that embeds a Backend has only the
// methods of Backend, so a type assertion finds no ability. But its Traits method is promoted
// from the embedded Backend and still names them. So a wrapper keeps all abilities unless it
// has a Traits method of its own.
//
// A wrapper that changes keys, costs, params or tokens on their way to Reserve must have such a
// Traits method: it changes them in Release, Check, Watch and Shard in the same way, or leaves
// these abilities out. Otherwise the wrapped backend gets the unchanged values there, and gives
// back charges of other limits.
//
// A wrapper that overrides or adds an ability names itself in its Traits too. [TraitsOf]
// finds the method in any case, but a further wrapper around it finds only what Traits
// names. A wrapper that takes an ability away embeds the interface Backend, not a concrete
// type, whose methods would be promoted. One that makes an in-process backend slow says so in
// its Traits.
type Traits struct {
	// InProcess says that all methods return at once, without a network and without
	// waiting for more than a mutex. A dispatcher asks such a backend for one job at a
	// time, in the goroutine that schedules, so that the order of starts is exact. It
	// asks other backends for batches, from other goroutines.
	InProcess bool

	Releaser Releaser // nil: the backend can't take slots back
	Checker  Checker  // nil: the backend can keep every limit that Validate accepts
	Watcher  Watcher  // nil: the backend doesn't report changes
	Sharder  Sharder  // nil: the backend is one server, or fails as one
	Journal  Journal  // nil: the backend keeps no jobs
}

// TraitsOf returns b.Traits(), with b itself as each ability that b implements. To
// use a backend, call TraitsOf rather than b.Traits: the Release of a wrapper then comes
// before the Release of the embedded Backend.
func TraitsOf(b Backend) Traits {
	t := b.Traits()
	if r, ok := b.(Releaser); ok {
		t.Releaser = r
	}
	if c, ok := b.(Checker); ok {
		t.Checker = c
	}
	if w, ok := b.(Watcher); ok {
		t.Watcher = w
	}
	if s, ok := b.(Sharder); ok {
		t.Sharder = s
	}
	if j, ok := b.(Journal); ok {
		t.Journal = j
	}
	return t
}

// Check returns nil if a request may have these limits: what the Checker says, or
// [Validate] if there is none.
func (t Traits) Check(limits []Limit) error {
	if t.Checker != nil {
		return t.Checker.Check(limits)
	}
	return Validate(limits)
}

// Releaser is an optional ability of a [Backend]: it takes slots back.
type Releaser interface {
	// Release gives back an unused slot that Reserve granted for these limits; token is
	// [Decision.Token]. Each limit takes it back independently, and is then as if it had
	// never been charged for it, whatever it granted or took back since, in any order.
	// [gcra.Ledger] does that.
	//
	// A limit does not open before a slot that is still held, so no slot is given out
	// twice. If later slots are held, a slot given back is of no use until they are given
	// back too, or have passed: at Burst 1 it leaves a hole of one interval.
	//
	// Release does nothing to a limit that has forgotten the charge. A limit may forget
	// charges made before its interval changed, before Clear, or before it had no debt;
	// charges whose slots came more than [gcra.Recall] before later charges; and the oldest
	// of more than 33 at irregular instants, not equal and not evenly spaced.
	//
	// Slots of one cost at one instant can't be told apart. So release a slot only once:
	// a second call may give back the slot of another job.
	Release(ctx context.Context, limits []Limit, token int64) error
}

// Checker is an optional ability of a [Backend] that can't keep every limit that
// [Validate] accepts.
type Checker interface {
	// Check returns nil if a request may have these limits, else the error that
	// Reserve would put into [Decision.Err]. It includes Validate. It is quick and does
	// not use the network.
	Check(limits []Limit) error
}

// Sharder is an optional ability of a [Backend] that keeps its keys on several servers, each
// of which may be slow or unavailable on its own. A dispatcher asks each server separately,
// so that jobs under the limits of one don't wait for another.
type Sharder interface {
	// Shard names the server that keeps a key, as far as the backend knows. The answer may
	// change, and is "" until the backend knows it. The limits of one request are all on
	// one server. Shard is quick and does not use the network.
	Shard(key string) string
}
