// Package schedule decides which job starts when. It is a pure state machine:
// it has no goroutine, clock, lock, channel, input or output. Events go in with
// the instant at which they happened, decisions come out, and a million jobs run
// in virtual time in a test.
//
// # What it decides
//
// Jobs with one key and one priority form a lane and start in the order of
// submission, a job with a date as if it were submitted at that instant; only the
// head of a lane competes. With Config.Serial, of the lanes of a key whose heads are under
// the same limits, at the same costs, only the one of the highest priority competes: the
// others wait behind it as its own jobs do. A head is eligible when all of
// its limits are open. Whenever a worker is free, the eligible head that ranks
// first (priority, then [Order]) is taken: all of its limits are charged at its
// slot, the earliest instant that they allow.
//
// Decisions are made up to a horizon ahead of the present, so that a timer or a
// network has the time to be exact. The clock of the decisions, tau, runs ahead
// of now by the horizon at most, and moves through the instants at which limits
// open, one by one: so the schedule with a horizon is the schedule without, made
// a little earlier. A limit is not left idle for a better rank that is a few
// milliseconds away.
//
// Taking whoever is eligible never wastes a slot, but alone it would starve a
// job whose limits, each taken by others as soon as it opens, are never open
// together; or one whose cost takes the limit longer to save up for than others
// let it. So a head that has waited for long is protected by a claim: see
// claim.go.
//
// # How it finds it
//
//	limit    what is known of one limit: the TAT, and until when it is held
//	gate     a limit as jobs of one cost see it, with the instant it opens
//	cohort   the lanes that wait for the same gates
//	lane     the jobs of one key and priority
//	peers    the lanes of a serial key whose heads are under the same limits
//	name     the lanes of a key, and the limit with that key
//
// A cohort sits at one gate, and a gate with cohorts is in one of two queues: by
// time until it opens, by the rank of its first lane when it is open. A cohort
// found at an open gate while another of its gates is closed moves there, all of
// its lanes in one step. A gate that only one lane uses, such as the limit of a
// chat, does not tell cohorts apart once it is open; so 100,000 chats behind one
// shared limit are one cohort, and every step is O(log n), or O(1) where things
// come in the order of time: see queue.go.
//
// Jobs of a lane that name the same limits share them, as terms. So a job that
// waits takes little more than its payload, and a lane and a limit are a few
// hundred bytes each, in one piece.
//
// Every one of these is checked when it comes up, not when something changes:
// limits only ever open later than thought, except where the code says so.
//
// Lanes without jobs and limits without waiting lanes and without debt are
// dropped.
package schedule
