// Package adaptive finds the rates that servers accept, for limits whose servers don't publish them.
//
// Each limit that a server has refused runs at a factor of its own rate. The factor follows
// additive increase, multiplicative decrease, as TCP does (Chiu and Jain, "Analysis of the
// Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989): a
// refusal multiplies it, and it recovers in equal steps. A limit that has been back at its own rate
// for a while is forgotten.
//
// Times are nanoseconds on the caller's clock. Nothing here reads a clock, waits, or is safe for
// concurrent use.
package adaptive
