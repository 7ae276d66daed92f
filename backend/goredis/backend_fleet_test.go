package goredis_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// fleetTimeEnv is how long each part of TestFleet lasts, and has it run all of them. What the
// fleets reach is printed as a table, with what they should, and not tested here, for the machine
// may be busy: see make fleet.
const fleetTimeEnv = "GOREDIS_TEST_FLEET_TIME"

// fleetCase is a fleet and its work.
type fleetCase struct {
	name    string
	members int
	kinds   []fleetJobs
	far     bool                                        // every other member is 30 ms away, each way
	joins   func(i int) time.Duration                   // when a member starts; nil: all at once
	ends    func(i int) (time.Duration, syscall.Signal) // nil: none before the others
}

const fleetDelay = 30 * time.Millisecond

func perSecond(n int) gcra.FreqLimitParams {
	return gcra.FreqLimitParams{Limit: n, Period: time.Second}
}

// under is jobs of keys of their own, 50 for each member, under one limit.
func under(name string, rate int) fleetJobs {
	return fleetJobs{
		Name: name, Jobs: 40 * rate, Keys: 50,
		Limits: [][]dispatcher.Limit{{{Key: name, Params: perSecond(rate)}}},
	}
}

// underTwo is jobs of a bot, each of one of five tenants.
func underTwo() fleetJobs {
	jobs := fleetJobs{Name: "bot", Jobs: 40 * 100, Keys: 50}
	for i := range 5 {
		jobs.Limits = append(jobs.Limits, []dispatcher.Limit{
			{Key: "bot", Params: perSecond(100)}, {Key: fmt.Sprint("tenant", i), Params: perSecond(25)},
		})
	}
	return jobs
}

// fleetCases are what make fleet shows. lasts is how long each takes.
func fleetCases(lasts time.Duration) []fleetCase {
	both := []fleetJobs{under("fast", 200), under("slow", 7)}
	one := func(at time.Duration, s syscall.Signal) func(i int) (time.Duration, syscall.Signal) {
		return func(i int) (time.Duration, syscall.Signal) {
			if i == 0 {
				return 0, 0
			}
			return at, s
		}
	}
	return []fleetCase{
		{name: "8", members: 8, kinds: both},
		{name: "32", members: 32, kinds: both},
		{name: "8, two limits a job", members: 8, kinds: []fleetJobs{underTwo()}},
		{name: "32, two limits a job", members: 32, kinds: []fleetJobs{underTwo()}},
		{name: "8, half of them far", members: 8, kinds: both, far: true},
		{
			name: "8, of which 6 join", members: 8, kinds: both,
			joins: func(i int) time.Duration { return max(time.Duration(i)-1, 0) * lasts / 10 },
		},
		{name: "8, SIGTERM for 7", members: 8, kinds: append(both, under("slowest", 1)), ends: one(lasts/2, syscall.SIGTERM)},
		{name: "8, kill -9 for 7", members: 8, kinds: append(both, under("slowest", 1)), ends: one(lasts/2, syscall.SIGKILL)},
	}
}

// Processes, not goroutines, share limits: together they never exceed them, and none starts
// early.
func TestFleet(t *testing.T) {
	text := os.Getenv(fleetTimeEnv)
	if text == "" {
		const lasts = 3 * time.Second
		runFleetCase(t, fleetCases(lasts)[0], lasts)
		return
	}
	lasts, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", fleetTimeEnv, err)
	}
	fmt.Println(fleetHeader)
	var missed []string
	for _, c := range fleetCases(lasts) {
		t.Run(c.name, func(t *testing.T) {
			for _, row := range runFleetCase(t, c, lasts) {
				fmt.Println(row)
				missed = append(missed, row.missed()...)
			}
		})
	}
	if missed == nil {
		fmt.Println("the fleets reach all that they should")
	}
	for _, m := range missed {
		fmt.Println("the fleets miss:", m)
	}
}

// runFleetCase runs a fleet, and returns what it reached, limit by limit.
func runFleetCase(t *testing.T, c fleetCase, lasts time.Duration) (rows []fleetRow) {
	client := redistest.Client(t)
	prefix := redistest.Prefix(t)
	addr, far := client.Options().Addr, ""
	if c.far {
		proxy := redistest.NewProxy(t, addr)
		proxy.Latency(fleetDelay)
		far = proxy.Addr()
	}
	members := make([]*fleetProcess, c.members)
	var ready sync.WaitGroup
	for i := range members {
		plan := fleetPlan{Addr: addr, Prefix: prefix, Kinds: c.kinds, Index: i}
		if c.far && i%2 == 1 {
			plan.Addr = far
		}
		ready.Go(func() {
			var err error
			if members[i], err = startMember(plan); err != nil {
				t.Errorf("member %d: %v", i, err)
			}
		})
	}
	ready.Wait()
	if t.Failed() {
		t.FailNow()
	}
	before := scriptCalls(t, client)
	began := serverNow(t, client)
	var ended sync.WaitGroup
	for i, m := range members {
		m.from, m.to = 0, lasts
		end := syscall.SIGTERM
		if c.joins != nil {
			m.from = c.joins(i)
		}
		if c.ends != nil {
			if at, signal := c.ends(i); at > 0 {
				m.to, end = at, signal
			}
		}
		ended.Go(func() {
			if err := m.live(end); err != nil {
				t.Errorf("member %d: %v", i, err)
			}
		})
	}
	ended.Wait()
	calls := scriptCalls(t, client) - before
	return checkFleet(t, c, members, began, lasts, calls)
}

// fleetProcess is a member, as a process.
type fleetProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  *bufio.Scanner
	from   time.Duration // when it began to work
	to     time.Duration // and was told to end
	tokens map[string][]int64
	starts int
	early  int
}

// startMember starts a process that waits to be told to begin.
func startMember(plan fleetPlan) (*fleetProcess, error) {
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	m := &fleetProcess{cmd: exec.Command(os.Args[0]), tokens: map[string][]int64{}}
	m.cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	m.cmd.Stderr = os.Stderr
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	m.lines = bufio.NewScanner(out)
	for m.lines.Scan() {
		if m.lines.Text() == "ready" {
			return m, nil
		}
	}
	return nil, fmt.Errorf("ended before it was ready: %w", cmp.Or(m.lines.Err(), m.cmd.Wait(), io.EOF))
}

// live makes the process work from m.from to m.to, ends it with a signal, and reads its output.
func (m *fleetProcess) live(end syscall.Signal) error {
	time.Sleep(m.from)
	if _, err := fmt.Fprintln(m.in, "go"); err != nil {
		return err
	}
	kill := time.AfterFunc(m.to-m.from, func() { _ = m.cmd.Process.Signal(end) })
	defer kill.Stop()
	for m.lines.Scan() {
		switch what := strings.Fields(m.lines.Text()); {
		case len(what) == 1 && what[0] == "s":
			m.starts++
		case len(what) == 1 && what[0] == "e":
			m.early++
		case len(what) == 3:
			token, err := strconv.ParseInt(what[2], 10, 64)
			if err != nil {
				return err
			}
			key := what[1]
			if what[0] == "g" {
				m.tokens[key] = append(m.tokens[key], token)
			} else if i := slices.Index(m.tokens[key], token); i >= 0 {
				m.tokens[key] = slices.Delete(m.tokens[key], i, i+1)
			}
		}
	}
	if err := m.cmd.Wait(); err != nil && end != syscall.SIGKILL {
		return err
	}
	return nil
}

// fleetRow is what a fleet reached at a limit.
type fleetRow struct {
	fleet, limit string
	interval     time.Duration
	spare        bool          // another limit lets through less
	used         float64       // of its slots
	gap          time.Duration // the longest between two
	wait         time.Duration // the longest that a process with work was without one
	least, most  int           // slots of those who were there all the time
	calls        float64       // of scripts, for each start of any limit
	early        int
}

const fleetHeader = "fleet                  limit      used  longest gap  longest wait  slots of a process  calls a start  early"

func (r fleetRow) String() string {
	return fmt.Sprintf("%-22s %-8s %6.2f%%  %11v  %12v  %8d to %-7d  %13.2f  %5d", r.fleet, r.limit, r.used,
		r.gap.Round(time.Millisecond), r.wait.Round(time.Millisecond), r.least, r.most, r.calls, r.early)
}

// missed says in what a fleet falls short.
func (r fleetRow) missed() (missed []string) {
	miss := func(format string, args ...any) {
		missed = append(missed, fmt.Sprintf("%s, %s: ", r.fleet, r.limit)+fmt.Sprintf(format, args...))
	}
	if r.calls > 1 {
		miss("%.2f calls a start, want 1 at most", r.calls)
	}
	if r.spare {
		return missed
	}
	if r.used < 98 {
		miss("%.2f%% of the slots used, want 98%%", r.used)
	}
	if bound := max(500*time.Millisecond, 3*r.interval); r.gap >= bound {
		miss("a gap of %v, want less than %v", r.gap, bound)
	}
	// Of the slowest limit there are not enough slots for each to have one so often.
	if r.wait > 5*time.Second && r.interval < time.Second {
		miss("a process had no slot for %v, want 5s at most", r.wait)
	}
	return missed
}

// fleetWarmUp is left out of what a fleet reached: the processes start.
const fleetWarmUp = time.Second

// checkFleet checks that the limits were obeyed, and returns how they were used.
func checkFleet(t *testing.T, c fleetCase, members []*fleetProcess, began int64, lasts time.Duration, calls int) (rows []fleetRow) {
	starts, early := 0, 0
	for _, m := range members {
		starts += m.starts
		early += m.early
	}
	if early > 0 {
		t.Errorf("early starts = %d, want 0", early)
	}
	limits := map[string]gcra.FreqLimitParams{}
	var names []string
	for _, kind := range c.kinds {
		for _, set := range kind.Limits {
			for _, l := range set {
				if _, ok := limits[l.Key]; !ok {
					limits[l.Key] = l.Params
					names = append(names, l.Key)
				}
			}
		}
	}
	for _, name := range names {
		r := fleetRow{fleet: c.name, limit: name, interval: limits[name].Interval(), spare: strings.HasPrefix(name, "tenant"), calls: float64(calls) / float64(starts), early: early, least: 1 << 30}
		first, last := began+fleetWarmUp.Microseconds(), began+lasts.Microseconds()
		var all []int64
		for _, m := range members {
			tokens := slices.Sorted(slices.Values(m.tokens[name]))
			all = append(all, tokens...)
			from := max(first, began+(m.from+fleetWarmUp).Microseconds())
			to := min(last, began+m.to.Microseconds())
			within := between(tokens, from, to)
			r.wait = max(r.wait, longest(within, from, to))
			if m.from == 0 && m.to == lasts {
				r.least, r.most = min(r.least, len(within)), max(r.most, len(within))
			}
		}
		slices.Sort(all)
		checkStamps(t, name, all, limits[name])
		within := between(all, first, last)
		r.used = 100 * float64(len(within)) * float64(limits[name].Interval()) / float64(lasts-fleetWarmUp)
		r.gap = longest(within, first, last)
		rows = append(rows, r)
	}
	return rows
}

func between(tokens []int64, from, to int64) []int64 {
	i, _ := slices.BinarySearch(tokens, from)
	j, _ := slices.BinarySearch(tokens, to)
	return tokens[i:max(i, j)]
}

// longest is the longest time without a token.
func longest(tokens []int64, from, to int64) time.Duration {
	gap := int64(0)
	for _, s := range tokens {
		gap = max(gap, s-from)
		from = s
	}
	return time.Duration(max(gap, to-from)) * time.Microsecond
}

// checkStamps wants the slots of a key to obey its limit.
func checkStamps(t *testing.T, key string, tokens []int64, p gcra.FreqLimitParams) {
	t.Helper()
	slots := make([]time.Time, len(tokens))
	for i, s := range tokens {
		slots[i] = time.UnixMicro(s)
	}
	if err := backendtest.CheckWindows(slots, p, 0); err != nil {
		t.Errorf("key %q: %v", key, err)
	}
}

func serverNow(t *testing.T, client *redis.Client) int64 {
	t.Helper()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now.UnixMicro()
}

// scriptCalls is how often the server has run a script.
func scriptCalls(t *testing.T, client *redis.Client) (calls int) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if name, rest, _ := strings.Cut(line, ":calls="); name == "cmdstat_eval" || name == "cmdstat_evalsha" {
			n, _, _ := strings.Cut(rest, ",")
			if n, err := strconv.Atoi(n); err == nil {
				calls += n
			}
		}
	}
	return calls
}
