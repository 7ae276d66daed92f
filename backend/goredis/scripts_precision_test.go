package goredis

import (
	"strconv"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
)

// Trap 14: all 16 digits of an instant in microseconds survive the script, what it
// writes, what it reads again and what it answers.
func TestSixteenDigitsSurvive(t *testing.T) {
	client := redistest.Client(t)
	l := newLab(t, client, redistest.Prefix(t))
	p := gcra.FreqLimitParams{Limit: 1_000_000, Period: time.Second, Burst: 1}
	for _, now := range []int64{1_700_000_000_123_456, 1_764_000_003_999_999, 1_764_000_004_000_000, 4_102_444_800_000_001, 8_999_999_999_999_999} {
		l.now = now
		key := strconv.FormatInt(now, 10)
		for i := range int64(3) {
			if d := l.one(backend.Unlimited, limit(key, p)); !d.Granted || d.Token != now+i {
				t.Errorf("slot %d at %d = %+v, want %d", i, now, d, now+i)
			}
		}
		l.now++ // a microsecond tells
		if d := l.one(0, limit(key, p)); d.Granted || d.Token != now+3 {
			t.Errorf("slot of the next = %+v, want it refused until %d", d, now+3)
		}
		want := stored{
			at: float64(now), tat: float64(now + 3), last: float64(now + 2), interval: 1,
			slot: float64(now), cost: 1, count: -3,
		}
		if got := getStored(t, client, l.prefix+key); got != want {
			t.Errorf("state = %+v, want %+v", got, want)
		}
		l.holdKey(t, key, 5)
		want.at, want.closed = float64(now+1), float64(now+6)
		if got := getStored(t, client, l.prefix+key); got != want {
			t.Errorf("state of a held key = %+v, want %+v", got, want)
		}
		l.release(t, []backend.Limit{limit(key, p)}, now+2)
		want.tat, want.last, want.count = float64(now+2), float64(now+1), -2
		if got := getStored(t, client, l.prefix+key); got != want {
			t.Errorf("state after a slot was given back = %+v, want %+v", got, want)
		}
	}
}

// Traps 14 and 16: PX is an integer, the debt rounded up to milliseconds and one
// more: from debts of a microsecond to such of 100 years.
func TestPXIsWholeMilliseconds(t *testing.T) {
	server := redistest.Start(t)
	m := newMonitor(t, server)
	l := newLab(t, server.Client(t), redistest.Prefix(t))
	const century = int64(backend.Unlimited / time.Microsecond)
	for _, extra := range []int64{0, 1, century / 1000} {
		l.ttl = extra
		for _, debt := range []int64{1, 2, 499, 500, 999, 1000, 1001, 1999, 999_999, 1_000_000, 1_000_001, 3_600_000_000, century - 1, century} {
			key := strconv.FormatInt(debt, 10) + "+" + strconv.FormatInt(extra, 10)
			want := strconv.FormatInt((debt+999)/1000+1+extra, 10)
			wants := func(what string) {
				t.Helper()
				if got := m.lastOfSets(t); len(got) != 1 || got[0] != want {
					t.Errorf("PX of %d us of %s and %d ms more = %q, want %s", debt, what, extra, got, want)
				}
			}
			rate := every(time.Duration(debt)*time.Microsecond, 1)
			l.takes(limit(key, rate))
			wants("debt")
			l.holdKey(t, key+" held", debt)
			wants("hold")
		}
	}
}

// The TTL lasts until the end of the debt or of a hold, whichever is later. A line doesn't lengthen
// it.
func TestPXCountsToTheLatest(t *testing.T) {
	server := redistest.Start(t)
	m := newMonitor(t, server)
	l := newLab(t, server.Client(t), redistest.Prefix(t))
	l.ttl = 0
	second := limit("k", every(time.Second, 1))
	wants := func(what, want string) {
		t.Helper()
		if got := m.lastOfSets(t); len(got) != 1 || got[0] != want {
			t.Errorf("PX of a key with %s = %q, want %s", what, got, want)
		}
	}
	l.takes(second)
	wants("a debt of 1 s", "1001")
	l.pass(100*time.Millisecond + time.Microsecond)
	l.reserve(t, backend.Request{Limits: []backend.Limit{second}, MemberID: 1})
	wants("a line", "901")
	l.holdKey(t, "k", 500_000)
	wants("debt beyond its hold", "901")
	l.holdKey(t, "k", 4_000_000)
	wants("a hold beyond its debt", "4001")
}
