// Package goredis keeps limits in Redis, so that any number of processes share
// them. It uses go-redis and works with a single server, Sentinel or a Cluster. TLS,
// users and timeouts are options of the client.
//
//   - A Lua script decides a batch of requests in one atomic step, by the
//     server's clock, in microseconds.
//   - Requests that are made at the same time, from any goroutines, travel
//     together; on a cluster, if they are in one hash slot.
//   - Slots are converted to the local monotonic clock as durations, rounded so that
//     no start is early by the server's clock. While the server's clock is slewed by
//     more than 1 ms per second, or after it stepped back by less than a round trip, a
//     start may be early by part of a round trip.
//   - A limit is one Redis key: Config.Prefix followed by the limit's key. It expires
//     when its debt is paid. scripts/clock.lua describes its value.
//
// # What Redis needs
//
// The server must be Redis 5 or later, or compatible with it, and run Lua scripts with
// the struct library. Its user needs these rights:
//
//	to decide     EVALSHA, EVAL, TIME, MGET, EXISTS and SET on the prefix
//	for the news  PUBLISH and SUBSCRIBE on channels that begin with the prefix; ZSCORE, ZADD,
//	              ZINCRBY, ZRANGE, ZREVRANGEBYSCORE, ZREMRANGEBYSCORE, ZREMRANGEBYRANK and
//	              PEXPIRE on the prefix
//	for Clear     SCAN and UNLINK on the prefix, and PUBLISH
//	on a cluster  CLUSTER SLOTS, COMMAND and ASKING, which the client uses
//	optional      INFO, to warn if Redis may evict limits
//
// Redis must not evict the limits: set maxmemory-policy to noeviction.
//
// [Backend.Check] refuses limits above one event per microsecond of their period with a
// [*gcra.ParamError]. Intervals are rounded up to whole microseconds: a limit of 700,000
// per second lets 500,000 through.
//
// # Sharing a limit
//
// Processes contending for one limit take turns, so they don't all ask Redis for every slot.
// A dispatcher whose request is refused joins the line of the limit, which is stored with the
// limit, and learns when to ask again. A turn covers the slots of about 25 ms, and at least
// one slot. After its turn a dispatcher goes to the end of the line. So all dispatchers with
// work and free workers get equal shares, whatever their round trips.
//
// All ask as far ahead as the slowest round trip in the line needs, which takes workers: at 200
// slots a second and a round trip of 60 ms about 50. If a dispatcher misses its turn, the next
// one passes it after 20 ms, or two round trips if that is longer. So a process may die without
// a word. At limits below 80 a second, the members of the line learn of each slot that is taken.
// Without the news dispatchers ask more often.
//
// A job under several limits may start on its turn at any one of them. No other job overtakes
// a job that saves up because it costs more than one, or has a smaller Burst: those behind
// it in the line wait. They wait even if its process dies, until the job could have started.
//
// A line holds 256 processes. If there are more, those in line make room for the others over
// time.
//
// # News from other processes
//
// Each process publishes its changes on a channel named after the prefix: holds, Clear,
// slots given back, and slots taken from a limit with a line. While someone watches, as
// a running dispatcher does, the backend keeps one more connection for the news. A process
// that connects later reads the holds in force, the last 10,000 of them, from a sorted set.
// Its key, the prefix and "\x00holds", can't be the key of a limit.
//
// News takes time to arrive. A job without limits may still start in the milliseconds after
// another process holds its key. A job with limits can't, because the script that takes its
// slot checks the hold; on a cluster only if the job's key is in the hash slot of its limits.
// If the user lacks the rights for the news, or while the connection is lost, only the script
// checks holds. The backend logs that once, and keeps trying.
//
// # Options of the client
//
// Any options work. But go-redis's defaults are patient: they take seconds to report that a
// server is unavailable, and after many failed dials the client tries only once a second.
// A dispatcher retries by itself, so
//
//	redis.Options{MaxRetries: -1, ReadTimeout: time.Second, PoolSize: 1000}
//
// lets it notice an outage at once, and continue within a second of the server's return if the
// outage was shorter than about ten minutes. The client connects on demand, and the backend
// uses few connections: PoolSize only says after how many failed dials the client slows
// down.
//
// # On a Redis Cluster
//
// All limits of one request must be in one hash slot, since a script can't take slots on
// several nodes in one step. Give their keys one hash tag: Redis then computes the hash slot
// from the part in braces alone. Name the limits of a bot "{bot7}", "{bot7}:chat:42" and
// so on. Other bots go to other hash slots, which spreads the load over the nodes. A request
// in several hash slots fails with [ErrCrossSlot] before anything is sent. A prefix with a hash
// tag puts all limits into one hash slot.
//
// Each node has its own batches and calls. A call to a node that does not answer ends after
// a second, whatever the options of the client; slots that it grants later are given back. The
// set of holds is on one node. While that node fails, Hold fails too.
//
// When a node fails, the backend makes the client look up the nodes again at once. So limits
// recover within about a second after a replica takes over, with any
// ClusterOptions.ClusterStateReloadInterval.
//
// # When Redis is unavailable
//
// Reserve fails, and nothing may start because of it. The caller waits and tries again, as a
// dispatcher does. If an answer is lost, a slot may be lost with it. No limit is exceeded.
//
// Redis may lose data, if it restarts without persistence or fails over to a replica that lags
// behind. A lost limit has no debt, so its Burst may start once more: at most
// 2*Burst - 1 + ceil(W/T) slots in a window W, and what was granted up to a horizon ahead. Two
// servers that both act as master grant the full rate each: see min-replicas-to-write. If a
// server's clock is set forward, the effect is the same as of lost data, since time seems to have
// passed. If it is set back, the remaining waits stay the same.
//
// Errors that won't fix themselves, such as a Redis user who may not run scripts or a client
// that was closed, are a [*SetupError], which says what to change. They fail the requests.
// Errors that somebody may be fixing, such as a password being changed, fail the requests
// once they have lasted for ten seconds. Until then the backend counts as unavailable, if Redis
// has answered before. Once the setup is right, later requests are decided as usual.
//
// If the server closes connections without an error, as in protected mode, the backend opens
// a connection with the client's options to learn why, at most once a second.
package goredis
