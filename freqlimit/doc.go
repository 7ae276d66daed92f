// Package freqlimit has a rate limiter for code that waits in place: a goroutine calls
// [Limiter.Wait] or [Limiter.Do] and goes on at the instant that the limit of a key allows.
// [Limiter.Allow] does not wait.
//
//   - Waits for one key end in the order in which they began.
//   - A canceled wait gives its slot to the next wait for the key, or back to the backend if that has
//     a [backend.Releaser]: no slot is wasted, however many waits are canceled at once. There
//     is one exception: if Burst is 1 and other users of the backend hold later slots, a slot that
//     is given back stays unused. If the context ends while a request to a remote backend is
//     in flight, the backend must give the slot back, as goredis does.
//   - Keys are independent of each other.
//   - Limiters, and dispatchers, that share a backend share the limits of equal keys.
//
// A wait holds a goroutine. For work that should not, use a dispatcher: package
// github.com/freqlimit/dispatcher.
package freqlimit
