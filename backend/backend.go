// Package backend says what keeps the rate limits of a dispatcher: the
// [Backend] interface, what is asked of it ([Request]) and what it answers
// ([Decision]).
//
// A backend holds one [gcra.State] for each key, or a [gcra.Ledger] if it takes
// slots back. It decides; whoever asks only
// waits until the slot that it was granted. Package memory implements it for one
// process. To write another, implement the three methods and run the conformance
// suite of package backendtest on it.
package backend

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// Unlimited is a horizon that does not refuse: the request is granted at the
// first slot that its limits have, if that is within 100 years.
const Unlimited = gcra.MaxSpan

// Backend keeps limits. It is safe for concurrent use.
//
// A key that the backend does not know is a key without debt. A backend may
// forget a key only when it has no debt and is not held, for then the two
// are the same.
type Backend interface {
	// Reserve decides requests in their order, and writes the decision on
	// reqs[i] to decisions[i]; decisions must be at least as long as reqs.
	//
	// Each request is atomic: its slot is the earliest instant, not before the
	// backend's now and NotBefore, at which all of its limits are open and no key of
	// HeldBy is held. If the slot is at most Horizon ahead of now, every limit is
	// charged at that slot; else none is. A request with no limits is granted now,
	// whatever HeldBy says. Requests see the charges of those before them; others may
	// come in between.
	//
	// A request that can never be granted gets a Decision with Err, and the
	// rest of the batch is decided. The error that Reserve returns means that
	// the batch was not decided: nothing may start on it. Then a charge may
	// have been made (an answer was lost), so a limit may have lost a slot, but
	// never gained one.
	//
	// The clock is the backend's own. It does not keep reqs or decisions.
	Reserve(ctx context.Context, reqs []Request, decisions []Decision) error

	// Hold closes a key for d from now by the backend's clock, whatever its
	// params: no slot before then is granted from here on. A hold only
	// extends: one that ends before the key's present one changes nothing, nor
	// does a d of zero or less. Slots already granted stay. A d over
	// [Unlimited] counts as Unlimited.
	Hold(ctx context.Context, key string, d time.Duration) error

	// Clear forgets every key: its debt and its hold.
	Clear(ctx context.Context) error
}

// Releaser is an optional ability of a [Backend].
type Releaser interface {
	// Release gives back a slot that Reserve granted for these limits and that
	// nobody used; stamp is [Decision.Stamp]. Each limit takes it back by itself,
	// and is then as if it had never been charged for it, whatever was granted or
	// given back since, and in whatever order. [gcra.Ledger] does that.
	//
	// A limit does not open before a slot that somebody still holds, so no slot is
	// given out twice. A slot given back between two others is of use only once the
	// later ones are given back too: at Burst 1 it leaves a hole of one interval.
	//
	// A limit keeps a charge that it does not remember. It may forget those made
	// before its interval changed, before Clear, or before it had no debt; those
	// whose slots came more than [gcra.Recall] before later charges; and the oldest
	// of more than 33 at odd instants, neither at one nor evenly spaced.
	//
	// Slots of one cost at one instant are all the same, so the caller releases a
	// slot once: to do so again may give back that of another.
	Release(ctx context.Context, limits []Limit, stamp int64) error
}

// Checker is an optional ability of a [Backend] that can't keep every limit that
// [Validate] lets pass.
type Checker interface {
	// Check returns nil if a request may have these limits, else an error as
	// Reserve gives in [Decision.Err]. It calls Validate, and asks nobody: it is
	// quick.
	Check(limits []Limit) error
}

// Check returns what the backend's Check says if it is a [Checker], else what
// Validate says.
func Check(b Backend, limits []Limit) error {
	if c, ok := b.(Checker); ok {
		return c.Check(limits)
	}
	return Validate(limits)
}

// Request asks for one slot under several limits: all or nothing.
type Request struct {
	// Limits are the limits to charge, each key once. Empty: none.
	Limits []Limit

	// HeldBy are more keys whose holds apply to the request: none of them is
	// charged, and their debt does not count. A dispatcher names the job's key
	// here, unless that is the key of one of the limits. Empty: none.
	HeldBy []string

	// NotBefore is the earliest that the slot may be, for reasons that the
	// backend does not know. Zero, or a time that has passed: none.
	NotBefore time.Time

	// Horizon is how far ahead of the backend's now the slot may be. Zero or
	// less grants a slot only at once.
	//
	// Below Unlimited, a key whose params have changed is rebased first: see
	// [gcra.State.Rebase]. It stays so even if the request is refused: a dispatcher
	// makes requests that can't be granted, with a NotBefore far away, for that alone.
	// With Unlimited the key's TAT is taken as it is, as aiofreqlimit's reserve does.
	Horizon time.Duration

	// InTurn asks for a [Decision.Turn] if the request is refused. Only who will
	// ask again then, and not before, may set it: others are told later turns.
	InTurn bool
}

// Decision is the answer to one [Request].
type Decision struct {
	// Granted says that all limits were charged, at Slot.
	Granted bool

	// Slot is the instant from which the job may start if Granted, else the
	// earliest instant at which its limits are open as things stand. It is in
	// local time with a monotonic reading, as made from time.Now, so that setting
	// the machine's clock moves no start. Where the backend is in this process
	// it is exact; else rounded so that no start is early by the backend's clock.
	Slot time.Time

	// Binding is the index in Limits of the limit that opens last, the first of
	// them if several do; -1 if none keeps the slot from being earlier.
	Binding int

	// Held says that the limit at Binding is closed by a hold, not by debt: a hold
	// keeps out all other jobs under the limit too, debt those that cost as much or
	// more. With a Binding of -1 it is a key of HeldBy that is held.
	Held bool

	// Turn is when to ask again after a refusal with InTurn, a horizon before it
	// at most: Slot, or later if others who want the limit at Binding have been
	// told earlier turns. So a fleet does not ask all at once for each slot. Who
	// has a turn may take whatever is open then. It is zero if the backend gives
	// no turns.
	Turn time.Time

	// Stamp is the slot by the backend's own clock and in its own unit, exactly.
	// It is what [Releaser] wants, and tells slots of several processes apart.
	Stamp int64

	// Err, if not nil, says why the request was not granted; nothing was
	// charged. Unless it is Undecided it can never be granted. For limits that
	// [Validate] refuses it is that error.
	Err error

	// Undecided says that this request could not be decided, although others of
	// the batch could: Err is as the error of Reserve, and the request may be
	// made again.
	Undecided bool
}

// InProcess is an optional ability of a [Backend]: its methods answer at once,
// without a network and without waiting for more than a mutex. A dispatcher asks
// such a backend for one job at a time where it schedules, so that the order of
// starts is exact. Others it asks for batches, from a goroutine.
type InProcess interface {
	// InProcess does nothing: having it is the promise.
	InProcess()
}
