package turns

// Batch holds requests, of one or more members, that are decided in one step.
type Batch struct {
	Rules Rules
	Now   int64

	visits   map[visitor]*visit
	order    []*visit
	refusals []refusal
}

// Request is one request of a batch.
type Request struct {
	Member       uint32
	MinHorizon   int64
	BusiestLimit int // see backend.Request.BusiestLimit
	Limits       []Asked
}

// Asked is a limit of a request, with its state when the request is decided.
type Asked struct {
	Key   string
	Line  *Line
	Limit Limit
	Room  int64 // how long before the TAT it opens for the request
}

// Answer is the answer to a refused request: the limit in whose line the member stands now, when
// its next turn there begins, and the largest MinHorizon in the line.
type Answer struct {
	Request    int // as Refused was called with
	Binding    int
	Slot       int64 // when that limit opens for the request
	RetryAt    int64
	MinHorizon int64
}

type visitor struct {
	member uint32
	key    string
}

// visit records what a member's requests do at one limit.
type visit struct {
	visitor
	line  *Line
	limit Limit // as of the latest request

	begun bool
	from  int64 // where its share begins, if begun
	due   bool  // it is its turn
	took  bool  // it was granted a slot

	kept       string // another limit that kept it from taking a slot on its turn
	keptBy2    bool   // several other limits did
	leaves     bool   // it waits in another line for a request that was refused here
	yields     bool   // its turn is over although it took no slot
	wants      bool   // it has to stand in this line
	room       int64
	minHorizon int64
}

type refusal struct {
	request int
	Request
	binding int
}

// NewBatch returns a batch of no requests.
func NewBatch(r Rules, now int64) *Batch {
	return &Batch{Rules: r, Now: now, visits: map[visitor]*visit{}}
}

func (b *Batch) visit(member uint32, a *Asked) *visit {
	at := visitor{member, a.Key}
	v := b.visits[at]
	if v == nil {
		v = &visit{visitor: at, line: a.Line}
		b.visits[at] = v
		b.order = append(b.order, v)
	}
	v.limit = a.Limit
	return v
}

// May reports the reasons against granting a request. had is the first limit at which the member
// has taken its share. out is the first limit at which it is not the member's turn, unless it
// is its turn at another limit with a line. Both are -1 if there is no such limit. wastes says
// that slots would go unused although others wait for them. binding is the limit that opens
// last, or -1 if no limit delays the slot.
func (b *Batch) May(r Request, slot int64, binding int) (had, out int, wastes bool) {
	had, out = -1, -1
	anyDue := false
	for i := range r.Limits {
		a := &r.Limits[i]
		if !a.Line.Contended(r.Member) {
			continue
		}
		v := b.visit(r.Member, a)
		h, due := b.may(v, a)
		if h && had < 0 {
			had = i
		}
		if !due && out < 0 {
			out = i
		}
		anyDue = anyDue || due
		wastes = wastes || binding >= 0 && slot-max(b.Now, a.Limit.Open(a.Room)) >= a.Limit.Interval
	}
	if anyDue {
		out = -1
	}
	return had, out, wastes
}

// may reports whether a member has taken its share of a limit, and whether it is its turn, for
// the whole batch. Its share is the slots of one step, and more if they are late or others
// missed their turns.
func (b *Batch) may(v *visit, a *Asked) (had, due bool) {
	edge := v.line.edge(a.Limit, v.member, a.Room)
	if !v.begun {
		v.begun, v.from = true, edge
	}
	step := b.Rules.step(v.line, a.Limit.Interval)
	had = edge >= v.from+step-min(a.Limit.Interval, step)/2 && edge >= b.Now+v.line.Lead()-step/2
	v.due = v.due || b.Rules.due(b.Now, v.line, a.Limit, v.member, a.Room)
	return had, v.due
}

// Granted records that a request was granted. A member that takes a slot nobody waits for does
// not stand in line.
func (b *Batch) Granted(r Request) {
	for i := range r.Limits {
		a := &r.Limits[i]
		if len(a.Line.Waiters) > 0 || b.visits[visitor{r.Member, a.Key}] != nil {
			b.visit(r.Member, a).took = true
		}
	}
}

// Refused records that a request was refused. binding is the index of the limit that opens last,
// or of a limit that May returned.
func (b *Batch) Refused(request int, r Request, binding int) {
	b.refusals = append(b.refusals, refusal{request, r, binding})
	key := r.Limits[binding].Key
	for i := range r.Limits {
		if v := b.visits[visitor{r.Member, r.Limits[i].Key}]; v != nil && i != binding {
			v.keptBy2 = v.keptBy2 || v.kept != "" && v.kept != key
			v.kept = key
		}
	}
}

// End updates all lines after the batch, and returns the answers to its refusals. limit returns
// the present state of a limit.
func (b *Batch) End(limit func(key string) Limit) (told []Answer) {
	for i := range b.refusals {
		f := &b.refusals[i]
		f.binding = b.stand(f, limit)
	}
	for _, v := range b.order {
		b.finish(v)
	}
	for _, f := range b.refusals {
		a := &f.Limits[f.binding]
		v := b.visits[visitor{f.Member, a.Key}]
		lim := limit(a.Key)
		lim.Interval = v.limit.Interval
		slot, lead := max(b.Now, lim.Open(a.Room)), v.line.Lead()
		begins := max(b.Rules.begins(v.line, lim, v.member, v.room), slot-lead)
		if at := v.line.find(v.member); at < len(v.line.Waiters) {
			v.line.Waiters[at].Told = begins
		}
		told = append(told, Answer{f.request, f.binding, slot, begins, 2 * lead})
	}
	return told
}

// stand chooses the line in which a member waits with a refused request, and returns the index of
// its limit: the busiest limit if busiest allows; else the limit at which the member has just
// used its turn, the fastest of several; else a limit at which it could not use its turn because
// several others refused the request, where its turn is over; else the limit that refused the
// request.
func (b *Batch) stand(f *refusal, limit func(key string) Limit) int {
	best := b.busiest(f, limit)
	if best < 0 {
		best = b.used(f)
	}
	if best < 0 {
		best = b.kept(f)
	}
	if best < 0 {
		best = f.binding
	}
	for i := range f.Limits {
		if v := b.visits[visitor{f.Member, f.Limits[i].Key}]; v != nil && i != best {
			v.leaves = true
		}
	}
	a := &f.Limits[best]
	v := b.visit(f.Member, a)
	if !v.wants {
		v.wants, v.room, v.minHorizon = true, a.Room, f.MinHorizon
	}
	return best
}

// busiest returns the index of the busiest limit of a refused request if a turn there is of use,
// else -1. It is if others wait there and the limit is shut, so that there are turns; if it was not
// the member's turn just now in vain; and if the limit that refused the request will be open.
func (b *Batch) busiest(f *refusal, limit func(key string) Limit) int {
	at := f.BusiestLimit - 1
	if at < 0 || at >= len(f.Limits) || at == f.binding {
		return -1
	}
	a, other := &f.Limits[at], &f.Limits[f.binding]
	lim := limit(a.Key)
	lim.Interval = a.Limit.Interval
	if !a.Line.Contended(f.Member) || lim.Open(a.Room) <= b.Now {
		return -1
	}
	turn := b.Rules.Turn(a.Line, lim, f.Member, a.Room)
	if v := b.visits[visitor{f.Member, a.Key}]; v != nil && v.due {
		if !v.took {
			return -1
		}
		turn = lim.Open(a.Room) + a.Line.others(f.Member)*b.Rules.step(a.Line, lim.Interval) // at the end
	}
	if limit(other.Key).Open(other.Room) > turn {
		return -1
	}
	return at
}

// used returns the index of the fastest limit at which the member has used its turn, -1 if none.
func (b *Batch) used(f *refusal) int {
	best := -1
	for i := range f.Limits {
		v := b.visits[visitor{f.Member, f.Limits[i].Key}]
		if v != nil && v.due && v.took && (best < 0 || f.Limits[i].Limit.Interval < f.Limits[best].Limit.Interval) {
			best = i
		}
	}
	return best
}

// kept returns the index of the first limit at which several others kept the member from using
// its turn, which is over then; -1 if there is none.
func (b *Batch) kept(f *refusal) int {
	for i := range f.Limits {
		v := b.visits[visitor{f.Member, f.Limits[i].Key}]
		if i != f.binding && v != nil && v.due && v.keptBy2 {
			v.yields = true
			return i
		}
	}
	return -1
}

// finish updates the place of a member in the line of one limit. If it took a slot on its turn, it
// passed those before it. If it took a slot and the line was full, it leaves the line, to make
// room for a member outside. If it was passed and is refused, the others wait for it again: it
// comes, and they may take slots so far ahead that it could never get one.
func (b *Batch) finish(v *visit) {
	l := v.line
	at, wasFull := l.find(v.member), len(l.Waiters) >= b.Rules.Longest
	forget := max(b.Rules.Forget, 2*v.limit.Interval)
	if v.took || v.yields || v.leaves && !v.wants {
		passes := v.due && v.took && (at == len(l.Waiters) || l.Waiters[at].Passed == 0)
		var left []Waiter
		for i, w := range l.Waiters {
			if i == at {
				continue
			}
			if i < at && passes && w.Passed == 0 {
				w.Passed = b.Now
			}
			if w.Passed == 0 || b.Now-w.Passed < forget {
				left = append(left, w)
			}
		}
		l.Waiters = left
		at = len(left)
	}
	if !v.wants {
		return
	}
	if at < len(l.Waiters) {
		l.Waiters[at] = Waiter{Member: v.member, Room: v.room, MinHorizon: v.minHorizon}
	} else if len(l.Waiters) < b.Rules.Longest && !(v.took && wasFull) {
		l.Waiters = append(l.Waiters, Waiter{Member: v.member, Room: v.room, MinHorizon: v.minHorizon})
	}
}

// Taken calls f with each limit at which a member took a slot and that has or had a line. others
// says whether other members stand in the line now.
func (b *Batch) Taken(f func(key string, interval int64, others bool)) {
	for _, v := range b.order {
		if v.took {
			n := len(v.line.Waiters)
			f(v.key, v.limit.Interval, n > 1 || n == 1 && v.line.Waiters[0].Member != v.member)
		}
	}
}
