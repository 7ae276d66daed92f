package backendtest

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// Tolerance is how far the distance of two slots, or of a slot and the local clock, may be from
// its exact value. A backend in another process converts instants of its own clock to local
// time, which is inexact by part of a round trip, and by more on a busy machine. The suite's
// intervals are thousands of times longer.
const Tolerance = 250 * time.Millisecond

// Run tests a backend. It calls newBackend once for each subtest. newBackend returns an empty
// backend that nothing else uses, for example one with a key prefix of its own, and passes to
// t.Cleanup what has to be closed.
func Run(t *testing.T, newBackend func(t *testing.T) backend.Backend) {
	if newBackend == nil {
		t.Fatal("backendtest: Run: newBackend is nil: must be given")
	}
	for _, c := range []struct {
		name string
		test func(*probe)
	}{
		{"FullBurst", testFullBurst},
		{"BurstSharedByBatch", testBurstSharedByBatch},
		{"SlotsFollowTheClock", testSlotsFollowTheClock},
		{"HorizonZero", testHorizonZero},
		{"HorizonBounded", testHorizonBounded},
		{"HorizonUnlimited", testHorizonUnlimited},
		{"NotBefore", testNotBefore},
		{"AllOrNothing", testAllOrNothing},
		{"AllAtOneSlot", testAllAtOneSlot},
		{"Binding", testBinding},
		{"BatchOrder", testBatchOrder},
		{"BatchEmpty", testBatchEmpty},
		{"NoLimits", testNoLimits},
		{"ManyLimits", testManyLimits},
		{"Invalid", testInvalid},
		{"InvalidAmongValid", testInvalidAmongValid},
		{"Cost", testCost},
		{"HoldExtendsOnly", testHoldExtendsOnly},
		{"HoldIsPerKey", testHoldIsPerKey},
		{"HoldUnknownKey", testHoldUnknownKey},
		{"HoldUnderDebt", testHoldUnderDebt},
		{"HoldFarAhead", testHoldFarAhead},
		{"HeldBy", testHeldBy},
		{"HeldByWithinHorizon", testHeldByWithinHorizon},
		{"Clear", testClear},
		{"ParamsRaised", testParamsRaised},
		{"ParamsLowered", testParamsLowered},
		{"ParamsTold", testParamsTold},
		{"ParamsAlternate", testParamsAlternate},
		{"ParamsUnlimitedHorizon", testParamsUnlimitedHorizon},
		{"KeysOfAnyBytes", testKeysOfAnyBytes},
		{"KeysInOneRequest", testKeysInOneRequest},
		{"CancelledContext", testCancelledContext},
		{"ConcurrentChain", testConcurrentChain},
		{"ConcurrentWindows", testConcurrentWindows},
		{"ConcurrentAllOrNothing", testConcurrentAllOrNothing},
		{"ReleaseGivesBack", testReleaseGivesBack},
		{"ReleaseTwice", testReleaseTwice},
		{"ReleaseInAnyOrder", testReleaseInAnyOrder},
		{"ReleaseOfABurst", testReleaseOfABurst},
		{"ReleaseOfSeveralLimits", testReleaseOfSeveralLimits},
		{"ReleaseNothing", testReleaseNothing},
		{"WatchHolds", testWatchHolds},
		{"WatchReleases", testWatchReleases},
		{"WatchStop", testWatchStop},
		{"Traits", testTraits},
		{"TraitsCheck", testTraitsCheck},
		{"TraitsInProcess", testTraitsInProcess},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBackend(t)
			if b == nil {
				t.Fatal("newBackend() = nil, want a backend")
			}
			c.test(&probe{T: t, b: b, tokens: make(map[time.Time]int64)})
		})
	}
}
