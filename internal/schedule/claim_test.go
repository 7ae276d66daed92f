package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// busy keeps a limit taken with jobs of a lane of its own, under nothing else.
func (w *world) busy(key string, l backend.Limit, jobs int) {
	for range jobs {
		w.submit(key, l)
	}
}

// wantSteady fails the test unless the jobs of a key start one after another, each as
// soon as a limit admits that nobody else takes, from an instant on.
func (w *world) wantSteady(key string, l backend.Limit, from int64, jobs int) {
	w.tb.Helper()
	got := w.of(key)
	if len(got) != jobs {
		w.tb.Fatalf("%d jobs of %q start, want %d", len(got), key, jobs)
	}
	for i, slot := range got {
		if want := from + int64(i)*int64(l.Params.Interval()); slot != want {
			w.tb.Errorf("job %d of %q starts at %v, want %v", i, key, time.Duration(slot), time.Duration(want))
			return
		}
	}
}

// A head that a claim of another keeps waiting claims nothing: what else it is under is
// not idle meanwhile. That holds for a head that waits for such a head, and so on.
func TestAHeadThatIsKeptClaimsNothing(t *testing.T) {
	for _, links := range []int{1, 2, 3} {
		w := newWorld(t, Config{Workers: many})
		fast := limitOn("fast", rate(30, time.Second, 1))
		slow := make([]backend.Limit, links)
		for i := range slow {
			slow[i] = limitOn(fmt.Sprint("slow ", i), rate(1, time.Minute, 2))
		}
		each := func(submit func(i int, l backend.Limit)) {
			for i, l := range slow {
				submit(i, l)
			}
		}
		// Each big job has to save up for two minutes, and others keep it from that until
		// it is overdue, after ten minutes.
		each(func(i int, l backend.Limit) {
			w.submit(fmt.Sprint("first ", i), costly(l.Key, l.Params, 2))
			w.submit(fmt.Sprint("big ", i), costly(l.Key, l.Params, 2))
		})
		for small := range 3 {
			w.runUntil(w.now + 60*sec)
			each(func(i int, l backend.Limit) { w.submit(fmt.Sprint("small ", small, i), l) })
		}
		w.runUntil(w.now + 5*sec)
		for more := range 5 {
			each(func(i int, l backend.Limit) { w.submit(fmt.Sprint("more ", more, i), l) })
		}
		// The links are overdue before, and would start a minute before the big jobs.
		each(func(i int, l backend.Limit) {
			w.submit(fmt.Sprint("link ", i), append(slow[i+1:min(i+2, links):links], l, fast)...)
		})
		const jobs = 30 * 60 * 20
		from := w.now
		w.busy("fast", fast, jobs)
		w.run()
		interval := int64(fast.Params.Interval())
		if late := w.of("fast")[jobs-1] - from - (jobs-1)*interval; late > int64(links)*interval {
			t.Errorf("%d links: the last job under the fast limit alone starts %v later than if nobody else were under it, want %v at most",
				links, time.Duration(late), time.Duration(int64(links)*interval))
		}
	}
}

// A limit that is slower than another waits for it, when a head is overdue under both;
// the faster one waits for nothing.
func TestTheFastestLimitIsNeverIdle(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		w := newWorld(t, Config{Workers: many, Order: order})
		slow, fast := limitOn("slow", rate(1, time.Second, 1)), limitOn("fast", rate(30, time.Second, 1))
		const both, jobs = 100, 4000
		for i := range both {
			w.submitAt(1, fmt.Sprint("both ", i), slow, fast) // ranks first in each order
		}
		w.busy("fast", fast, jobs)
		w.run()
		interval := int64(fast.Params.Interval())
		if got, want := w.of("fast")[jobs-1], (jobs+both-1)*interval; got != want {
			t.Errorf("the last job under the fast limit alone starts at %v, want %v", time.Duration(got), time.Duration(want))
		}
		if got, most := w.of(fmt.Sprint("both ", both-1))[0], (both-1)*(sec+interval); got > most {
			t.Errorf("the last job under both starts at %v, want %v at the latest", time.Duration(got), time.Duration(most))
		}
	})
}

// A head that others rank before can't start earlier for a claim, and has none.
func TestAHeadBehindOthersClaimsNothing(t *testing.T) {
	x, y := limitOn("x", rate(1, time.Second, 1)), limitOn("y", rate(1, time.Second, 1))
	for _, priority := range []int{0, 1} {
		w := newWorld(t, Config{Workers: many, Order: FIFO})
		for range 300 {
			w.submitAt(priority, "y", y)
		}
		w.runUntil(sec / 2)
		both := w.submit("both", x, y)
		w.busy("x", x, 290)
		w.run()
		w.wantSteady("x", x, sec/2, 290)
		if both.Slot < 300*sec {
			t.Errorf("priority %d: the job under both starts at %v, before all of y", priority, time.Duration(both.Slot))
		}
	}
}

// A head that waits for long for another limit is not in the way of others that have to
// save up, however many there are of the kind.
func TestHeadsThatWaitElsewhereAreNotInTheWay(t *testing.T) {
	inEachOrder(t, func(t *testing.T, order Order) {
		const far = 300
		w := newWorld(t, Config{Workers: many, Order: order})
		x, hourly := rate(10, time.Second, 10), limitOn("hourly", rate(1, time.Hour, 1))
		w.submit("first", hourly)
		for i := range far {
			w.submitAt(1, fmt.Sprint("far ", i), hourly, limitOn("x", x))
		}
		w.runUntil(30 * 3600 * sec) // they are overdue
		w.submitAt(1, "costly", costly("x", x, 10))
		w.submitAt(1, "costly", costly("x", x, 10))
		for i := range 20 {
			w.busy(fmt.Sprint("cheap ", i), limitOn("x", x), 200)
		}
		w.runUntil(w.now + 400*sec)
		// It is overdue after 4 s, the claim is another's until all have waived, 30 s or
		// less, and it has to save up for 1 s.
		last := w.of("costly")
		if len(last) != 2 {
			t.Fatalf("%d of the 2 costly jobs start in 400 s", len(last))
		}
		if took, most := last[1]-last[0], int64(4*sec+far*sec/10+2*sec); took > most {
			t.Errorf("the second costly job starts %v after the first, want %v at most", time.Duration(took), time.Duration(most))
		}
	})
}

// saving is a world in which a job saves up for x, to start at 5 s, and a claim keeps
// another of lower rank waiting that could start from 4.6 s on.
func saving(t *testing.T, dates Dates) (w *world, saver, other *Job) {
	x, y := rate(10, time.Second, 5), limitOn("y", perKey)
	w = newWorld(t, Config{Workers: many})
	w.submit("full", costly("x", x, 5))
	w.step()
	saver = newJob(0)
	w.ledger["y"] = w.ledger["y"].Rebase(0, y.Params)
	w.SubmitDated(0, saver, "saver", 1, []backend.Limit{costly("x", x, 5), y}, dates)
	for range 45 {
		w.submitAt(2, "urgent", limitOn("x", x))
	}
	w.runUntil(45 * sec / 10)
	other = w.submit("other", limitOn("x", x))
	w.runUntil(47 * sec / 10)
	return w, saver, other
}

// A claim ends as soon as the holder can't start any more as it was claimed.
func TestAClaimEndsWhenItsHolderIsPutOff(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, saver *Job)
		want int64 // when the other starts
	}{
		{"nothing", func(*world, *Job) {}, 5100 * ms},
		{"a hold of one of its limits", func(w *world, _ *Job) { w.delay("y", 3600*sec) }, 4700 * ms},
		{"a hold of its key", func(w *world, _ *Job) { w.delay("saver", 3600*sec) }, 4700 * ms},
		{"a hold that is over before", func(w *world, _ *Job) { w.delay("saver", 200*ms) }, 5100 * ms},
		{"a job of higher rank", func(w *world, _ *Job) { w.submitAt(2, "urgent", limitOn("y", perKey)) }, 4700 * ms},
		{"a pause of its key", func(w *world, _ *Job) { w.PauseKey(w.now, "saver") }, 4700 * ms},
		{"its end", func(w *world, saver *Job) { w.Remove(w.now, saver) }, 4700 * ms},
		{"another job of its lane", func(w *world, saver *Job) { w.submitAt(1, "saver") }, 5100 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, saver, other := saving(t, Dates{})
			if got := other.Slot; got != 0 {
				t.Fatalf("the other job starts at %v, want it to wait", time.Duration(got))
			}
			c.do(w, saver)
			w.ResumeKey(w.now, "other") // nothing
			w.runUntil(10 * sec)
			if got := other.Slot; got != c.want {
				t.Errorf("the other job starts at %v, want %v", time.Duration(got), time.Duration(c.want))
			}
		})
	}
}

// A head that expires before it can start claims nothing.
func TestAHeadThatExpiresClaimsNothing(t *testing.T) {
	for deadline, want := range map[int64]int64{5*sec - 1: 4600 * ms, 5 * sec: 5100 * ms} {
		w, _, other := saving(t, Dates{Deadline: deadline})
		w.runUntil(10 * sec)
		if got := other.Slot; got != want {
			t.Errorf("deadline %v: the other job starts at %v, want %v", time.Duration(deadline), time.Duration(got), time.Duration(want))
		}
	}
}

// A head claims nothing if another, which has waived its place under one of its limits,
// will be back by then and take that limit first.
func TestAHeadBehindOneThatComesBackClaimsNothing(t *testing.T) {
	for back, want := range map[int64]int64{5800 * ms: 4600 * ms, 7000 * ms: 5100 * ms} {
		x, y := rate(10, time.Second, 5), limitOn("y", perKey)
		w := newWorld(t, Config{Workers: many})
		w.submit("full", costly("x", x, 5))
		w.step()
		w.submitAt(3, "waived", y, limitOn("z", perKey))
		w.delay("z", back)
		w.submitAt(1, "saver", costly("x", x, 5), y) // to start at 5 s
		for range 45 {
			w.submitAt(2, "urgent", limitOn("x", x))
		}
		w.submit("passer", y) // there, a second before it starts, the other one will be back
		w.runUntil(45 * sec / 10)
		other := w.submit("other", limitOn("x", x))
		w.runUntil(10 * sec)
		if got := other.Slot; got != want {
			t.Errorf("the other job starts at %v, want %v if the one that has waived its place can start at %v",
				time.Duration(got), time.Duration(want), time.Duration(back))
		}
	}
}

// For how long a head has to wait before it may have a claim goes by the params that its
// limits have now.
func TestPatienceGoesByTheParamsOfNow(t *testing.T) {
	slow, fast := rate(1, time.Hour, 5), rate(10, time.Second, 5)
	for _, c := range []struct{ before, after gcra.FreqLimitParams }{{slow, fast}, {fast, slow}} {
		w := newWorld(t, Config{Workers: many, Order: FIFO})
		w.submit("full", costly("x", c.before, 5))
		w.step()
		saver := w.submit("saver", costly("x", c.before, 5))
		w.runUntil(1)
		w.SetParams(w.now, "x", c.after)
		w.ledger["x"] = w.ledger["x"].Rebase(w.now, c.after)
		w.busy("cheap", limitOn("x", c.after), 100)
		w.runUntil(w.now + 101*int64(c.after.Interval()))
		// It is overdue after four times what it takes, 20 intervals, and then saves up for 5.
		most := int64(26 * c.after.Interval())
		if got, least := saver.Slot, int64(20*c.after.Interval()); got < least || got > most {
			t.Errorf("from %v to %v: the job starts at %v, want it between %v and %v",
				c.before, c.after, time.Duration(got), time.Duration(least), time.Duration(most))
		}
	}
}

// Trap 2: no interval is so long that a head is overdue as soon as it is ready.
func TestPatienceDoesNotOverflow(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, years := range []time.Duration{1, 70, 80, 99} {
		w := newWorld(t, Config{Workers: many})
		w.runUntil(sec)
		j := newJob(0)
		w.Submit(sec, j, "a", 0, []backend.Limit{limitOn("x", rate(1, years*year, 1))})
		least := sec + int64(min(years, 70)*year) // as good as never
		if at := j.lane.overdue(); at < least {
			t.Errorf("a head under a limit of one in %d years is overdue at %d, want %d at least", years, at, least)
		}
	}
}
