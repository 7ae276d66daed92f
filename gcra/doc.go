// Package gcra implements the arithmetic of the Generic Cell Rate Algorithm. A rate limit is a
// [FreqLimitParams], made by [PerSecond], [PerMinute], [PerHour] or [Every]. A [State] is what
// the algorithm stores for a key, and says when the next event may happen.
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
//   - Burst events may happen at one instant, if the key has no debt;
//   - in every half-open window W there are at most Burst - 1 + ceil(W/T)
//     events, whatever the order in which their instants were given out;
//   - a key whose TAT has passed is the same as a new key.
//
// A [Ledger] also keeps the latest charges, so that they can be taken back.
//
// The package is pure: it reads no clock, takes no lock and does no input or output. It
// allocates only errors and the records of a Ledger. Instants are int64 nanoseconds since an
// epoch of the caller's choice, zero or later. All arithmetic is exact. Intervals are
// rounded up, so rounding never lets an event through early.
package gcra
