package goredis

import (
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// inTurn asks, within a horizon, and for a turn.
func inTurn(horizon time.Duration, limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits, Horizon: horizon, InTurn: true}
}

// turn wants a request to be refused, and returns how far ahead its turn is; -1 if
// it has none.
func (l *lab) turn(r backend.Request) time.Duration {
	l.t.Helper()
	return l.ahead(r, l.reserve(l.t, r)[0])
}

func (l *lab) ahead(r backend.Request, d backend.Decision) time.Duration {
	l.t.Helper()
	if d.Granted {
		l.t.Fatalf("reserve(%+v) = %+v, want it refused", r, d)
	}
	if d.Turn.IsZero() {
		return -1
	}
	return time.Duration(d.Turn.UnixMicro()-l.now) * time.Microsecond
}

func (l *lab) wantsTurn(r backend.Request, want time.Duration) {
	l.t.Helper()
	if got := l.turn(r); got != want {
		l.t.Errorf("turn of %+v = %v ahead, want %v", r, got, want)
	}
}

func newTurnLab(t *testing.T) *lab { return newLab(t, redistest.Client(t), redistest.Prefix(t)) }

// The first who is refused is told the slot, each further one a turn an interval
// after the one before. Who does not ask for one gets none, and takes none.
func TestTurnsFollowEachOther(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for i := range 5 {
		l.wantsTurn(inTurn(0, k), time.Duration(i+1)*time.Second)
		l.wantsTurn(request(k), -1)
	}
	l.pass(300 * time.Millisecond)
	l.wantsTurn(inTurn(0, k), 5700*time.Millisecond)

	// Those who have turns take what is open then; the turns go on.
	l.pass(700 * time.Millisecond)
	if d := l.reserve(t, inTurn(0, k))[0]; !d.Granted || !d.Turn.IsZero() {
		t.Errorf("decision at the first turn = %+v, want it granted, and no Turn", d)
	}
	l.wantsTurn(inTurn(0, k), 6*time.Second)
}

// Turns are apart by an interval, or by half the horizon if that is more: whole
// intervals of it, since who has a turn takes all that is open within the horizon.
func TestTurnsAreApart(t *testing.T) {
	l := newTurnLab(t)
	for _, c := range []struct {
		interval, horizon time.Duration
		want              time.Duration
	}{
		{time.Second, 0, time.Second},
		{time.Second, 900 * time.Millisecond, time.Second},
		{10 * time.Millisecond, 500 * time.Millisecond, 250 * time.Millisecond},
		{70 * time.Millisecond, 500 * time.Millisecond, 210 * time.Millisecond},
		{125 * time.Millisecond, 500 * time.Millisecond, 250 * time.Millisecond},
		{126 * time.Millisecond, 500 * time.Millisecond, 126 * time.Millisecond},
	} {
		k := limit(c.want.String()+c.interval.String()+c.horizon.String(), every(c.interval, 100))
		k.Cost = 100
		for range 2 {
			l.one(backend.Unlimited, k)
		}
		k.Cost = 1
		slot := l.refused(k)
		for i := range 4 {
			l.wantsTurn(inTurn(c.horizon, k), slot+time.Duration(i)*c.want)
		}
	}
}

// Those who save up for many units do not hold up those who want one.
func TestTurnsOfManyUnits(t *testing.T) {
	l := newTurnLab(t)
	light := limit("k", every(time.Second, 6))
	heavy := light
	heavy.Cost = 6
	l.takes(heavy)
	l.wantsTurn(inTurn(0, heavy), 6*time.Second)
	l.wantsTurn(inTurn(0, light), 2*time.Second)
	l.wantsTurn(inTurn(0, heavy), 6*time.Second)
	l.wantsTurn(inTurn(0, light), 4*time.Second)
}

// Turns are given ten seconds ahead at most: of those who do not come for theirs no
// more is lost. A limit that is slower gives none: all are told the slot.
func TestTurnsAreNear(t *testing.T) {
	l := newTurnLab(t)
	fast, slow := limit("fast", every(100*time.Millisecond, 1)), limit("slow", every(4*time.Second, 1))
	slowest := limit("slowest", every(time.Minute, 1))
	l.takes(fast, slow, slowest)
	for i := range 200 {
		l.wantsTurn(inTurn(0, fast), min(time.Duration(i+1)*100*time.Millisecond, 10_100*time.Millisecond))
		l.wantsTurn(inTurn(0, slow), min(time.Duration(i+1)*4*time.Second, 14*time.Second))
		l.wantsTurn(inTurn(0, slowest), time.Minute)
	}
}

// A hold ends with the whole burst, for as many as that is: only those beyond it
// have turns of their own.
func TestTurnsAfterAHold(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 4))
	l.takes(k)
	l.holdKey(t, "k", (30 * time.Second).Microseconds())
	for i := range 8 {
		l.wantsTurn(inTurn(0, k), 30*time.Second+time.Duration(max(0, i-3))*time.Second)
	}
}

// One batch gets one turn at each limit, whoever of it asks, but none before its
// own slot; the next batch gets the next.
func TestOneTurnForABatch(t *testing.T) {
	l := newTurnLab(t)
	a, b := limit("a", every(time.Second, 2)), limit("b", every(5*time.Second, 1))
	both := a
	both.Cost = 2
	l.takes(both, b)
	batch := []backend.Request{inTurn(0, a), inTurn(0, a), inTurn(0, b), inTurn(0, both), inTurn(0, a, b), request(a), inTurn(0, a)}
	for i, want := range [][]time.Duration{
		{1000, 1000, 5_000, 2000, 5_000, -1, 1000},
		{2000, 2000, 10_000, 2000, 10_000, -1, 2000},
		{3000, 3000, 15_000, 3000, 15_000, -1, 3000},
	} {
		for j, d := range l.reserve(t, batch...) {
			if got := l.ahead(batch[j], d); got != want[j]*time.Millisecond && (want[j] >= 0 || got != -1) {
				t.Errorf("turn of request %d of batch %d = %v ahead, want %d ms", j, i, got, want[j])
			}
		}
	}
}

// When a limit has been idle those who had turns are gone: the next one who is
// refused is told the slot again.
func TestTurnsOfAnIdleLimitEnd(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for i := range 9 {
		l.wantsTurn(inTurn(0, k), time.Duration(i+1)*time.Second)
	}
	l.pass(2*time.Second + time.Microsecond) // a slot has gone by, and another
	l.takes(k)
	l.wantsTurn(inTurn(0, k), time.Second)
}

// Trap 5: when the server's clock is set back, turns begin anew.
func TestTurnsWhenTheClockIsSetBack(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for range 20 {
		l.turn(inTurn(0, k))
	}
	l.pass(-time.Hour)
	for i := range 3 {
		l.wantsTurn(inTurn(0, k), time.Duration(i+1)*time.Second)
	}
}

// Refusals that no limit explains have no turn but the slot.
func TestTurnBeforeNotBefore(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	for range 3 {
		r := inTurn(0, k)
		r.NotBefore = time.UnixMicro(l.now).Add(time.Minute)
		l.wantsTurn(r, time.Minute)
	}
	l.takes(k)
}

// A slot that a slow limit puts off is not taken, by one who asks in turn, of a
// fast limit for whose slots others have turns: they would be lost.
func TestSlotsAreNotTakenFromTurns(t *testing.T) {
	l := newTurnLab(t)
	fast, slow := limit("fast", every(10*time.Millisecond, 1)), limit("slow", every(100*time.Millisecond, 1))
	const horizon = 200 * time.Millisecond
	l.takes(fast, slow)
	polite := inTurn(horizon, fast, slow)

	l.wantsTurn(inTurn(0, fast), 10*time.Millisecond) // from here on others have a turn
	d := l.reserve(t, polite)[0]
	if d.Granted || d.Binding != 1 || d.Stamp != l.now+100_000 {
		t.Errorf("decision = %+v, want it refused by the slow limit, in 100 ms", d)
	}
	if got := l.refused(fast); got != 10*time.Millisecond {
		t.Errorf("next slot of the fast limit = %v ahead, want 10ms: it was not charged", got)
	}

	// Within an interval of the fast limit nothing is lost.
	l.wantsTurn(inTurn(0, fast), 20*time.Millisecond)
	l.pass(10 * time.Millisecond)
	l.takes(fast)
	for range 20 {
		l.turn(inTurn(0, fast))
	}
	l.pass(81*time.Millisecond - time.Microsecond)
	if d := l.reserve(t, polite)[0]; !d.Granted || d.Stamp != l.now+9_001 {
		t.Errorf("decision = %+v, want it granted in 9.001 ms", d)
	}
}

// What is not asked for in turn, or without a horizon, or put off by its own
// NotBefore, takes the slot all the same.
func TestSlotsAreTakenByOthers(t *testing.T) {
	l := newTurnLab(t)
	fast, slow := limit("fast", every(10*time.Millisecond, 1)), limit("slow", every(100*time.Millisecond, 9))
	full := slow
	full.Cost = 9
	const horizon = 10 * time.Second
	l.takes(fast, full)
	for range 200 {
		l.turn(inTurn(0, fast))
	}
	later := inTurn(horizon, fast)
	later.NotBefore = time.UnixMicro(l.now).Add(time.Second)
	for i, c := range []struct {
		request backend.Request
		want    time.Duration
	}{
		{backend.Request{Limits: []backend.Limit{fast, slow}, Horizon: horizon}, 100 * time.Millisecond},
		{inTurn(backend.Unlimited, fast, slow), 200 * time.Millisecond},
		{later, time.Second},
	} {
		d := l.reserve(t, c.request)[0]
		if ahead := time.Duration(d.Stamp-l.now) * time.Microsecond; !d.Granted || ahead != c.want {
			t.Errorf("decision %d = %+v, want it granted %v ahead", i, d, c.want)
		}
	}
}
