package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// What is forecast at any instant is what then happens, start by start, if nothing
// else does; and what is forecast of one job is what is forecast of it among all.
func TestForecastIsWhatHappens(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		work := drawLively(t)
		work.cfg.Horizon = 0
		takes := int64(span(t, "takes", 0, 5))
		end := int64(span(t, "end", 0, 60))
		begin := min(end, int64(span(t, "begin", 0, 60))) // of taking the snapshot, bit by bit
		m := newSchedulerMachine(work.cfg)
		w := newWorld(t, work.cfg)
		w.Scheduler = m.Scheduler
		w.takes = func(*Job) int64 { return takes }
		retried := map[int]bool{}
		w.again = func(j *Job) bool {
			d := work.work[idOf(j)].again
			if d == 0 || retried[idOf(j)] {
				return false
			}
			retried[idOf(j)] = true
			w.delay(j.Key(), d)
			return true
		}
		ids := map[int]bool{}
		var taking *SnapshotBuilder
		takeSnapshot := func() {
			if taking == nil {
				w.runUntil(begin)
				taking = m.BeginSnapshot()
				w.starts, w.again = nil, nil
				w.after = func() { taking.Step(1) }
			}
		}
		for _, e := range work.events {
			if e.at > end || e.do == cancels || e.do == submits && e.at > begin {
				continue
			}
			if e.at > begin {
				takeSnapshot()
			}
			w.runUntil(e.at)
			if e.do == submits {
				for _, l := range work.work[e.job].limits {
					w.ledger[l.Key] = w.ledger[l.Key].Rebase(w.now, l.Params)
				}
				m.submit(w.now, e.job, work.work[e.job])
				ids[e.job] = true
				continue
			}
			if e.do == setsParams {
				w.setParams(e.key, e.params)
				continue
			}
			m.meddle(w.now, e)
		}
		takeSnapshot()
		w.runUntil(end)
		if lowered := rapid.SampledFrom([]string{"", "", "x", "k0"}).Draw(t, "lowered"); m.lookUp(lowered).limit != nil {
			w.setParams(lowered, rate(1, 5, 1))
		}
		var running []Run
		for _, r := range w.running {
			running = append(running, r.Run())
		}
		for !taking.Step(1) {
		}
		w.after = nil
		snap := taking.Finish(w.now, running)
		w.expired, w.failed = nil, nil
		type start struct {
			key  string
			slot int64
		}
		var got, want []start
		unstarted := snap.Forecast(takes, func(e Expected) bool {
			got = append(got, start{e.Job.Key(), e.Slot})
			return true
		})
		waiting := m.Waiting()
		for w.step(); ; w.step() {
			at, ok := w.next()
			if !ok {
				break
			}
			w.now = max(w.now, at)
		}
		for _, s := range w.starts {
			want = append(want, start{s.Key(), s.slot})
		}
		if u := (Unstarted{len(w.expired), len(w.failed), m.Waiting()}); !slices.Equal(got, want) || unstarted != u {
			t.Fatalf("at %d the forecast for %d jobs is %v, not started: %+v; want %v, %+v\n%v",
				snap.now, waiting, got, unstarted, want, u, work)
		}
		if len(snap.started) == len(w.starts) {
			return
		}
		target := rapid.SampledFrom(w.starts[len(snap.started):]).Draw(t, "target")
		if e, ok := snap.ForecastOf(target.Job, takes); !ok || e.Slot != target.slot {
			t.Fatalf("the forecast of one job of %q is %d, %v, want %d\n%v", target.Key(), e.Slot, ok, target.slot, work)
		}
	})
}

// A forecast says which limit binds a job.
func TestForecastNamesTheBindingLimit(t *testing.T) {
	s := New(Config{Workers: many})
	p := func(interval time.Duration) gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: 1, Period: interval}
	}
	for i := range 3 {
		s.Submit(0, newJob(i), "chat", 0, []backend.Limit{{Key: "bot", Params: p(time.Second)}, {Key: "chat", Params: p(10 * time.Second)}})
		s.Submit(0, newJob(i), fmt.Sprint("other", i), 0, []backend.Limit{{Key: "bot", Params: p(time.Second)}})
	}
	var got []string
	unstarted := s.Snapshot(0, nil).Forecast(0, func(e Expected) bool {
		got = append(got, fmt.Sprintf("%v %s %v %q", time.Duration(e.Slot), e.Job.Key(), e.Bound, e.Binding))
		return true
	})
	want := []string{
		`0s chat false ""`, `1s other0 true "bot"`, `2s other1 true "bot"`, `3s other2 true "bot"`,
		`10s chat true "chat"`, `20s chat true "chat"`,
	}
	if !slices.Equal(got, want) || unstarted != (Unstarted{}) {
		t.Errorf("the forecast is %q, not started: %+v, want %q", got, unstarted, want)
	}
	if s.Waiting() != 6 {
		t.Errorf("%d jobs wait after the forecast, want all 6", s.Waiting())
	}
}

// The limit that binds a job is the one that has kept it for longest, as the head of its
// lane; none, if it has waited for longer for a worker, or for a hold of its key.
func TestForecastTellsWhatKeepsAJobForLongest(t *testing.T) {
	wide, bot := limitOn("wide", rate(1_000_000, time.Second, 1)), limitOn("bot", rate(30, time.Second, 1))
	group, chat := limitOn("group", rate(1, 3*time.Second, 1)), limitOn("chat", rate(1, time.Minute, 1))
	for _, c := range []struct {
		name    string
		workers int
		takes   int64
		submit  func(s *Scheduler, submit func(key string, limits ...backend.Limit))
		want    string // of the last job
	}{
		{"a worker", 16, sec, func(_ *Scheduler, submit func(string, ...backend.Limit)) {
			for i := range 160 {
				submit(laneKey(i), wide)
			}
		}, ""},
		{"a wide limit", many, sec, func(_ *Scheduler, submit func(string, ...backend.Limit)) {
			for i := range 160 {
				submit(laneKey(i), wide)
			}
		}, "wide"},
		{"a limit of its own, then one of all", many, 0, func(_ *Scheduler, submit func(string, ...backend.Limit)) {
			submit("chat", chat, bot)
			for range 30 * 61 {
				submit("others", bot)
			}
			submit("chat", chat, bot)
		}, "chat"},
		{"a limit of some, then one of all", many, 0, func(_ *Scheduler, submit func(string, ...backend.Limit)) {
			for i := range 5 {
				submit(laneKey(i), group, bot)
			}
			for range 30 * 10 {
				submit("others", bot)
			}
			submit("last", group, bot)
		}, "group"},
		{"a hold", many, 0, func(s *Scheduler, submit func(string, ...backend.Limit)) {
			s.Hold(0, "a", 100*sec)
			submit("b", group)
			submit("a", group)
		}, ""},
	} {
		s := New(Config{Workers: c.workers})
		n := 0
		c.submit(s, func(key string, limits ...backend.Limit) {
			s.Submit(0, newJob(n), key, 0, limits)
			n++
		})
		var last Expected
		s.Snapshot(0, nil).Forecast(c.takes, func(e Expected) bool {
			if e.Job.seq > 0 && (last.Job == nil || e.Job.seq > last.Job.seq) {
				last = e
			}
			return true
		})
		if last.Binding != c.want || last.Bound != (c.want != "") {
			t.Errorf("behind %s, the last job is bound at %v by %q, %v, want %q",
				c.name, time.Duration(last.Slot), last.Binding, last.Bound, c.want)
		}
	}
}

func BenchmarkForecast(b *testing.B) {
	const jobs = 1_000_000
	s := New(Config{Workers: 32, Order: Backlog})
	bot, chat := gcra.FreqLimitParams{Limit: 30, Period: time.Second}, gcra.FreqLimitParams{Limit: 1, Period: time.Second}
	for i := range jobs {
		key := fmt.Sprint("chat", i)
		s.Submit(0, newJob(i), key, 0, []backend.Limit{{Key: "bot", Params: bot}, {Key: key, Params: chat}})
	}
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			s.Snapshot(0, nil)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
	})
	b.Run("play", func(b *testing.B) {
		snap := s.Snapshot(0, nil)
		for b.Loop() {
			snap.Forecast(0, func(Expected) bool { return true })
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
	})
}

// What waits behind a job that expires, and needs nothing but a place in its lane,
// starts at that instant: nothing else would wake the one who plays.
func TestForecastGoesOnAfterAnExpiry(t *testing.T) {
	s := New(Config{Workers: 1})
	s.Hold(0, "x", 10)
	s.SubmitDated(0, newJob(0), "k", 0, []backend.Limit{limitOn("x", rate(1, 10, 1))}, Dates{Deadline: 2})
	s.Submit(0, newJob(1), "k", 0, nil)
	var got []int64
	unstarted := s.Snapshot(0, nil).Forecast(0, func(e Expected) bool {
		got = append(got, e.Slot)
		return true
	})
	if !slices.Equal(got, []int64{3}) || unstarted != (Unstarted{Expired: 1}) {
		t.Errorf("the forecast is %v, not started: %+v; want [3], one expired", got, unstarted)
	}
}

// Snapshot makes a snapshot in one go.
func (s *Scheduler) Snapshot(now int64, running []Run) *Snapshot {
	g := s.BeginSnapshot()
	for !g.Step(1000) {
	}
	return g.Finish(now, running)
}
