// Package redistest gives tests a Redis to talk to. Only tests import it.
//
//   - [Addr] and [Client] are for what any Redis will do for: one server that
//     the tests of a package share, each under a [Prefix] of its own.
//   - [Start] is for what may not be done to a server that is shared: a process
//     that the test configures, pauses, kills and starts again.
//   - [Cluster] is three processes that share the slots of a Redis Cluster.
//   - [Proxy] stands between a client and a server and fails the way networks do.
//
// What is shared is started at first use and stopped by [Main], which a package
// that uses any of it calls in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
//
// or, to have goroutines counted once all is stopped:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Runner(m)) }
//
// # Where the shared Redis comes from
//
// The first of these that is there:
//
//   - REDIS_ADDR, a host:port. One that does not answer fails the test: whoever
//     names a server wants no other.
//   - A container, where Docker answers and has the image REDIS_IMAGE
//     ("redis:7-alpine" by default) or can pull it.
//   - redis-server on PATH, on a free port of the loopback interface.
//
// With none of them the test is skipped. Which one it was is said once, in a line
// on stderr; go test shows that line with -v and for packages that fail, and
// REDISTEST_REPORT names a file to append it to in any case.
//
// [Start] and [Cluster] take redis-server from PATH, for a signal can't be sent
// into a container, and the nodes of a cluster have to be reached at the
// addresses that they tell one another.
package redistest
