package turns

import (
	"slices"
	"testing"
)

// What the scripts of package goredis do is compared with this package there, and what fleets
// make of it is tested in the package dispatcher.

var rules = Rules{Step: 25, SlowStep: 20, Forget: 5000, Longest: 4}

// hall is one limit, at which members ask for slots with a horizon of 40.
type hall struct {
	t        *testing.T
	now, tat int64
	interval int64
	line     Line
}

// asks has a member ask for n slots, and returns how many it gets and when its next turn begins.
func (h *hall) asks(member uint32, n int) (granted int, turn int64) {
	granted, told := h.asksAhead(member, n, 40, 40)
	return granted, told.RetryAt
}

// asksAhead is asks with other horizons, and returns all that the member is told.
func (h *hall) asksAhead(member uint32, n int, horizon, minHorizon int64) (granted int, told Answer) {
	b := NewBatch(rules, h.now)
	for i := range n {
		r := Request{Member: member, MinHorizon: minHorizon, Limits: []Asked{{Key: "k", Line: &h.line, Limit: h.limit()}}}
		slot, binding := h.now, -1
		if h.tat > slot {
			slot, binding = h.tat, 0
		}
		had, out, wastes := b.May(r, slot, binding)
		if wastes {
			h.t.Errorf("a slot of the only limit is wasted")
		}
		if slot-h.now <= horizon && had < 0 && out < 0 {
			h.tat = slot + h.interval
			b.Granted(r)
			granted++
			continue
		}
		b.Refused(i, r, max(binding, had, out))
	}
	for _, a := range b.End(func(string) Limit { return h.limit() }) {
		told = a
	}
	return granted, told
}

func (h *hall) limit() Limit { return Limit{TAT: h.tat, Interval: h.interval} }

func (h *hall) want(member uint32, n, granted int, turn int64) {
	h.t.Helper()
	if g, at := h.asks(member, n); g != granted || at != turn {
		h.t.Errorf("at %d member %d is granted %d slots and told %d, want %d and %d", h.now, member, g, at, granted, turn)
	}
}

func (h *hall) wantLine(members ...uint32) {
	h.t.Helper()
	var got []uint32
	for _, w := range h.line.Waiters {
		got = append(got, w.Member)
	}
	if !slices.Equal(got, members) {
		h.t.Errorf("at %d in line are %d, want %d", h.now, got, members)
	}
}

// Members get equal parts of a fast limit, each at the time that it was told.
func TestFastLimit(t *testing.T) {
	h := &hall{t: t, interval: 5, tat: 100}
	h.want(1, 9, 0, 80)
	h.want(2, 9, 0, 105)
	h.want(3, 9, 0, 130)
	for round := int64(1); round <= 5; round++ {
		for member := range uint32(3) {
			at := 80 + (round-1)*75 + int64(member)*25
			h.now = at
			h.want(1+member, 9, 5, at+75)
		}
	}
	h.wantLine(1, 2, 3)
}

// A member that comes too early is told its turn again, and keeps its place.
func TestTooEarly(t *testing.T) {
	h := &hall{t: t, interval: 5, tat: 100}
	h.want(1, 1, 0, 80)
	h.want(2, 1, 0, 105)
	h.now = 90
	h.want(2, 1, 0, 105)
	h.want(3, 1, 0, 130)
	h.wantLine(1, 2, 3)
	h.now = 93 // 12 too early is on time
	h.want(2, 9, 5, 130)
}

// A member that misses its turn is passed. Nobody waits for it any more, it may come late, and it is
// forgotten in the end.
func TestPassed(t *testing.T) {
	h := &hall{t: t, interval: 1000, tat: 1000}
	h.want(1, 2, 0, 980)
	h.want(2, 2, 0, 1000)
	h.want(3, 2, 0, 1020)
	h.now = 1000
	h.want(2, 2, 1, 2000)
	h.wantLine(1, 3, 2)
	if h.line.Waiters[0].Passed != 1000 || h.line.Contended(3) != true {
		t.Errorf("the line is %+v, want the first passed", h.line.Waiters)
	}
	h.want(1, 2, 0, 1980)
	h.now = 1980
	h.want(1, 2, 1, 3020)
	h.wantLine(3, 2, 1)
	for h.now < 10_000 {
		h.now += 1100
		h.asks(1, 1)
	}
	h.wantLine()
}

// A member that takes slots far ahead, and has too few jobs to be refused, does not keep out one that
// is near, although the near one once comes late and is passed.
func TestFarAndNear(t *testing.T) {
	const near, far = 1, 2
	h := &hall{t: t, interval: 3, tat: 30}
	var slots [10]int // of the near member, in each second
	horizon, nearAt, farAt := int64(40), int64(0), int64(0)
	for h.now = 0; h.now < 10_000; h.now++ {
		if h.now >= farAt {
			n, told := h.asksAhead(far, 20, 1000, 400)
			farAt = max(told.RetryAt, h.now+3) // it asks again at once
			if n > 0 {
				farAt = h.now + 30 // when it has jobs again
			}
		}
		if h.now == 2000 {
			nearAt, horizon = 2100, 40
		}
		if h.now >= nearAt {
			n, told := h.asksAhead(near, 20, horizon, 40)
			slots[h.now/1000] += n
			horizon = max(40, told.MinHorizon)
			nearAt = max(told.RetryAt, h.now+1)
		}
	}
	for second, n := range slots {
		if n < 50 {
			t.Errorf("in second %d the near member has %d of 333 slots, want 50 at least", second, n)
		}
	}
}

// A line has a maximum length.
func TestLongest(t *testing.T) {
	h := &hall{t: t, interval: 1000, tat: 1000}
	for member := range uint32(6) {
		h.want(1+member, 1, 0, 980+20*int64(min(member, 4)))
	}
	h.wantLine(1, 2, 3, 4)
}

// A turn begins as early as the one needs who needs most, and at a slow limit turns are as far
// apart as it takes to hear of one that was used.
func TestLead(t *testing.T) {
	l := &Line{Waiters: []Waiter{{Member: 1, MinHorizon: 40}, {Member: 2, MinHorizon: 400}, {Member: 3, MinHorizon: 80}}}
	if got := l.Lead(); got != 200 {
		t.Errorf("Lead() = %d, want 200", got)
	}
	for interval, want := range map[int64]int64{5: 25, 10: 20, 12: 24, 13: 150, 1000: 150} {
		if got := rules.step(l, interval); got != want {
			t.Errorf("step at an interval of %d = %d, want %d", interval, got, want)
		}
	}
}

// Members that find the line full get their parts too, because a member that has taken its part makes
// room.
func TestMoreThanTheLineHolds(t *testing.T) {
	h := &hall{t: t, interval: 20, tat: 100}
	got, next := map[uint32]int{}, map[uint32]int64{}
	for h.now < 10_000 {
		for member := range uint32(6) {
			if h.now < next[member] {
				continue
			}
			n, turn := h.asks(1+member, 2)
			got[member] += n
			next[member] = max(turn, h.now+1)
		}
		h.now++
	}
	for member, n := range got {
		if n < 40 {
			t.Errorf("member %d has %d of 500 slots, want about 80", 1+member, n)
		}
	}
}

// A member that is refused stands in the line of its main limit if the other that refused it is
// open when its turn comes there.
func TestBusiestLimit(t *testing.T) {
	for _, c := range []struct {
		name      string
		main      int
		bot, chat int64 // TATs
		ahead     []Waiter
		at        int
	}{
		{"none is told", 0, 30, 60, nil, 1},
		{"it opens before the other", 1, 30, 60, nil, 1},
		{"it opens with the other, and others wait", 1, 60, 60, []Waiter{{Member: 8}}, 0},
		{"it opens with the other, and nobody waits", 1, 60, 60, nil, 1},
		{"it is open", 1, 10, 12, []Waiter{{Member: 8}}, 1},
		{"others come before it there", 1, 30, 60, []Waiter{{Member: 8}, {Member: 9}}, 0},
		{"they have been passed", 1, 30, 60, []Waiter{{Member: 8, Passed: 1}, {Member: 9, Passed: 1}}, 1},
		{"the main limit has refused it", 1, 90, 60, nil, 0},
		{"the other is the main one", 2, 30, 60, nil, 1},
	} {
		bot, chat := &Line{Waiters: c.ahead}, &Line{}
		limits := map[string]Limit{"bot": {TAT: c.bot, Interval: 10}, "chat": {TAT: c.chat, Interval: 40}}
		b := NewBatch(rules, 10)
		r := Request{Member: 1, MinHorizon: 40, BusiestLimit: c.main, Limits: []Asked{
			{Key: "bot", Line: bot, Limit: limits["bot"]}, {Key: "chat", Line: chat, Limit: limits["chat"]},
		}}
		binding := 0
		if c.chat > c.bot || c.chat == c.bot {
			binding = 1
		}
		b.May(r, max(c.bot, c.chat), binding)
		b.Refused(0, r, binding)
		told := b.End(func(key string) Limit { return limits[key] })
		if len(told) != 1 || told[0].Binding != c.at {
			t.Errorf("%s: told %+v, want a turn at limit %d", c.name, told, c.at)
		}
		if in := []*Line{bot, chat}[c.at]; in.find(1) == len(in.Waiters) {
			t.Errorf("%s: member 1 does not stand in the line of limit %d", c.name, c.at)
		}
	}
}

// A member whose turn it is at its busiest limit, and that can't use it, waits at the other limit.
func TestBusiestLimitThatIsOfNoUse(t *testing.T) {
	bot, chat := &Line{Waiters: []Waiter{{Member: 1}, {Member: 2}, {Member: 3}}}, &Line{}
	limits := map[string]Limit{"bot": {TAT: 10, Interval: 10}, "chat": {TAT: 50, Interval: 40}}
	b := NewBatch(rules, 10)
	r := Request{Member: 1, BusiestLimit: 1, Limits: []Asked{
		{Key: "bot", Line: bot, Limit: limits["bot"]}, {Key: "chat", Line: chat, Limit: limits["chat"]},
	}}
	b.May(r, 50, 1)
	b.Refused(0, r, 1)
	told := b.End(func(key string) Limit { return limits[key] })
	if len(told) != 1 || told[0].Binding != 1 || told[0].RetryAt != 50 {
		t.Errorf("told %+v, want a turn at limit 1 at 50", told)
	}
	if len(bot.Waiters) != 2 || len(chat.Waiters) != 1 || chat.Waiters[0].Member != 1 {
		t.Errorf("the lines are %+v and %+v, want member 1 in the second alone", bot.Waiters, chat.Waiters)
	}
}
