package schedule

import (
	"cmp"
	"slices"

	"github.com/freqlimit/dispatcher/backend"
)

// oracleClaim is a claim on a limit.
type oracleClaim struct {
	holder *oracleLane
	start  int64
	idles  bool
	slack  int64
	made   int64
}

// overdue is when a head has been waiting for its limits for so long that the
// slowest of them could have served it four times.
func (o *oracle) overdue(l *oracleLane) int64 {
	var longest int64
	for _, lim := range l.head.limits {
		longest = max(longest, o.charge(lim))
	}
	return l.since + 4*longest
}

// charge is by how much a job moves the TAT of a limit.
func (o *oracle) charge(l backend.Limit) int64 {
	return int64(l.Units()) * int64(o.limit(l.Key).params.Interval())
}

// claimed reports whether a claim keeps a lane waiting whose limits are open, and
// until when it does at most. First come the claims that there are, then new ones.
func (o *oracle) claimed(l *oracleLane) (until int64, kept bool) {
	for _, lim := range l.head.limits {
		if c := o.claims[lim.Key]; c != nil && o.stands(c) {
			if until := o.until(c, lim); o.keeps(c, l, lim) && o.tau < until {
				return until, true
			}
		}
	}
	for _, lim := range l.head.limits {
		if c := o.claims[lim.Key]; c != nil && o.stands(c) {
			continue
		}
		c := o.newClaim(lim.Key)
		if c == nil || !o.keeps(c, l, lim) {
			continue
		}
		if until := o.until(c, lim); o.tau < until {
			c.made = o.tau
			o.claims[lim.Key] = c
			return until, true
		}
	}
	return 0, false
}

// stands reports whether the holder of a claim can still start when it says.
func (o *oracle) stands(c *oracleClaim) bool {
	return o.tau < c.start && o.opens(c.holder) <= c.start
}

// keeps reports whether a lane would put off a holder of higher rank.
func (o *oracle) keeps(c *oracleClaim, l *oracleLane, lim backend.Limit) bool {
	return c.holder != l && o.ranks(c.holder, l) && o.opensAfter(o.tau, c.holder, lim) > c.start
}

// opensAfter is when a limit opens for a lane if it is taken at an instant.
func (o *oracle) opensAfter(at int64, l *oracleLane, taken backend.Limit) int64 {
	is := *o.limit(taken.Key)
	is.state = is.state.Charge(at, is.params, taken.Units())
	lim := l.under(taken.Key)
	return is.state.Slot(0, is.params, lim.Units())
}

// under is the limit with a key that a lane's head is under.
func (l *oracleLane) under(key string) backend.Limit {
	for _, lim := range l.head.limits {
		if lim.Key == key {
			return lim
		}
	}
	return backend.Limit{}
}

// until is when a claim ends for who would take a limit: when the holder starts, or
// when the limit begins to be idle, if it may not be for so long.
func (o *oracle) until(c *oracleClaim, lim backend.Limit) int64 {
	idle := o.limit(lim.Key).state.TAT
	if c.start <= idle || c.idles && c.start-idle <= o.charge(lim)+c.slack {
		return c.start
	}
	return idle
}

// newClaim is the claim that the first head under a limit has, nil if it has none.
func (o *oracle) newClaim(key string) *oracleClaim {
	h := o.holder(key)
	if h == nil || o.overdue(h) > o.tau {
		return nil
	}
	start := o.opens(h)
	if dead := h.head.deadline; start <= o.tau || dead != 0 && start > dead || !o.startsAt(h, start) {
		return nil
	}
	c := &oracleClaim{holder: h, start: start}
	own := o.charge(h.under(key))
	// The slowest of the limits that open last: if the head's key is held, that is
	// like a limit that costs it nothing.
	slowest, debt := int64(-1), false
	if o.limit(h.key).closed == start && h.under(h.key).Key == "" {
		slowest = 0
	}
	for _, lim := range h.head.limits {
		if cost := o.charge(lim); o.open(lim) == start && cost > slowest {
			slowest = cost
			is := o.limit(lim.Key)
			debt = is.state.Slot(0, is.params, lim.Units()) == start
		}
		if cost := o.charge(lim); cost < own {
			c.slack += cost
		}
	}
	c.idles = debt && slowest <= own
	return c
}

// holder is the head that ranks first under a limit, of those that are not set
// aside there, and the one that may come back for longest.
func (o *oracle) holder(key string) *oracleLane { return o.holderAt(key, o.tau) }

// holderAt is the holder at an instant, if nothing happens before.
func (o *oracle) holderAt(key string, at int64) *oracleLane {
	heads := o.heads(key)
	isAside := func(l *oracleLane) bool { return l.from[key] > 0 }
	back := o.comeBack(key, at)
	heads = slices.DeleteFunc(heads, func(l *oracleLane) bool { return isAside(l) && (len(back) == 0 || back[0] != l) })
	if len(heads) == 0 {
		return nil
	}
	return slices.MinFunc(heads, o.compare)
}

// comeBack are the heads set aside under a limit that may come back at an instant, those
// that may for longest first.
func (o *oracle) comeBack(key string, at int64) []*oracleLane {
	aside := slices.DeleteFunc(o.heads(key), func(l *oracleLane) bool { return l.from[key] == 0 || l.from[key] > at })
	slices.SortFunc(aside, func(a, b *oracleLane) int {
		return cmp.Or(cmp.Compare(a.from[key], b.from[key]), cmp.Compare(a.head.arrives, b.head.arrives), cmp.Compare(a.head.seq, b.head.seq))
	})
	return aside
}

// startsAt reports whether nobody who is first under one of a head's limits is in
// its way at an instant.
func (o *oracle) startsAt(h *oracleLane, at int64) bool {
	for _, lim := range h.head.limits {
		for _, l := range []*oracleLane{o.holder(lim.Key), o.holderAt(lim.Key, at)} {
			if l == nil || l == h || o.ranks(h, l) {
				continue
			}
			opens := o.opens(l)
			if opens <= o.tau {
				continue
			}
			if opens <= at {
				if o.opensAfter(opens, h, l.under(lim.Key)) > at {
					return false
				}
			} else if o.overdue(l) <= at && o.opensAfter(at, l, lim) > opens {
				return false
			}
		}
	}
	return true
}

// pass sets aside the head that is first under a limit that another takes, if the
// limit does not matter to it now, and has two come back at most.
func (o *oracle) pass(by *oracleLane, lim backend.Limit) {
	key := lim.Key
	if l := o.holder(key); l != nil && o.ranks(l, by) {
		opens, dead := o.opens(l), l.head.deadline
		from := opens - o.charge(l.under(key))
		useless := opens <= o.tau || dead != 0 && opens > dead ||
			o.overdue(l) <= o.tau && !o.startsAt(l, opens)
		if from <= o.tau && useless {
			from = o.tau + o.charge(lim)
		}
		if from > o.tau {
			l.from[key] = from
		}
	}
	back := o.comeBack(key, o.tau)
	for _, l := range back[:min(2, len(back))] {
		l.from[key] = 0
	}
}
