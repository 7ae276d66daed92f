// Package dispatcher is a typed work queue whose jobs start exactly when their
// rate limits allow, and never earlier.
//
//	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[Message]{
//		Limits: func(chat string, m Message) []dispatcher.Limit {
//			return []dispatcher.Limit{
//				{Key: "bot", Params: gcra.FreqLimitParams{Limit: 30, Period: time.Second}},
//				{Key: chat, Params: gcra.FreqLimitParams{Limit: 1, Period: time.Second}},
//			}
//		},
//	})
//	go d.Run(ctx)
//	err = d.Submit(ctx, "chat:42", msg) // returns at once
//
// # Words
//
// A job is a payload with a key and the limits that it is under. A [Limit] is a
// key with params, [gcra.FreqLimitParams], and a cost. A slot is the instant from
// which a job may start. A [backend.Backend] keeps the limits: package memory in
// this process, package goredis in Redis for a fleet, or one of your own.
//
// # Guarantees
//
//   - Never early: no handler starts before its slot, by the backend's clock.
//   - Never over: for every limit, in every half-open window W, there are at most
//     Burst - 1 + ceil(W/T) slots, T being Period/Limit; over all processes that
//     share the backend.
//   - Work-conserving: when the limits of a job are open and a worker is free, it
//     starts, whatever else waits.
//   - No slot wasted: a job that does not run has charged nothing, and no limit
//     is charged for an instant more than Config.Horizon ahead.
//   - Order: jobs of one key and one priority start, for the first time, in the order
//     of submission; those with a NotBefore in that of their dates.
//   - Submit does not wait: not for a limit, a worker or the network.
//   - Waiting is free: a waiting job holds no goroutine, timer or worker.
//   - Exactly one outcome for every accepted job, reported to Events.Done.
//     After Run has returned nothing starts and none of its goroutines is left.
//   - One bad handler, with an error, a panic or no end, harms its own job alone.
//
// Less formally: what can start, starts, on time; what can't, waits and costs
// only its memory; and nobody else waits for it.
//
// Four things qualify this:
//
//   - A worker that has been set aside for a slot, at most Config.Horizon ahead, is
//     not free.
//   - A job that others have kept from its limits for several times their interval
//     claims its slot: others then may take those limits only if that does not put it
//     off. Without that, a job under two busy limits might never find both open. A claim
//     costs little: the fastest limit of the job, usually the one that all share, is
//     never idle for it. A slower limit is idle for no longer than it takes to serve the
//     job that is kept waiting, plus the claiming job at the faster limits.
//   - A slot that was taken, at most Config.Horizon ahead, by a job that then does not
//     run is given back, if the backend is a [backend.Releaser]. But a limit does not
//     open before slots that others hold: at Burst 1 a slot given back between two others
//     leaves a hole of one interval. [backend.Releaser] says what else is lost; a change of
//     the limit's params is part of that. A process that is killed gives back nothing.
//   - Where processes share a busy limit through a backend, each asks for it in its
//     turn, a few horizons after the one before. Order, priority and claims hold inside
//     a process only, a job may wait for its process's turn, and jobs under two limits
//     that are both kept busy by other processes get few slots. If an answer is lost
//     or a process dies, up to a horizon of slots goes with it; turns for which nobody
//     comes any more can leave a limit unused for ten seconds.
//
// # Limits
//
// A job takes all of its limits in one atomic step, or none, at the last moment:
// when its slot has come and a worker is there. So a job that waits for its own
// key does not use up what it shares with others.
//
// The limit is on slots. A handler starts at its slot or a little after it, by
// the lateness that [Result.Lateness] tells, so two starts can be a little closer
// than their slots. A server that counts arrivals strictly needs a margin: params
// a few per cent below what it allows. It also counts bursts: see
// [gcra.FreqLimitParams.Strict].
//
// # Testing
//
// Only package time is read, so a dispatcher on the memory backend runs in a
// bubble of testing/synctest, where an hour of limits takes no time.
package dispatcher
