package dispatcher_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/gcra"
)

// fleetCase is dispatchers that share limits at a hub.
type fleetCase struct {
	name    string
	members int
	jobs    func(i int) []job                         // of a member
	far     time.Duration                             // how far away every other member is
	horizon time.Duration                             // of all; 0: what their round trips ask for
	rough   time.Duration                             // for so long each message takes 300 ms more at most
	stalls  int                                       // and later one of so many; 0: none
	burst   int                                       // of the limits
	ends    func(i int) (at time.Duration, kill bool) // when a member ends before the others; 0: it does not

	// What is wanted of the slots of each limit, once the fleet works.
	used  map[string]float64 // at least
	wait  time.Duration      // of a member with work for a slot, at most
	calls float64            // a start, at most
}

const (
	fleetLasts  = 20 * time.Second
	fleetWarmUp = 2 * time.Second
)

// underOne is jobs of 50 keys under one limit, as many as it has slots.
func underOne(key string, p gcra.FreqLimitParams) func(int) []job {
	return func(i int) (jobs []job) {
		for n := range int(fleetLasts/p.Interval()) + p.Burst {
			jobs = append(jobs, job{Key: fmt.Sprint("chat", i, ":", n%50), Payload: "job", Limits: []dispatcher.Limit{limit(key, p)}})
		}
		return jobs
	}
}

// underBoth is jobs of two kinds.
func underBoth(a, b func(int) []job) func(int) []job {
	return func(i int) []job { return append(a(i), b(i+1000)...) }
}

// underTenants is jobs of a bot, each of one of five tenants.
func underTenants(i int) (jobs []job) {
	for n := range int(fleetLasts/time.Second) * 100 {
		jobs = append(jobs, job{Key: fmt.Sprint("chat", i, ":", n%50), Payload: "job", Limits: []dispatcher.Limit{
			limit("bot", perSecond(100)), limit(fmt.Sprint("tenant", n%5), perSecond(25)),
		}})
	}
	return jobs
}

// Dispatchers that share a limit use it fully, each gets an equal part, however far away
// it is, and together they call the backend about once a start at most. Who ends, or dies,
// leaves no hole.
func TestFleet(t *testing.T) {
	fast, slow := underOne("fast", perSecond(200)), underOne("slow", perSecond(7))
	end := func(kill bool) func(int) (time.Duration, bool) {
		return func(i int) (time.Duration, bool) {
			if i == 0 {
				return 0, false
			}
			return fleetLasts / 2, kill
		}
	}
	all := func(key string) map[string]float64 { return map[string]float64{key: 100} }
	cases := []fleetCase{
		{name: "one alone", members: 1, jobs: fast, used: all("fast"), wait: 10 * time.Millisecond, calls: 0.25},
		{name: "a slow limit of one alone", members: 1, jobs: slow, used: all("slow"), wait: 150 * time.Millisecond, calls: 1.05},
		{name: "2", members: 2, jobs: fast, used: all("fast"), wait: 60 * time.Millisecond, calls: 0.3},
		{name: "8", members: 8, jobs: fast, used: all("fast"), wait: 300 * time.Millisecond, calls: 0.3},
		{name: "32", members: 32, jobs: fast, used: all("fast"), wait: time.Second, calls: 0.3},
		{name: "8 at 50/s", members: 8, jobs: underOne("x", perSecond(50)), used: all("x"), wait: 300 * time.Millisecond, calls: 1.05},
		{name: "32 at 50/s", members: 32, jobs: underOne("x", perSecond(50)), used: all("x"), wait: time.Second, calls: 1.1},
		{
			name: "32, a fast limit beside a slow one", members: 32, jobs: underBoth(fast, slow),
			used: map[string]float64{"fast": 99.5, "slow": 99}, wait: 5 * time.Second, calls: 0.4,
		},
		{name: "half of 8 far", members: 8, jobs: fast, far: 30 * time.Millisecond, used: all("fast"), wait: 300 * time.Millisecond, calls: 0.3},
		{
			name: "half of 8 far, with a horizon of 200 ms", members: 8, jobs: fast, far: 30 * time.Millisecond, horizon: 200 * time.Millisecond,
			used: map[string]float64{"fast": 99}, wait: time.Second, calls: 0.5,
		},
		{
			name: "half of 8 far, a slow limit", members: 8, jobs: slow, far: 30 * time.Millisecond,
			used: map[string]float64{"slow": 99}, wait: 2 * time.Second, calls: 1.3,
		},
		// What is used here depends a little on the order of what happens at one instant.
		{name: "8, two limits a job", members: 8, jobs: underTenants, used: map[string]float64{"bot": 95}, wait: 2 * time.Second, calls: 0.8},
		{name: "32, two limits a job", members: 32, jobs: underTenants, used: map[string]float64{"bot": 95}, wait: 5 * time.Second, calls: 0.8},
		// Whatever comes between, they find to turns that are of use again.
		{name: "8, a rough start", members: 8, jobs: fast, rough: time.Second, used: map[string]float64{"fast": 98}, wait: 2 * time.Second, calls: 0.3},
		{name: "8, stalls", members: 8, jobs: fast, stalls: 50, used: map[string]float64{"fast": 98}, wait: 2 * time.Second, calls: 0.5},
		{name: "32, stalls", members: 32, jobs: fast, stalls: 50, used: map[string]float64{"fast": 98}, wait: 5 * time.Second, calls: 0.5},
		{name: "8, two limits a job, a rough start", members: 8, jobs: underTenants, rough: time.Second, used: map[string]float64{"bot": 97}, wait: 2 * time.Second, calls: 0.8},
		{name: "32, two limits a job, a rough start", members: 32, jobs: underTenants, rough: time.Second, used: map[string]float64{"bot": 97}, wait: 5 * time.Second, calls: 0.8},
		{name: "8, two limits a job, stalls", members: 8, jobs: underTenants, stalls: 50, used: map[string]float64{"bot": 97}, wait: 2 * time.Second, calls: 0.8},
		{name: "32, two limits a job, stalls", members: 32, jobs: underTenants, stalls: 50, used: map[string]float64{"bot": 97}, wait: 5 * time.Second, calls: 0.8},
		{name: "7 of 8 end", members: 8, jobs: fast, ends: end(false), used: map[string]float64{"fast": 98}, wait: 500 * time.Millisecond, calls: 0.3},
		{name: "7 of 8 are killed", members: 8, jobs: fast, ends: end(true), used: map[string]float64{"fast": 98}, wait: 500 * time.Millisecond, calls: 0.3},
		{name: "7 of 8 end, a slow limit", members: 8, jobs: slow, ends: end(false), used: map[string]float64{"slow": 98}, wait: 2 * time.Second, calls: 1.3},
		{name: "7 of 8 are killed, a slow limit", members: 8, jobs: slow, ends: end(true), used: map[string]float64{"slow": 98}, wait: 2 * time.Second, calls: 1.3},
		{
			name: "3, two limits, one of them under both", members: 3, used: map[string]float64{"a": 85, "b": 85}, wait: time.Second, calls: 0.5,
			jobs: func(i int) (jobs []job) {
				a, b := limit("a", perSecond(200)), limit("b", perSecond(200))
				for n := range 4000 {
					jobs = append(jobs, job{Key: fmt.Sprint("chat", i, ":", n%50), Payload: "job", Limits: [][]dispatcher.Limit{{a}, {b}, {a, b}}[i]})
				}
				return jobs
			},
		},
		{
			name: "8, some jobs under a slow limit too", members: 8, used: map[string]float64{"fast": 98, "slow": 85}, wait: 5 * time.Second, calls: 0.3,
			jobs: func(i int) (jobs []job) {
				for n := range 4000 {
					j := job{Key: fmt.Sprint("chat", i, ":", n%50), Payload: "job", Limits: []dispatcher.Limit{limit("fast", perSecond(200))}}
					if n%20 == 0 {
						j.Limits = append(j.Limits, limit("slow", perSecond(7)))
					}
					jobs = append(jobs, j)
				}
				return jobs
			},
		},
		{
			name: "8, half of them under a tenant that is always busy", members: 8, used: map[string]float64{"bot": 93, "tenant": 60}, wait: 2 * time.Second, calls: 1,
			jobs: func(i int) (jobs []job) {
				for n := range 4000 {
					j := job{Key: fmt.Sprint("chat", i, ":", n%50), Payload: "job", Limits: []dispatcher.Limit{limit("bot", perSecond(100))}}
					if i < 4 {
						j.Limits = append(j.Limits, limit("tenant", perSecond(25)))
					}
					jobs = append(jobs, j)
				}
				return jobs
			},
		},
		{
			name: "bursts of 100 and 1", members: 2, burst: 100, wait: 3 * time.Second, calls: 1.1, used: map[string]float64{"x": 98},
			jobs: func(i int) []job {
				return underOne("x", gcra.FreqLimitParams{Limit: 50, Period: time.Second, Burst: []int{100, 1}[i]})(i)
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, c.run)
		})
	}
}

// fleetMember is a dispatcher of a fleet.
type fleetMember struct {
	*member
	stage *stage
	to    time.Duration   // when it ends
	wants map[string]bool // the limits of its jobs
}

func (c fleetCase) run(t *testing.T) {
	h := newHub()
	h.roughFor, h.stalls, h.roughBy = c.rough, c.stalls, 300*time.Millisecond
	members := make([]fleetMember, c.members)
	for i := range members {
		way := 200 * time.Microsecond
		if i%2 == 1 {
			way += c.far
		}
		m := &members[i]
		m.member, m.to = h.join(way, 3*time.Millisecond), fleetLasts
		m.stage, m.wants = open(t, m, config{Workers: 64, Horizon: c.horizon}, nil), map[string]bool{}
		for _, j := range c.jobs(i) {
			m.stage.submitJob(j)
			for _, l := range j.Limits {
				m.wants[l.Key] = true
			}
		}
	}
	for i := range members {
		m, kill := &members[i], false
		if c.ends != nil {
			if at, k := c.ends(i); at > 0 {
				m.to, kill = at, k
			}
		}
		go func() {
			time.Sleep(m.to)
			if kill {
				m.kill()
			}
			m.stage.stop(errEnough)
		}()
	}
	starts := 0
	for i := range members {
		<-members[i].stage.ended
		starts += len(members[i].stage.starts)
	}
	time.Sleep(time.Second) // for messages that are on their way
	if calls := float64(h.calls) / float64(starts); calls > c.calls {
		t.Errorf("%.2f calls a start, want %.2f at most", calls, c.calls)
	}
	for key, want := range c.used {
		c.judge(t, h, members, key, want, starts)
	}
}

// judge looks at how a limit was used once the fleet was at work.
func (c fleetCase) judge(t *testing.T, h *hub, members []fleetMember, key string, want float64, starts int) {
	p := h.limits[key].params
	p.Burst = c.burst
	to := fleetLasts - time.Second
	var all []time.Duration
	least, most := 1<<30, 0
	for _, m := range members {
		slots := between(m.slots[key], fleetWarmUp, min(to, m.to))
		all = append(all, between(m.slots[key], fleetWarmUp, to)...)
		if !m.wants[key] {
			continue
		}
		if wait := longestGap(slots, fleetWarmUp, min(to, m.to)); wait > max(c.wait, 2*p.Interval()*time.Duration(c.members)) {
			t.Errorf("%q: a member had no slot for %v, want one each %v", key, wait, c.wait)
		}
		if m.to == fleetLasts {
			least, most = min(least, len(slots)), max(most, len(slots))
		}
	}
	slices.Sort(all)
	times := make([]time.Time, len(all))
	for i, at := range all {
		times[i] = h.epoch.Add(at)
	}
	wantWindows(t, map[dispatcher.Limit][]time.Time{limit(key, p): times})
	used := 100 * float64(len(all)) * float64(p.Interval()) / float64(to-fleetWarmUp)
	gap := longestGap(all, fleetWarmUp, to)
	if used < want-0.5 {
		t.Errorf("%q: %.2f%% of the slots are used, want %v%%", key, used, want)
	}
	if bound := max(500*time.Millisecond, 3*p.Interval()); gap > bound {
		t.Errorf("%q: no slot is used for %v, want %v at most", key, gap, bound)
	}
	// Equal parts, give or take one turn; less equal where messages are late, for who misses
	// a turn does not get it back.
	unequal := most / 5
	if c.rough > 0 || c.stalls > 0 {
		unequal = most * 2 / 5
	}
	if turn := max(1, int(25*time.Millisecond/p.Interval())); c.ends == nil && len(c.used) == 1 && most-least > max(2*turn, unequal) {
		t.Errorf("%q: the members have from %d to %d slots, want about as many", key, least, most)
	}
	t.Logf("%q: %.2f%% used, longest gap %v, from %d to %d slots a member, %.2f calls a start", key, used, gap, least, most, float64(h.calls)/float64(starts))
}

func between(slots []time.Duration, from, to time.Duration) (within []time.Duration) {
	for _, at := range slots {
		if at >= from && at < to {
			within = append(within, at)
		}
	}
	slices.Sort(within)
	return within
}

func longestGap(slots []time.Duration, from, to time.Duration) (gap time.Duration) {
	for _, at := range slots {
		gap = max(gap, at-from)
		from = at
	}
	return max(gap, to-from)
}
