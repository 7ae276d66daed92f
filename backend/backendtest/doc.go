// Package backendtest is the conformance suite of [backend.Backend]: what the
// interface promises, as tests. A new backend is tested by
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, func(t *testing.T) backend.Backend {
//			return mybackend.New()
//		})
//	}
//
// [Run] takes seconds and does not depend on how fast the machine is: it uses
// limits with intervals of minutes and hours, of which next to nothing passes
// during a test, and compares slots with each other. Optional abilities, such as
// [backend.Releaser], are tested if the backend has them.
//
// [CheckWindows] is the oracle for everything that hands out slots: it says
// whether they obey a limit, whoever gave them and in whatever order.
package backendtest
