// Package dispatcher is a typed job queue. Each job starts as soon as all of its rate limits
// allow, and never earlier.
//
//	d, err := dispatcher.New(memory.New(memory.Config{}), send, dispatcher.Config[Message]{
//		Limits: func(chat string, m Message) []dispatcher.Limit {
//			return []dispatcher.Limit{
//				{Key: "bot", Params: gcra.PerSecond(30)},
//				{Key: chat, Params: gcra.PerSecond(1)},
//			}
//		},
//	})
//	go d.Run(ctx)
//	err = d.Submit(ctx, "chat:42", msg) // returns at once
//
// A job is a payload with a key and limits. A [Limit] is a key with a rate,
// [gcra.FreqLimitParams], and a cost. A slot is the instant from which a job may start. A
// [backend.Backend] keeps the limits: package memory in this process, package goredis in
// Redis, for any number of processes.
//
// The docs directory of the repository has a page on each topic.
//
// # Guarantees
//
//   - Never early: no handler starts before its slot, by the backend's clock.
//   - Never over: in every half-open window W, a limit has at most Burst - 1 + ceil(W/T)
//     slots, where T is Period/Limit, across all processes that share the backend.
//   - Work-conserving: if a job's limits are open and a worker is free, the job starts,
//     whatever else is waiting.
//   - No slot wasted: a job that doesn't run charges nothing, or gives its slot back. No limit
//     is charged further ahead than Config.Horizon.
//   - Order: jobs with the same key and priority start, for the first time, in the order of
//     submission; jobs with a NotBefore in the order of their dates.
//   - Submit doesn't wait for a limit, a worker or the network.
//   - Waiting is free: a waiting job holds no goroutine, timer or worker.
//   - Exactly one outcome for each accepted job, reported to Events.Done. After Run has
//     returned, nothing starts and none of its goroutines is left.
//   - One bad handler that fails, panics or never returns harms only its own job.
//
// There are four exceptions:
//
//   - A worker that is set aside for a slot, up to Config.Horizon ahead, isn't free.
//   - If other jobs have kept a job from its limits for several times their interval, the job
//     claims its slot. Others may then take those limits only if that doesn't delay the claim.
//     Without claims, a job under two busy limits might never find both open. The fastest of
//     the job's limits, usually the one that all jobs share, is never idle because of a claim.
//     A slower limit is idle at most for as long as it takes to serve the waiting job, plus the
//     claiming job at the faster limits.
//   - A slot that was taken ahead and isn't used is given back, if the backend has a
//     [backend.Releaser]. But a limit doesn't open before slots that others still hold: at
//     Burst 1, a slot given back between two others leaves a gap of one interval. A process that
//     is killed gives nothing back. [backend.Releaser] says what else can't be given back.
//   - Processes that share a busy limit take turns, and each gets an equal part of it. Order,
//     priority and claims apply within a process, so a job may wait for its process's turn. Jobs
//     under two limits that other processes keep busy too, both slow and at different rates, get
//     few slots; a slow limit that is combined with a fast one may reach only about 70% of its
//     rate. If an answer is lost or a process dies, up to a horizon of slots is lost with it.
//     Each process that no longer takes its turn costs the limit about 25 ms once, or two round
//     trips if that is longer. If that process was waiting for a job that costs more than one,
//     or has a smaller Burst, the others wait until that job could have started.
//
// # When to use it
//
// Use it for messages, webhooks and API calls under several limits at once, and for a bounded
// worker pool that keeps the order of each key. Don't use it for jobs that must survive a crash:
// they wait in the memory of the process that accepted them, whichever backend keeps the limits.
// For code that may hold a goroutine while it waits, there is [FreqLimit].
//
// # Limits
//
// A job takes all of its limits in one atomic step, or none of them. It does so at the last
// moment, when its slot has come and a worker is free. So a job that waits for one limit uses up
// nothing of the others.
//
// Limits apply to slots. A handler starts a little after its slot, see [Result.Lateness], so
// two starts can be closer together than their slots. For a server that counts strictly, choose
// params a few per cent below what it allows, and see [gcra.FreqLimitParams.Strict] for bursts.
//
// # Errors and retries
//
// A handler's error decides what happens to its job: see [Retry], [RetryAfter], [Snooze] and
// [Permanent]. A panic ends the job, unless Config.Middleware has [Recover]. While the
// backend fails, jobs with limits wait: see [Stats].
//
// # Sharing limits through Redis
//
// On a backend of package goredis, all processes with the same prefix share their limits, and a
// hold closes a key in all of them. The jobs stay in the process that accepted them. While Redis
// is down, they wait.
//
// # Testing
//
// A dispatcher reads only the clock of package time. On the memory backend it therefore runs in
// a testing/synctest bubble, where an hour of limits takes no time. Package dispatchertest has
// helpers for such tests.
//
// # Stopping
//
// [Dispatcher.Shutdown] waits until all accepted jobs are done. If the context of
// [Dispatcher.Run] ends instead, running handlers get Config.StopTimeout to finish, and waiting
// jobs are dropped and reported.
package dispatcher
