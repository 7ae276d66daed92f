// Package backend defines the [Backend] interface: what keeps a dispatcher's rate limits.
// A [Request] asks it for a slot, and a [Decision] is its answer.
//
// A backend keeps one [gcra.State] for each key, or a [gcra.Ledger] if it takes slots
// back. The backend decides; the caller only waits for the slot that it was granted.
// Package memory implements a backend for one process, package goredis one that processes
// share. To write another, implement the four methods of Backend and run the conformance
// suite of package backendtest on it.
package backend

import (
	"context"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// Unlimited is a horizon that refuses nothing: the request is granted at the first slot
// that its limits have within 100 years.
const Unlimited = gcra.MaxSpan

// Backend keeps limits. It is safe for concurrent use.
//
// A key that the backend does not know has no debt. A backend may forget a key only if it
// has no debt and is not held: then forgetting it makes no difference.
type Backend interface {
	// Reserve decides the requests in order, and writes the decision on reqs[i] to
	// decisions[i]. decisions must be at least as long as reqs.
	//
	// Each request is atomic. Its slot is the earliest instant, not before the backend's
	// now and NotBefore, at which all of its limits are open and no key of HeldBy is held.
	// If the slot is at most Horizon ahead of now, every limit is charged at that slot;
	// else none is. A request with no limits is granted now, whatever HeldBy says. Each
	// request sees the charges of those before it. Requests of other calls may come in
	// between.
	//
	// A request that can never be granted gets a Decision with Err, and the rest of the
	// batch is decided. If Reserve itself returns an error, the batch was not decided, and
	// nothing may start because of it. A charge may still have been made, if the answer was
	// lost. So a limit may lose a slot, but never gains one.
	//
	// The clock is the backend's own. Reserve does not keep reqs or decisions.
	Reserve(ctx context.Context, reqs []Request, decisions []Decision) error

	// Hold closes a key for d from now by the backend's clock, whatever its
	// params: from then on no slot before its end is granted. A hold only extends:
	// one that ends before the key's present hold changes nothing, and so does a d of
	// zero or less. Slots already granted stay. A d over [Unlimited] counts as
	// Unlimited.
	Hold(ctx context.Context, key string, d time.Duration) error

	// Clear forgets every key: its debt and its hold.
	Clear(ctx context.Context) error

	// Traits says what else the backend can do. It always returns the same, is quick, and
	// does not use the network. [TraitsOf] is the way to call it.
	Traits() Traits
}

// Check returns nil if b can keep these limits: see [Traits.Check]. Without a backend it is
// Validate.
func Check(b Backend, limits []Limit) error {
	if b == nil {
		return Validate(limits)
	}
	t := TraitsOf(b)
	return t.Check(limits)
}

// Request asks for one slot under several limits: all or nothing.
type Request struct {
	// Limits are the limits to charge, each key once. Empty: none.
	Limits []Limit

	// HeldBy are further keys whose holds delay the request. They are not charged, and
	// their debt does not count. A dispatcher puts the job's key here unless one of the
	// limits has that key.
	HeldBy []string

	// NotBefore is the earliest time that the slot may have. The zero time and times
	// in the past set no bound.
	NotBefore time.Time

	// Horizon is how far ahead of the backend's now the slot may be. Zero or
	// less grants a slot only at once.
	//
	// Below [Unlimited], a key whose params have changed is rebased first: see
	// [gcra.State.Rebase]. It stays rebased even if the request is refused. A dispatcher
	// makes requests that can't be granted, with a NotBefore in the far future, just to
	// rebase a key. With Unlimited the key's TAT is taken as it is, as aiofreqlimit's
	// reserve does.
	Horizon time.Duration

	// MemberID identifies the caller among all that share the backend, such as one
	// dispatcher of a fleet. It is a random number. If it is not zero, a refusal has a
	// [Decision.RetryAt]. Set it only if the caller asks again at that time and not
	// before: the backend makes other members wait for it.
	MemberID uint32

	// MinHorizon is the smallest Horizon that hides the member's round trip to the
	// backend. Horizon itself may be larger: see [Decision.MinHorizon].
	MinHorizon time.Duration

	// BusiestLimit says under which of Limits the most keys of the member wait. It is
	// the index in Limits plus 1; zero, or any number out of range, means that there is
	// none. A refused request preferably gets its RetryAt at that limit: whichever of
	// those jobs is next can then use the slot.
	BusiestLimit int

	// Job is the number of the job that the request is for, if the backend is a [Journal] and keeps
	// it; else zero. Granting the request also claims the job. Both are durable when Reserve
	// returns.
	Job int64
}

// Decision is the answer to one [Request].
type Decision struct {
	// Granted says that all limits were charged, at Slot.
	Granted bool

	// Slot is the instant from which the job may start if Granted. If the request is
	// refused, it is the earliest instant at which all of its limits are open as things
	// stand, or, with a RetryAt, the instant at which the limit at Binding opens.
	//
	// It is local time with a monotonic reading, like time.Now, so setting
	// the machine's clock moves no start. A backend in this process gives it exactly.
	// Others round it so that no start is early by the backend's clock.
	Slot time.Time

	// Binding is the index in Limits of the limit that opens last, the first of them if
	// several do; -1 if no limit delays the slot. If the request has a MemberID and is
	// refused, it may be another limit: the one that RetryAt is for.
	Binding int

	// Held says that a hold, not debt, closes the limit at Binding. A hold keeps out
	// all other jobs under the limit too; debt keeps out those that cost as much or
	// more. If Binding is -1, a key of HeldBy is held.
	Held bool

	// RetryAt is when to make the refused request again, if it has a MemberID: shortly
	// before Slot, or later if other members come first at the limit at Binding. Members
	// so take turns: they don't all ask for every slot, and each gets its share. A
	// member that asks earlier is refused unless it is first in line. If a member gets
	// several for one limit, the latest counts. It is zero if the backend doesn't make
	// members take turns.
	RetryAt time.Time

	// MinHorizon is the largest [Request.MinHorizon] of the members in line at the limit
	// at Binding. They take its slots that far ahead, so requests with a smaller Horizon
	// come too late. It is zero if the backend doesn't make members take turns.
	MinHorizon time.Duration

	// Token is the slot by the backend's own clock, exactly and in the backend's own
	// unit. [Releaser] takes it back, and it tells the slots of several processes apart.
	Token int64

	// Err, if not nil, says why the request was not granted. Nothing was charged.
	// Unless Undecided is set, the request can never be granted. If [Validate] refuses
	// the limits, Err is its error.
	Err error

	// Undecided says that the backend could not decide this request, although it
	// decided others of the batch. Err is then like the error of Reserve, and the request
	// may be made again.
	Undecided bool
}
