// Package schedule decides which job starts when. It is a pure state machine: it has no
// goroutine, clock, lock, channel, input or output. Events go in with the instant at which they
// happened, and decisions come out. So a million jobs run in virtual time in a test.
//
// # What it decides
//
// Jobs with one key and one priority form a lane. They start in the order of submission; a job
// with a date counts as submitted at that date. Only the head of a lane competes. With
// Config.Serial, lanes of one key whose heads are under the same limits at the same costs form a
// group, and only the lane of the highest priority in a group competes.
//
// A head is eligible when all of its limits are open. Whenever a worker is free, the eligible
// head that ranks first is taken: by priority, then by [Order]. All of its limits are charged at
// its slot, the earliest instant that they allow.
//
// Decisions are made up to a horizon ahead of the present, so that a timer or a network has time
// to be exact. The clock of the decisions, tau, is ahead of now by at most the horizon, and moves
// through the instants at which limits open, one by one. So the schedule with a horizon is the
// schedule without one, made a little earlier. A limit is not left idle for a head of better rank
// that is a few milliseconds away.
//
// To take whichever head is eligible wastes no slot, but it would starve two kinds of heads: a
// head whose limits are never open together, because others take each of them as soon as it
// opens; and a head whose cost takes the limit longer to save up for than others let it. So a
// head that has waited for long makes a claim.
//
// # Words
//
//	slot      the instant from which a job may start
//	lane      the jobs of one key and priority; the first one is its head
//	limit     what is known of one limit: its TAT, and until when it is held
//	gate      a limit as jobs of one cost see it, with the instant at which it opens
//	cohort    the lanes that wait for the same gates
//	claim     an overdue head's right to a limit at an instant
//	horizon   how far ahead of now a slot may be taken
//	lead      how far ahead of now taking begins: at most the horizon
//	ask       what a lane does while the backend is being asked for its head
//	hold      a key that is closed until an instant, as a limit and as the key of jobs
//	turn      the instant until which others may ask the backend for a limit, and not this scheduler
//	fresh     of a head: it has just become the head, so it gets a new rank
//
// # How it finds the head to take
//
// A cohort is attached to one gate. A gate with cohorts is in one of two queues: by time until it
// opens, by the rank of its first lane when it is open. If a cohort is found at an open gate
// while another of its gates is closed, it moves there, with all of its lanes in one step. A gate
// that only one lane uses, such as the limit of a chat, does not tell cohorts apart once it is
// open. So 100,000 chats behind one shared limit are one cohort. Every step is O(log n), or O(1)
// where things come in the order of time: see package pqueue.
//
// Each of these is checked when it comes up, and not when something changes: limits only ever
// open later than expected, except where the code says otherwise.
//
// Jobs of a lane that name the same limits share one limitSet. So a job that waits takes little
// more memory than its payload, and a lane and a limit take a few hundred bytes each, in one
// piece. Lanes without jobs are dropped, and so are limits without waiting lanes and without debt.
//
// # Files
//
// What the caller does:
//
//	scheduler.go    Scheduler, Config, Submit and Finished
//	next.go         Next, Wake and Tidy: take jobs, and say when to come back
//	answers.go      Granted, Refused, Failed, Rejected: what the backend said
//	speculative.go  Speculative: jobs beyond those of a batch, in case that one is refused
//	recall.go       Declined, Returned: jobs that were taken and come back without having run
//	control.go      Pause, Resume, SetParams, SetWorkers
//	hold.go         Hold
//	clear.go        Clear: the backend has forgotten its limits
//	invalidate.go   Invalidate, GivenBack: what is known of a limit is no longer certain
//	remove.go       Remove: one job
//	cut.go          Cut: all jobs of a key
//	abandon.go      Abandon: all jobs
//	fastpath.go     jobs without limits that bypass the scheduler while it is idle
//
// Jobs and lanes:
//
//	job.go          Job
//	dates.go        jobs that wait for a date
//	deadline.go     jobs that expire
//	lane.go         lane: how its head comes to compete, and stops
//	lanelist.go     the jobs of a lane, in their order
//	keylanes.go     the lanes of a key that has several
//	keystate.go     what there is of a key: its lanes, and the limit with that key
//	keepkey.go      a job that is to run again keeps its key
//	serialgroup.go  lanes of a serial key of which only one competes
//	order.go        Order, and the rank of a lane
//
// Limits:
//
//	limit.go        limit
//	limitset.go     the limits of a job, shared by jobs
//	limitref.go     a limit as the head of a lane refers to it
//	gate.go         gate
//	gatetree.go     the gates of a limit with many costs
//	cohort.go       cohort, and the queues of gates
//	turn.go         turns at limits that others use too
//	costly.go       RemoveImpossible: jobs that cost more than a lowered Burst
//
// Claims and lookahead:
//
//	claim.go        why claims are made, and what they cost
//	block.go        gates that a claim keeps closed
//	waive.go        heads that waive their place under a limit
//	lookahead.go    jobs that arrive before their dates, up to the horizon
//
// What others see of it:
//
//	inspect.go      Inspect: how many jobs of each key wait, and for what
//	waittimes.go    for how long heads have waited for each limit
//	waitlog.go      the same for one head, in a forecast
//	forecast.go     Forecast: play a snapshot to its end
//	snapshot.go     Snapshot
//	snapshotbuilder.go  how a snapshot is taken while the scheduler goes on
//	restore.go      a scheduler out of a snapshot
//	observer.go     who is told of changes meanwhile
//	keywalk.go      visits all keys, bit by bit
//	blocklist.go    a list that grows without copying
//
// Tests:
//
//	testdata/*.txt       scenarios: what the scheduler does with some jobs, to be read
//	x_test.go            tests of x.go; x_about_test.go are more of them
//	harness_*_test.go    what tests use: a world in virtual time, the player of scenarios, random
//	                     workloads, and an oracle that must agree with the scheduler
package schedule
