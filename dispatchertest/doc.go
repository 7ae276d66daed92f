// Package dispatchertest helps to test programs that use a dispatcher.
//
//   - [Run] runs jobs on a dispatcher until they have ended, and returns their results.
//   - A [Recorder] keeps the results of a dispatcher that the program under test runs itself.
//   - A [Backend] fails on demand.
//
// In a [testing/synctest] bubble, limits and retries take no time, and starts are exact:
//
//	func TestSend(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			d, err := dispatcher.New(&dispatchertest.Backend{}, send, config)
//			if err != nil {
//				t.Fatal(err)
//			}
//			results := dispatchertest.Run(t, d,
//				dispatcher.Job[Message]{Key: "alice", Payload: Message{"one"}},
//				dispatcher.Job[Message]{Key: "alice", Payload: Message{"two"}},
//			)
//			if gap := results[1].Started.Sub(results[0].Started); gap != time.Second {
//				t.Errorf("second message sent %v after the first, want 1s", gap)
//			}
//		})
//	}
//
// The dispatcher, its backend and its Recorder must be made inside the bubble. With a dispatcher
// from outside, the test hangs. The delays of retries are random, unless Retry.Jitter is negative.
//
// A handler that uses the network can't run in a bubble. In its tests, leave Config.Limits and
// Config.Params empty.
package dispatchertest
