package backendtest

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// JournalStore is where a journal keeps what it has written, such as a file.
type JournalStore interface {
	// Open opens the journal. It is called again only after closeJournal was.
	Open() (b backend.Backend, closeJournal func() error, err error)

	// Clone copies the store as a crash would leave it now: with all that the journal has
	// reported as durable. The journal goes on working, but no call is under way. If copying
	// fails, Clone fails the test.
	Clone() JournalStore
}

// TornStore is an optional ability of a [JournalStore].
type TornStore interface {
	// Torn copies the store as a crash in the middle of a write would leave it: with a part of what was
	// written since another clone was made. n chooses the part: any number from 0 to 1, more
	// is written with a larger one.
	Torn(since JournalStore, n float64) JournalStore
}

// FullStore is an optional ability of a [JournalStore].
type FullStore interface {
	// SetFull says whether there is room for more. It is called while the journal is open.
	SetFull(full bool)
}

// CheckedStore is an optional ability of a [JournalStore].
type CheckedStore interface {
	// Check walks the whole store, while its journal is closed, and returns an error if it
	// contradicts itself.
	Check() error
}

// RunJournal tests a [backend.Journal]. It calls newStore once for each subtest, for an empty
// store that nothing else uses. To test the backend's limits too, call [Run].
//
// It opens the store's clones again and again, as they are after each write. What was reported as
// durable must be there, a change that was not may be there, and never a part of one. Tests for
// which the store lacks an optional ability are skipped.
func RunJournal(t *testing.T, newStore func(t *testing.T) JournalStore) {
	if newStore == nil {
		t.Fatal("backendtest: RunJournal: newStore is nil: must be given")
	}
	for _, c := range []struct {
		name string
		test func(*journal)
	}{
		{"Empty", testJournalEmpty},
		{"KeepsAllFields", testJournalKeepsAllFields},
		{"OddStrings", testJournalOddStrings},
		{"Pages", testJournalPages},
		{"NumbersInAnyOrder", testJournalNumbersInAnyOrder},
		{"NextNumber", testJournalNextNumber},
		{"AddedTwice", testJournalAddedTwice},
		{"Find", testJournalFind},
		{"Requeued", testJournalRequeued},
		{"Ended", testJournalEnded},
		{"DiedAndRevived", testJournalDiedAndRevived},
		{"Replaced", testJournalReplaced},
		{"Settings", testJournalSettings},
		{"InOrderOfTheFields", testJournalInOrderOfTheFields},
		{"Repeated", testJournalRepeated},
		{"Claims", testJournalClaims},
		{"RefusedClaimsNothing", testJournalRefusedClaimsNothing},
		{"ClaimOfNoJob", testJournalClaimOfNoJob},
		{"LimitsSurvive", testJournalLimitsSurvive},
		{"LimitsWithoutJobsSurvive", testJournalLimitsWithoutJobsSurvive},
		{"HoldsSurvive", testJournalHoldsSurvive},
		{"ReleaseSurvivesClose", testJournalReleaseSurvivesClose},
		{"ClearSurvives", testJournalClearSurvives},
		{"ContextEnded", testJournalContextEnded},
		{"KeepsNothingOfTheCaller", testJournalKeepsNothingOfTheCaller},
		{"Concurrent", testJournalConcurrent},
		{"CrashAfterEachWrite", testJournalCrashAfterEachWrite},
		{"CrashInEachWrite", testJournalCrashInEachWrite},
		{"Full", testJournalFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(openJournal(t, newStore(t)))
		})
	}
}

// journal is an open journal.
type journal struct {
	*probe
	backend.Journal
	store JournalStore
	close func()
}

// openJournal opens a store until the test ends, if it is not closed before.
func openJournal(t *testing.T, store JournalStore) *journal {
	t.Helper()
	b, closeJournal, err := store.Open()
	if err != nil {
		t.Fatalf("Open() = %v, want nil", err)
	}
	closed := false
	j := &journal{probe: &probe{T: t, b: b, tokens: make(map[time.Time]int64)}, store: store}
	j.close = func() {
		t.Helper()
		if closed {
			return
		}
		closed = true
		if err := closeJournal(); err != nil {
			t.Errorf("closing the journal = %v, want nil", err)
		}
		if s, ok := store.(CheckedStore); ok {
			if err := s.Check(); err != nil {
				t.Errorf("Check() of the store = %v, want nil", err)
			}
		}
	}
	t.Cleanup(j.close)
	if j.Journal = backend.TraitsOf(b).Journal; j.Journal == nil {
		t.Fatal("the backend is no Journal")
	}
	return j
}

// crashed returns the journal as the next process finds it after a crash.
func (j *journal) crashed() *journal {
	j.Helper()
	return openJournal(j.T, j.store.Clone())
}

// reopened returns the journal after an orderly end.
func (j *journal) reopened() *journal {
	j.Helper()
	j.close()
	return openJournal(j.T, j.store)
}

// writes makes changes, and wants them to be made.
func (j *journal) writes(c backend.Changes) {
	j.Helper()
	if err := j.Write(j.Context(), &c); err != nil {
		j.Fatalf("Write(%s) = %v, want nil", brief(c), err)
	}
}

// claims reserves for a job, and wants it granted.
func (j *journal) claims(number int64, limits ...backend.Limit) backend.Decision {
	j.Helper()
	d := j.batch(backend.Request{Limits: limits, Horizon: backend.Unlimited, Job: number})[0]
	if !d.Granted {
		j.Fatalf("Reserve() for job %d = %+v, want it granted", number, d)
	}
	return d
}

// keeps wants the journal to keep what a model says, also after a crash and after an orderly end.
// It closes the journal.
func (j *journal) keeps(want *model) {
	j.Helper()
	j.keepsNow("the journal", want)
	j.crashed().keepsNow("the journal after a crash", want)
	j.reopened().keepsNow("the journal after a restart", want)
}

func (j *journal) keepsNow(what string, want *model) {
	j.Helper()
	got, err := readModel(j.Context(), j.Journal)
	if err != nil {
		j.Fatalf("%s: %v", what, err)
	}
	if diff := got.differsFrom(want); diff != "" {
		j.Fatalf("%s: %s", what, diff)
	}
}
