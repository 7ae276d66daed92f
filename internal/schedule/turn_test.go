package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// refuseInTurn is the answer that limit 0 opens then, and when to ask again.
func (w *world) refuseInTurn(until, turn int64) func(*Job) {
	return func(j *Job) { w.Refused(w.now, j, Refusal{Until: until, Turn: turn}) }
}

// wantAsked wants the backend to be asked for a job of a key next at an instant.
func (w *world) wantAsked(key string, want int64) {
	w.tb.Helper()
	before := w.answer
	defer func() { w.answer = before }()
	got := int64(-1)
	w.answer = func(j *Job) {
		if j.Key() == key && got < 0 {
			got = w.now
		}
		w.grant(j)
	}
	w.run()
	if got != want {
		w.tb.Errorf("the backend is asked for %q at %v, want %v", key, time.Duration(got), time.Duration(want))
	}
}

// Who is told a turn asks then, and not a lead before the limit opens.
func TestTurn(t *testing.T) {
	w := newWorld(t, Config{Workers: many, Horizon: 20 * ms, Lead: 10 * ms})
	x := limitOn("x", rate(10, time.Second, 1))
	w.submit("a", x)
	w.submit("b", x)
	w.answer = w.refuseInTurn(100*ms, 700*ms)
	w.step()
	w.wantAsked("a", 700*ms)
	w.wantSlots("b", w.of("a")[0]+100*ms)
}

// A turn before the limit opens does not open it.
func TestTurnBeforeTheLimitOpens(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	w.submit("a", limitOn("x", rate(10, time.Second, 1)))
	w.answer = w.refuseInTurn(500*ms, 100*ms)
	w.step()
	w.wantAsked("a", 500*ms)
}

// Jobs that cost less have a turn of their own: what is not enough for a dear one
// may do for them. Those that cost more wait for the turn too.
func TestTurnByCost(t *testing.T) {
	p := rate(10, time.Second, 5)
	for _, c := range []struct {
		cost int
		want int64
	}{{1, 0}, {3, 2 * sec}, {5, 2 * sec}} {
		w := newWorld(t, Config{Workers: many})
		w.submit("first", costly("x", p, c.cost))
		w.run()
		w.starts = nil
		w.lookUp("x").limit.state.TAT = 0
		w.submit("a", costly("x", p, 3))
		asked := 0
		w.answer = func(j *Job) {
			if asked++; asked > 1 {
				w.grant(j)
				return
			}
			w.Refused(w.now, j, Refusal{Until: 100 * ms, Turn: 2 * sec})
			for g := &w.lookUp("x").limit.gate; g != nil; g = g.next {
				if got := max(g.turn, 0); g.cost == c.cost && got != c.want {
					t.Errorf("the turn for jobs of cost %d is %v after the turn for cost 3 was told as 2s, want %v",
						c.cost, time.Duration(got), time.Duration(c.want))
				}
			}
		}
		w.step()
	}
}

// The latest turn that was told counts: others have used those before it.
func TestLatestTurn(t *testing.T) {
	for _, latest := range []int64{300 * ms, 700 * ms, 900 * ms} {
		w := newWorld(t, Config{Workers: many, Horizon: 20 * ms, Lead: 10 * ms})
		w.submit("a", limitOn("x", rate(10, time.Second, 1)))
		turns := []int64{500 * ms, 800 * ms, latest}
		w.answer = func(j *Job) {
			for _, turn := range turns {
				w.awaitTurn(w.limitOf("x"), 1, turn)
			}
			w.Refused(w.now, j, Refusal{Until: 100 * ms}) // names no turn
		}
		w.step()
		w.wantAsked("a", latest)
	}
}

// A turn is an instant of the clock: whatever was decided for instants to come, the
// backend is asked then and not before.
func TestTurnWhatHasBeenDecided(t *testing.T) {
	const turn = 25 * ms
	w := newWorld(t, Config{Workers: many, Horizon: 80 * ms, Lead: 40 * ms, Shared: true})
	y := limitOn("y", rate(200, time.Second, 1))
	w.submit("a", limitOn("x", rate(7, time.Second, 1)))
	for i := range 100 {
		w.submit(fmt.Sprint("filler", i), y) // decided up to the horizon
	}
	asked := []int64{}
	w.answer = func(j *Job) {
		if j.Key() != "a" {
			w.grant(j)
			return
		}
		if asked = append(asked, w.now); len(asked) == 1 {
			w.Refused(w.now, j, Refusal{Until: 50 * ms, Turn: turn})
			return
		}
		w.grant(j)
	}
	w.run()
	if want := []int64{0, turn}; !slices.Equal(asked, want) {
		t.Errorf("the backend is asked for the job at %v, want at once and when its turn has come, at %v", asked, want)
	}
}

// Trap: a turn that was given when the one before had been used early, as one of a batch that
// reaches up to the horizon, was forgotten.
func TestTurnAfterOneUsedEarly(t *testing.T) {
	for _, filler := range []bool{false, true} {
		s := newScheduler(Config{Workers: 100, Horizon: 40 * ms, Lead: 20 * ms, Shared: true})
		x, y := limitOn("x", rate(7, time.Second, 1)), limitOn("y", rate(1000, time.Second, 1))
		submit := func(now int64, key string, l backend.Limit) { s.Submit(now, &Job{}, key, 0, []backend.Limit{l}) }
		submit(0, "a", x)
		a, _ := s.Next(0)
		for s.Speculative(0) != nil {
		}
		s.Refused(0, a, Refusal{Until: 143 * ms, Turn: 123 * ms})
		submit(0, "b", x)
		asked := int64(-1)
		for now := int64(0); now < 2*sec && asked < 0; now += ms {
			if filler {
				submit(now, "f", y)
			}
			var batch []*Job
			for j, _ := s.Next(now); j != nil; j, _ = s.Next(now) {
				batch = append(batch, j)
				if j.Key() == "b" {
					asked = now
				}
			}
			for j := s.Speculative(now); j != nil; j = s.Speculative(now) {
				batch = append(batch, j)
			}
			for _, j := range batch {
				switch j.Key() {
				case "f":
					s.Granted(now, j, now)
					s.Finished(now, j, false)
				case "a":
					s.Granted(now, j, 143*ms)
				case "b":
					s.Refused(now, j, Refusal{Until: 286 * ms, Turn: 1266 * ms})
				}
			}
		}
		if asked != 1266*ms {
			t.Errorf("filler %v: the job whose turn is at 1.266s is asked for at %v", filler, time.Duration(asked))
		}
	}
}

// News of a turn moves it, and tells how far the limit's slots are taken.
func TestTurnMoves(t *testing.T) {
	for _, c := range []struct {
		turn, tat int64
		interval  time.Duration
		want      int64
	}{
		{300 * ms, 100 * ms, 100 * time.Millisecond, 300 * ms},
		{900 * ms, 100 * ms, 100 * time.Millisecond, 900 * ms},
		{300 * ms, 800 * ms, 100 * time.Millisecond, 790 * ms}, // a lead before the slot
		{300 * ms, 800 * ms, time.Second, 300 * ms},            // the TAT is in other intervals
	} {
		w := newWorld(t, Config{Workers: many, Horizon: 20 * ms, Lead: 10 * ms})
		w.submit("a", limitOn("x", rate(10, time.Second, 1)))
		w.answer = w.refuseInTurn(100*ms, 700*ms)
		w.step()
		w.Turn(w.now, "x", c.turn, c.tat, c.interval)
		w.Turn(w.now, "unknown", c.turn, c.tat, c.interval)
		w.wantAsked("a", c.want)
	}
}

// The main limit of a job is the one that most jobs are under.
func TestMainLimit(t *testing.T) {
	w := newWorld(t, Config{Workers: many})
	bot, a, b := limitOn("bot", rate(1, time.Second, 1)), limitOn("a", rate(1, time.Second, 1)), limitOn("b", rate(1, time.Second, 1))
	w.answer = w.refuseInTurn(time.Hour.Nanoseconds(), time.Hour.Nanoseconds())
	one := w.submit("1", a, bot)
	if got := w.BusiestLimit(one); got != 0 {
		t.Errorf("BusiestLimit() = %d while all limits have one job, want 0", got)
	}
	two := w.submit("2", bot, b)
	w.step()
	if got, and := w.BusiestLimit(one), w.BusiestLimit(two); got != 2 || and != 1 {
		t.Errorf("BusiestLimit() = %d and %d, want 2 and 1: the bot's limit", got, and)
	}
	if got := w.BusiestLimit(w.submit("3")); got != 0 {
		t.Errorf("BusiestLimit() = %d of a job without limits, want 0", got)
	}
}

// A slot that is granted shows that news of a later TAT is of before: of a slot that has been given
// back since.
func TestGrantedInSpiteOfNews(t *testing.T) {
	for _, burst := range []int{1, 3} {
		w := newWorld(t, Config{Workers: many})
		p := rate(1, time.Second, burst)
		x := limitOn("x", p)
		w.submit("a", x)
		w.submit("a", x)
		w.answer = func(j *Job) {
			w.answer = w.grant
			w.Turn(w.now, "x", w.now, w.now+int64(burst)*time.Second.Nanoseconds(), p.Interval())
			w.grant(j)
		}
		w.run()
		if got, want := w.starts[1].slot, time.Second.Nanoseconds(); got != want {
			t.Errorf("with a burst of %d the second job starts at %v, want %v", burst, time.Duration(got), time.Duration(want))
		}
	}
}
