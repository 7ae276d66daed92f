// Package goredis keeps limits in Redis, so that any number of processes share
// them. It works on go-redis, with a single server, Sentinel or a Cluster; TLS,
// users and timeouts are options of the client.
//
//   - A Lua script decides a batch of requests in one atomic step, by the
//     server's clock, in microseconds.
//   - Requests that are made at one time, by whichever goroutines, travel
//     together; on a cluster those of one hash slot do.
//   - Slots come to the local monotonic clock through durations, rounded so that
//     no start is early by the server's clock. While that is being slewed by more
//     than 1 ms per second, or has stepped back by less, a start may be early by a
//     part of a round trip.
//   - A limit is one Redis key, Config.Prefix and the limit's key. It expires
//     when its debt is paid. What its value means is written in scripts/clock.lua.
//
// # What Redis has to be
//
// Redis 5 or later, or a server that speaks like it, with Lua scripts that have
// the struct library. Its user needs these rights:
//
//	to decide     EVALSHA, EVAL, TIME, MGET, EXISTS and SET on the prefix
//	for the news  PUBLISH and SUBSCRIBE on channels that begin with the prefix; ZSCORE, ZADD,
//	              ZINCRBY, ZRANGE, ZREVRANGEBYSCORE, ZREMRANGEBYSCORE, ZREMRANGEBYRANK and
//	              PEXPIRE on the prefix
//	for Clear     SCAN and UNLINK on the prefix, and PUBLISH
//	on a cluster  CLUSTER SLOTS, COMMAND and ASKING, which the client uses
//	for a warning INFO, if it may be, to see whether Redis evicts limits
//
// Redis must not evict the limits: set maxmemory-policy to noeviction.
//
// Limits above one event per microsecond of their period are refused, by
// [Backend.Check], with a [*gcra.ParamError]. Intervals are rounded up to whole
// microseconds: a limit of 700,000 per second lets 500,000 through.
//
// # News of other processes
//
// What one process changes is told to the others, over a channel that is called after the
// prefix: holds, slots that are given back, and Clear. While somebody uses the news, as a
// dispatcher does while it runs, the backend has a connection of its own for it. Who
// connects later reads the holds that are in force, the last 10,000 of them, from a sorted
// set: the prefix and "\x00holds", which can't be the key of a limit.
//
// A message takes as long as messages take: a job without limits may still start in the
// milliseconds after another process has held its key. A job with limits can't, if its key
// is, on a cluster, in the hash slot of its limits: the script that takes the slot minds the
// hold. That is all that is left of holds where the user has not the rights for the news, or
// while the connection is lost. The logger tells, once, and the backend goes on trying.
//
// # Options of the client
//
// Any will do. go-redis's defaults are patient, though: it takes them seconds to
// report that a server is away, and after many failed dials they try only once a
// second. For a dispatcher, which tries again by itself,
//
//	redis.Options{MaxRetries: -1, ReadTimeout: time.Second, PoolSize: 1000}
//
// lets it know at once, and go on within a second of the server's return, unless
// that was away for longer than some ten minutes. Connections are made as they
// are needed, of which the backend uses few: the size of the pool only says after
// how many failed dials the client becomes slow to try.
//
// # On a Redis Cluster
//
// All limits of one request must be in one hash slot, or they could not be taken
// in one step. That is so if their keys have one hash tag: a part in braces, of
// which alone the slot is made. Name what belongs to a bot "{bot7}",
// "{bot7}:chat:42" and so on; limits of other bots go to other slots, and the
// load is spread over the nodes. Otherwise the error is [ErrCrossSlot], before
// anything is sent. A prefix that has a hash tag puts all limits into one slot.
//
// Each node has batches and calls of its own, and a call to one that does not answer ends
// after a second, whatever the options of the client: what is granted later is given back.
// The set of holds is on one node; while that fails, Hold does too.
//
// When a node fails the backend has the client look at once which node has its slots now,
// so that limits go on within about a second of when a replica has taken over. Any
// ClusterOptions.ClusterStateReloadInterval will do.
//
// # When Redis is away
//
// Reserve fails, and nothing may start on it. Whoever asked waits and asks again,
// as a dispatcher does. Where an answer was lost a slot may be lost too; a limit
// is never exceeded.
//
// Redis may lose what it holds: when it restarts without persistence, or fails
// over to a replica that lags behind. A lost limit is a limit without debt, so
// that at most its Burst starts once more than it should have: never more than
// 2 * Burst - 1 + ceil(W/T) slots in a window W, and what was granted up to a
// horizon ahead. Two servers that both take themselves for the master grant the
// full rate each: see min-replicas-to-write. The same holds
// for a server whose clock is set forward, for that looks as if time had passed;
// if it is set back, what was left to wait stays as it was.
//
// Errors that don't fix themselves, such as those of a user who may not run scripts or
// of a client that has been closed, are a [*SetupError] that says what to change, and
// end the requests. Those that somebody may be about to fix, such as a password that is
// being changed, end them when they have lasted for ten seconds; until then Redis counts
// as away, if it has answered before. Requests that are made later, when all is set up,
// are decided as always.
//
// Where the server only hangs up, as it does in protected mode, the backend connects
// once more, with the client's options, to find out why: once a second at most.
package goredis
