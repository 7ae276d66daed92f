package goredis

import (
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

const msec = time.Millisecond

// reachOfTests is the horizon that members ask with: a turn begins 20 ms before its slot.
const reachOfTests = 40 * msec

// by makes a member ask.
func by(member uint32, limits ...backend.Limit) backend.Request {
	return backend.Request{Limits: limits, Horizon: reachOfTests, MemberID: member, MinHorizon: reachOfTests}
}

// asks has a member ask for one slot.
func (l *lab) asks(member uint32, limits ...backend.Limit) backend.Decision {
	l.t.Helper()
	return l.reserve(l.t, by(member, limits...))[0]
}

// waits wants a member to be refused, and its turn to begin so far ahead.
func (l *lab) waits(member uint32, want time.Duration, limits ...backend.Limit) {
	l.t.Helper()
	if d := l.asks(member, limits...); d.Granted || l.ahead(d.RetryAt) != want {
		l.t.Errorf("decision for member %d = %+v, want it refused, and its turn %v ahead", member, d, want)
	}
}

// gets wants a member to be granted a slot so far ahead.
func (l *lab) gets(member uint32, want time.Duration, limits ...backend.Limit) {
	l.t.Helper()
	if d := l.asks(member, limits...); !d.Granted || l.ahead(d.Slot) != want {
		l.t.Errorf("decision for member %d = %+v, want it granted %v ahead", member, d, want)
	}
}

// takesTurn wants a member that asks for more to be granted n slots, the first so far ahead, and
// to be told its next turn.
func (l *lab) takesTurn(member uint32, n int, first, next time.Duration, k backend.Limit) {
	l.t.Helper()
	ds := l.reserve(l.t, slices.Repeat([]backend.Request{by(member, k)}, n+2)...)
	granted := 0
	for _, d := range ds {
		if d.Granted {
			granted++
		}
	}
	if granted != n || l.ahead(ds[0].Slot) != first || l.ahead(ds[n].RetryAt) != next {
		l.t.Errorf("decisions for member %d = %+v, want %d granted, the first %v ahead, and the next turn %v ahead", member, ds, n, first, next)
	}
}

func (l *lab) ahead(at time.Time) time.Duration {
	return time.Duration(at.UnixMicro()-l.now) * time.Microsecond
}

func newTurnLab(t *testing.T) *lab { return newLab(t, redistest.Client(t), redistest.Prefix(t)) }

// Turns at a fast limit are as far apart as its slots in 25 ms, and those who are in line
// keep theirs. Who has taken its part goes to the end.
func TestTurnsAtAFastLimit(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(10*msec, 1))
	for range 10 {
		l.one(backend.Unlimited, k) // a debt of 100 ms
	}
	for range 2 {
		l.waits(1, 80*msec, k) // 20 ms before its slot
		l.waits(2, 100*msec, k)
		l.waits(3, 120*msec, k)
	}
	l.pass(80 * msec)
	l.takesTurn(1, 2, 20*msec, 60*msec, k) // two slots, 10 ms apart; then come 2, 3 and it
	l.waits(3, 40*msec, k)
	l.pass(20 * msec)
	l.gets(2, 20*msec, k)
}

// Turns at a slow limit are 20 ms apart, in case that somebody does not come; but each
// slot that is taken moves those that come after it.
func TestTurnsAtASlowLimit(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	l.waits(1, 980*msec, k)
	l.waits(2, 1000*msec, k)
	l.waits(3, 1020*msec, k)
	l.pass(980 * msec)
	l.gets(1, 20*msec, k)
	l.waits(2, 1000*msec, k)
	l.waits(1, 1040*msec, k)
}

// A turn begins as early as the member that is furthest away needs it, and turns at a slow
// limit are so far apart that it hears in time of one that was used.
func TestTurnsOfOneFarAway(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	far := by(1, k)
	far.MinHorizon, far.Horizon = 240*msec, 240*msec
	if d := l.reserve(l.t, far)[0]; l.ahead(d.RetryAt) != 880*msec || d.MinHorizon != 240*msec {
		t.Errorf("decision for one far away = %+v, want a turn 120 ms before its slot", d)
	}
	if d := l.asks(2, k); l.ahead(d.RetryAt) != (1000-120+90)*msec || d.MinHorizon != 240*msec {
		t.Errorf("decision for one nearby = %+v, want the reach of the other, and a turn 90 ms after its", d)
	}
}

// A member that misses its turn is passed by the next one. From then on it holds up nobody, and may
// come at any time.
func TestTurnsOfThoseWhoDoNotCome(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for member := range uint32(5) {
		l.waits(1+member, (980+time.Duration(member)*20)*msec, k)
	}
	l.pass(1039 * msec) // 4, a millisecond before its turn, is on time
	l.gets(4, 0, k)
	l.waits(5, 980*msec, k)
	l.waits(4, 1000*msec, k)
	l.waits(2, 980*msec, k)
	l.pass(980 * msec)
	l.gets(2, 20*msec, k)
	l.waits(5, 1000*msec, k)
	l.waits(2, 1040*msec, k) // at the end, behind 4

	// Those who do not come back are forgotten in the end.
	for range 10 {
		l.pass(1100 * msec)
		l.gets(5, 0, k)
	}
	if got := len(getStored(t, l.client, l.prefix+"k").line) / 24; got != 0 {
		t.Errorf("%d stand in line at the end, want none", got)
	}
}

// A member that comes when nobody is due need not stand in line first.
func TestTurnWhenNobodyComes(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	l.waits(1, 980*msec, k)
	l.waits(2, 1000*msec, k)
	l.pass(1020 * msec)
	l.gets(3, 0, k)
}

// What one takes in a turn leaves the others theirs, whatever its Burst: two with bursts
// of 100 and 1 share the limit evenly.
func TestTurnsOfBursts(t *testing.T) {
	l := newTurnLab(t)
	bursty, plain := limit("k", every(20*msec, 100)), limit("k", every(20*msec, 1))
	for range 10 {
		l.one(backend.Unlimited, plain)
	}
	l.waits(1, 180*msec, plain)
	l.waits(2, 200*msec, bursty) // although for it the limit is open
}

// A member that saves up for a large cost is not overtaken.
func TestTurnsOfManyUnits(t *testing.T) {
	l := newTurnLab(t)
	light := limit("k", every(time.Second, 6))
	heavy := light
	heavy.Cost = 6
	l.takes(heavy)
	l.waits(1, 5980*msec, heavy)
	l.waits(2, 6000*msec, light)
	l.pass(5980 * msec)
	l.gets(1, 20*msec, heavy)
	l.waits(2, 1000*msec, light)
}

// A hold ends with a whole burst. The first in line takes all of it.
func TestTurnsAfterAHold(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 4))
	l.takes(k)
	l.holdKey(t, "k", (30 * time.Second).Microseconds())
	for member := range uint32(4) {
		l.waits(1+member, 29_980*msec+time.Duration(member)*20*msec, k)
	}
	l.pass(29_980 * msec)
	l.takesTurn(1, 4, 20*msec, 1060*msec, k)
}

// The requests of a batch have one turn at each limit. It is computed after the last of them.
func TestOneTurnForABatch(t *testing.T) {
	l := newTurnLab(t)
	a, b := limit("a", every(time.Second, 1)), limit("b", every(5*time.Second, 1))
	l.takes(a, b)
	l.waits(9, 980*msec, a)
	ds := l.reserve(t, by(1, a), by(1, b), by(1, a, b), by(1, a), request(a))
	for i, want := range []time.Duration{1000 * msec, 4980 * msec, 4980 * msec, 1000 * msec} {
		if got := l.ahead(ds[i].RetryAt); got != want {
			t.Errorf("turn of request %d = %v ahead, want %v", i, got, want)
		}
	}
	if !ds[4].RetryAt.IsZero() {
		t.Errorf("turn of who is no member = %v, want none", ds[4].RetryAt)
	}
}

// Whose turn it is at one of its limits may take slots of the others, unless others' slots
// would go unused.
func TestTurnsAtTwoLimits(t *testing.T) {
	l := newTurnLab(t)
	bot, tenant := limit("bot", every(10*msec, 1)), limit("tenant", every(40*msec, 1))
	l.takes(bot)
	for range 2 {
		l.one(backend.Unlimited, tenant)
	}
	l.waits(1, 60*msec, tenant)
	l.waits(2, 80*msec, bot, tenant)
	for range 7 {
		l.one(backend.Unlimited, bot)
	}
	l.waits(3, 60*msec, bot)
	l.pass(60 * msec)
	l.gets(1, 20*msec, bot, tenant) // it is the turn of 3 at the bot

	// The bot's slots before the tenant's slot would be lost.
	for range 2 {
		l.one(backend.Unlimited, tenant)
	}
	l.pass(100 * msec)
	if d := l.asks(2, bot, tenant); d.Granted || d.Binding != 1 || l.ahead(d.Slot) != 40*msec {
		t.Errorf("decision for one whose slot would waste those of others = %+v, want it refused by the tenant", d)
	}
}

// Trap 5: when the server's clock is set back, lines start empty.
func TestTurnsWhenTheClockIsSetBack(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for member := range uint32(20) {
		l.asks(1+member, k)
	}
	l.pass(-time.Hour)
	l.waits(30, 980*msec, k)
	l.waits(31, 1000*msec, k)
}

// Refusals that no limit explains have no turn but the slot.
func TestTurnBeforeNotBefore(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	for member := range uint32(3) {
		r := by(1+member, k)
		r.NotBefore = time.UnixMicro(l.now).Add(time.Minute)
		if d := l.reserve(t, r)[0]; l.ahead(d.RetryAt) != time.Minute {
			t.Errorf("turn = %v ahead, want a minute", l.ahead(d.RetryAt))
		}
	}
	l.takes(k)
}

// A line has a maximum length. A member that finds it full gets a turn behind it, without being
// stored in it.
func TestLongLine(t *testing.T) {
	l := newTurnLab(t)
	k := limit("k", every(time.Second, 1))
	l.takes(k)
	for member := range uint32(300) {
		l.waits(1+member, 980*msec+time.Duration(min(member, 256))*20*msec, k)
	}
	if got := len(getStored(t, l.client, l.prefix+"k").line) / 24; got != maxLine {
		t.Errorf("%d stand in line, want %d", got, maxLine)
	}
}

// Members in the line of a slow limit are told of each slot that is taken, by any member. Members
// at a fast limit, and a member that is alone, are not.
func TestTurnsAreTold(t *testing.T) {
	client := redistest.Client(t)
	b := newBackend(t, client, Config{})
	changes := make(chan backend.Change, 100)
	defer b.Watch(func(c backend.Change) {
		if c.Kind == backend.ChangeRetryAt || c.Kind == backend.ChangeCurrent {
			changes <- c
		}
	})()
	<-changes // it is current
	slow, fast := limit("slow", every(time.Second, 1)), limit("fast", every(10*msec, 1))
	for range 20 {
		decide(t, b, booking(fast))
	}
	decide(t, b, request(slow))
	decide(t, b, by(1, slow))
	decide(t, b, by(1, fast), by(2, fast))
	booked := time.Now()
	decide(t, b, booking(slow), booking(fast)) // 1 is alone in line: it is told, for another has taken a slot
	decide(t, b, by(2, slow))
	decide(t, b, booking(slow))
	var got []uint32
	for range 3 {
		select {
		case c := <-changes:
			got = append(got, c.MemberID)
			if turn := c.Until.Sub(booked); c.Key != "slow" || turn < 1900*msec || turn > 3*time.Second || c.TAT.Before(c.Until) || c.Is != time.Second || c.MinHorizon != reachOfTests {
				t.Errorf("change = %+v, %v from now, want the turn at a slot of the slow limit", c, turn)
			}
		case <-time.After(patience):
			t.Fatalf("told are members %v, want 1, 1 and 2", got)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint32{1, 1, 2}) {
		t.Errorf("told are members %v, want 1, 1 and 2", got)
	}
	select {
	case c := <-changes:
		t.Errorf("told is also %+v, want nothing", c)
	case <-time.After(50 * msec):
	}
}

// Malformed messages are ignored.
func TestTurnsThatAreCrafted(t *testing.T) {
	b := newBackend(t, redistest.Client(t), Config{})
	told := 0
	defer b.news.watchers.Add(func(backend.Change) { told++ })()
	whole := string(appendNumber(appendNumber(appendNumber(nil, 1), 2), 3)) + "\x00\x00\x00\x00\x01\x00\x00\x00" + "\x07\x00\x00\x00" + string(appendNumber(nil, 3)) + b.prefix + "k"
	b.hearTurns(whole)
	if told != 1 {
		t.Fatalf("told = %d, want the turn that a whole message is of", told)
	}
	for _, message := range []string{"", whole[:10], whole[:len(whole)-len(b.prefix)-1], whole[:28] + "\xff\xff\xff\xff" + whole[32:], whole[:28] + "\x02\x00\x00\x00" + whole[32:]} {
		b.hearTurns(message)
	}
	if told != 1 {
		t.Errorf("told = %d, want no more", told)
	}
}
