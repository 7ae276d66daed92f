// Package gcra is the arithmetic of the Generic Cell Rate Algorithm: what a
// rate limit is ([FreqLimitParams]), what it remembers of a key ([State]) and
// when the next event may happen.
//
// GCRA is the leaky bucket as a meter, described in ITU-T Recommendation I.371
// and in the ATM Forum's Traffic Management Specification. It keeps one number
// for a key, the theoretical arrival time (TAT): the instant at which a source
// that sends at exactly the limit's rate would send next. With
//
//	T   = Period / Limit      the interval between events at the limit's rate
//	tau = (Burst - 1) * T     how far ahead of that rate a source may run
//
// an event may happen at any instant from TAT - tau on, and moves TAT to
// max(TAT, instant) + T. It follows that
//
//   - Burst events may happen at one instant, if the key has rested;
//   - in every half-open window W there are at most Burst - 1 + ceil(W/T)
//     events, in whatever order their instants were given out;
//   - a key whose TAT has passed is as good as a key never seen.
//
// A [Ledger] keeps a few of the latest charges beside the TAT, so that they can be
// taken back.
//
// The package is pure: it reads no clock, takes no lock, does no input or
// output and allocates nothing but errors and the records of a Ledger. Instants are int64 nanoseconds since
// an epoch of the caller's choice, zero or later. All arithmetic is exact;
// intervals are rounded up, so rounding never lets an event through early.
package gcra
