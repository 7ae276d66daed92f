package goredis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher"
	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/backend/backendtest"
	"github.com/freqlimit/dispatcher/backend/goredis"
	"github.com/freqlimit/dispatcher/gcra"
	"github.com/freqlimit/dispatcher/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// memberEnv makes this binary a member of a fleet: see fleetMember.
const memberEnv = "GOREDIS_TEST_FLEET_MEMBER"

func init() {
	if plan := os.Getenv(memberEnv); plan != "" {
		if err := fleetMember(plan); err != nil {
			fmt.Fprintln(os.Stderr, "fleet member:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// fleetPlan is what a member does.
type fleetPlan struct {
	Addr, Prefix string
	Shared       gcra.FreqLimitParams // of all jobs
	Own          gcra.FreqLimitParams // of each key
	Keys, Jobs   int
	Time         time.Duration
}

// fleetReport is what a member did.
type fleetReport struct {
	Stamps  map[string][]int64 // of the slots that it was granted, by key
	Started int
	Early   int // starts before their slot
}

const sharedKey = "shared"

// fleetMember works for the time of its plan once a line has come on the standard
// input, and writes its report to the standard output.
func fleetMember(text string) error {
	var plan fleetPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: plan.Addr})
	defer client.Close()
	b, err := goredis.New(client, goredis.Config{Prefix: plan.Prefix})
	if err != nil {
		return err
	}
	report := fleetReport{}
	var mu sync.Mutex
	recorded := &recorder{Backend: b}
	d, err := dispatcher.New(recorded, func(_ context.Context, job dispatcher.Job[int]) error {
		early := time.Now().Before(job.Slot())
		mu.Lock()
		defer mu.Unlock()
		report.Started++
		if early {
			report.Early++
		}
		return nil
	}, dispatcher.Config[int]{
		Workers: 32,
		Limits: func(key string, _ int) []dispatcher.Limit {
			return []dispatcher.Limit{{Key: sharedKey, Params: plan.Shared}, {Key: key, Params: plan.Own}}
		},
	})
	if err != nil {
		return err
	}
	for i := range plan.Jobs {
		if err := d.Submit(context.Background(), fmt.Sprint("chat:", i%plan.Keys), i); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), plan.Time)
	defer cancel()
	_ = d.Run(ctx)
	// Calls that Run left behind may still record.
	recorded.mu.Lock()
	defer recorded.mu.Unlock()
	report.Stamps = recorded.stamps
	return json.NewEncoder(os.Stdout).Encode(report)
}

// recorder notes the slots that a backend grants.
type recorder struct {
	*goredis.Backend
	mu     sync.Mutex
	stamps map[string][]int64
}

// Release takes the slot out of the record.
func (r *recorder) Release(ctx context.Context, limits []backend.Limit, stamp int64) error {
	r.mu.Lock()
	for _, l := range limits {
		if i := slices.Index(r.stamps[l.Key], stamp); i >= 0 {
			r.stamps[l.Key] = slices.Delete(r.stamps[l.Key], i, i+1)
		}
	}
	r.mu.Unlock()
	return r.Backend.Release(ctx, limits, stamp)
}

func (r *recorder) Reserve(ctx context.Context, reqs []backend.Request, decisions []backend.Decision) error {
	err := r.Backend.Reserve(ctx, reqs, decisions)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stamps == nil {
		r.stamps = make(map[string][]int64)
	}
	for i, req := range reqs {
		if err == nil && decisions[i].Granted {
			for _, l := range req.Limits {
				r.stamps[l.Key] = append(r.stamps[l.Key], decisions[i].Stamp)
			}
		}
	}
	return err
}

// fleetTimeEnv is how long TestFleet lasts, if not for fleetTime.
const (
	fleetTimeEnv = "GOREDIS_TEST_FLEET_TIME"
	fleetTime    = 5 * time.Second
)

// Processes, not goroutines, share limits: together they never exceed the shared
// one, nor that of any key. How much of it they reach, and with how many calls, is
// logged and not tested here, for the machine may be busy: see make fleet.
func TestFleet(t *testing.T) {
	const members, rate = 8, 200
	lasts := fleetTime
	if text := os.Getenv(fleetTimeEnv); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", fleetTimeEnv, err)
		}
	}
	client := redistest.Client(t)
	plan := fleetPlan{
		Addr: client.Options().Addr, Prefix: redistest.Prefix(t),
		Shared: gcra.FreqLimitParams{Limit: rate, Period: time.Second},
		Own:    gcra.FreqLimitParams{Limit: 1, Period: time.Second},
		Keys:   1000, Jobs: rate * int(lasts/time.Second+5), Time: lasts,
	}
	before := scriptCalls(t, client)
	merged := fleetReport{Stamps: make(map[string][]int64)}
	for _, r := range runFleet(t, plan, members) {
		t.Logf("a process started %d jobs", r.Started)
		merged.Started += r.Started
		merged.Early += r.Early
		for key, stamps := range r.Stamps {
			merged.Stamps[key] = append(merged.Stamps[key], stamps...)
		}
	}
	calls := scriptCalls(t, client) - before

	for key, stamps := range merged.Stamps {
		p := plan.Own
		if key == sharedKey {
			p = plan.Shared
		}
		checkStamps(t, key, stamps, p)
	}
	if merged.Early > 0 {
		t.Errorf("early starts = %d, want 0", merged.Early)
	}
	stamps := merged.Stamps[sharedKey]
	if len(stamps) < 2 {
		t.Fatalf("slots = %d, want many", len(stamps))
	}
	slices.Sort(stamps)
	took := time.Duration(stamps[len(stamps)-1]-stamps[0]) * time.Microsecond
	perStart := float64(calls) / float64(merged.Started)
	t.Logf("%d processes, %d keys: %d slots in %.2f s, %d starts", members, plan.Keys, len(stamps), took.Seconds(), merged.Started)
	if !t.Failed() {
		t.Logf("violations: 0 under %d limits; early starts: 0", len(merged.Stamps))
	}
	t.Logf("limit reached: %.2f%%", 100*float64(len(stamps)-1)/took.Seconds()/rate)
	t.Logf("script calls: %d, a start: %.2f", calls, perStart)
}

// checkStamps wants the slots of a key to obey its limit.
func checkStamps(t *testing.T, key string, stamps []int64, p gcra.FreqLimitParams) {
	t.Helper()
	slots := make([]time.Time, len(stamps))
	for i, s := range stamps {
		slots[i] = time.UnixMicro(s)
	}
	if err := backendtest.CheckWindows(slots, p, 0); err != nil {
		t.Errorf("key %q: %v", key, err)
	}
}

// runFleet starts members at one time, and returns their reports.
func runFleet(t *testing.T, plan fleetPlan, members int) []fleetReport {
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	reports := make([]fleetReport, members)
	var ready, ended sync.WaitGroup
	start := make(chan struct{})
	for i := range members {
		ready.Add(1)
		ended.Go(func() {
			report, err := runMember(string(text), sync.OnceFunc(ready.Done), start)
			if err != nil {
				t.Errorf("member %d: %v", i, err)
			}
			reports[i] = report
		})
	}
	ready.Wait()
	close(start)
	ended.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return reports
}

func runMember(plan string, ready func(), start <-chan struct{}) (report fleetReport, err error) {
	defer ready()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memberEnv+"="+plan)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return report, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return report, err
	}
	if err := cmd.Start(); err != nil {
		return report, err
	}
	lines := bufio.NewReader(out)
	if _, err = lines.ReadString('\n'); err == nil {
		ready()
		<-start
		fmt.Fprintln(in, "go")
		err = json.NewDecoder(lines).Decode(&report)
	}
	if ended := cmd.Wait(); ended != nil {
		err = ended
	}
	return report, err
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
