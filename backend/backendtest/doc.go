// Package backendtest is the conformance suite of [backend.Backend]. It tests what the
// interface promises. To test a new backend, write
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, func(t *testing.T) backend.Backend {
//			return mybackend.New()
//		})
//	}
//
// [Run] takes seconds and does not depend on how fast the machine is: it uses
// limits with intervals of minutes and hours, of which next to nothing passes
// during a test, and compares slots with each other. It tests the
// optional abilities that the backend has according to its [backend.Traits], and that
// Traits names all of them.
//
// [RunJournal] tests a [backend.Journal]: what it keeps after a crash at any moment. It needs to
// know more than the interface, namely how to copy what the journal has written: see
// [JournalStore]. [CheckJournal] walks all that a journal keeps.
//
// [CheckWindows] checks whether slots obey a limit, whatever granted them and in whatever
// order.
package backendtest
