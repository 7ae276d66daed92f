// Package redistest provides Redis servers for tests. Only tests import it.
//
//   - [Addr] and [Client] are for tests that any Redis will do for. The tests of a package share
//     one server, and each uses a [Prefix] of its own.
//   - [Start] is for tests that need a server of their own: a process that the test configures,
//     pauses, kills and restarts.
//   - [Cluster] is a Redis Cluster of three processes.
//   - [Proxy] stands between a client and a server, and fails as networks do.
//
// Shared servers are started at first use and stopped by [Main]. A package that uses them calls
// it in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
//
// or, to check for leaked goroutines after the servers have stopped:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Runner(m)) }
//
// # Where the shared Redis comes from
//
// The first of these that is available:
//
//   - REDIS_ADDR, a host:port. If that server doesn't answer, the test fails: the person who set it
//     wants no other.
//   - A container, if Docker answers and has the image REDIS_IMAGE ("redis:7-alpine" by default)
//     or can pull it. The go command builds and runs a program for that, which is in the directory
//     container, a module of its own, if the tests run inside the workspace of go.work. The program
//     removes the container when its stdin is closed, so also when the tests are killed.
//   - redis-server from PATH, on a free port of the loopback interface.
//
// Without any of them the test is skipped. A line on stderr says which one was used; go test shows
// that line with -v and for packages that fail. If REDISTEST_REPORT names a file, the line is
// appended to it in any case.
//
// [Start] and [Cluster] use redis-server from PATH, because signals can't be sent into a container,
// and the nodes of a cluster must be reachable at the addresses that they tell one another.
package redistest
