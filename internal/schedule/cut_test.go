package schedule

import (
	"slices"
	"testing"

	"github.com/freqlimit/dispatcher/backend"
	"pgregory.net/rapid"
)

// All that waits when a key is cut off is let go of once, whatever else happens
// meanwhile, and nothing else is: no job that asks or runs and comes back, and none that is
// submitted later.
func TestCut(t *testing.T) {
	checkSome(t, func(t *rapidT) {
		s := New(Config{Workers: span(t, "workers", 1, 4), Order: Order(span(t, "order", 0, 2)), Serial: rapid.Bool().Draw(t, "serial")})
		now, next := int64(0), 0
		jobs := map[int]*Job{}
		waits, asks, runs, cut := map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}
		var cuts []*Cut
		pick := func(label string, of map[int]bool) (int, bool) {
			var ids []int
			for id := range of {
				ids = append(ids, id)
			}
			if len(ids) == 0 {
				return 0, false
			}
			slices.Sort(ids)
			return rapid.SampledFrom(ids).Draw(t, label), true
		}
		gone := func(j *Job) {
			id := idOf(j)
			if !waits[id] && !cut[id] {
				t.Fatalf("job %d is gone, want it asking, running or gone before", id)
			}
			delete(waits, id)
			delete(cut, id)
		}
		expire := func() {
			for j := s.Expired(now); j != nil; j = s.Expired(now) {
				gone(j)
			}
		}
		for range span(t, "steps", 1, 80) {
			switch span(t, "step", 0, 9) {
			case 0, 1, 2:
				var limits []backend.Limit
				if rapid.Bool().Draw(t, "limited") {
					limits = append(limits, costly("x", rate(1, 3, 2), span(t, "cost", 0, 2)))
				}
				var dates Dates
				if span(t, "dated", 0, 2) == 0 {
					dates.NotBefore = now + int64(span(t, "not before", 0, 9))
				}
				if span(t, "pressed", 0, 2) == 0 {
					dates.Deadline = now + int64(span(t, "deadline", 1, 20))
				}
				jobs[next] = newJob(next)
				s.SubmitDated(now, jobs[next], rapid.SampledFrom([]string{"k", "k", "other"}).Draw(t, "key"), span(t, "priority", 0, 2), limits, dates)
				waits[next] = true
				next++
			case 3, 4:
				expire()
				if j, ask := s.Next(now); j != nil {
					id := idOf(j)
					if !waits[id] {
						t.Fatalf("job %d is taken, which does not wait", id)
					}
					delete(waits, id)
					if ask {
						asks[id] = true
					} else {
						runs[id] = true
					}
				}
				expire()
			case 5:
				if id, ok := pick("answered", asks); ok {
					delete(asks, id)
					if rapid.Bool().Draw(t, "granted") {
						s.Granted(now, jobs[id], jobs[id].Slot)
						runs[id] = true
					} else {
						s.Refused(now, jobs[id], Refusal{Until: now + 2})
						waits[id] = true
					}
				}
			case 6:
				if id, ok := pick("ended", runs); ok {
					delete(runs, id)
					switch span(t, "end", 0, 3) {
					case 0:
						s.Finished(now, jobs[id], false)
					case 1:
						s.Finished(now, jobs[id], true)
						waits[id] = true
					default:
						s.Later(now, jobs[id], now+int64(span(t, "later", 1, 5)), rapid.Bool().Draw(t, "hold"))
						waits[id] = true
					}
				}
			case 7:
				of := waits
				if rapid.Bool().Draw(t, "of cut") {
					of = cut
				}
				if id, ok := pick("removed", of); ok {
					s.Remove(now, jobs[id])
					gone(jobs[id])
				}
			case 8:
				for id := range waits {
					if jobs[id].Key() == "k" {
						delete(waits, id)
						cut[id] = true
					}
				}
				cuts = append(cuts, s.Cut(now, "k"))
			default:
				now += int64(span(t, "time", 0, 5))
			}
			for i, c := range cuts {
				if rapid.Bool().Draw(t, "go on") && !c.Remove(span(t, "n", 1, 3), gone) {
					cuts = slices.Delete(cuts, i, i+1)
					break
				}
			}
			if got := s.Waiting(); got != len(waits)+len(asks) {
				t.Fatalf("%d jobs wait, want %d", got, len(waits)+len(asks))
			}
		}
		if rapid.Bool().Draw(t, "abandon") {
			for id := range asks {
				waits[id] = true
			}
			s.Abandon(gone)
			clear(asks)
			cuts = nil
		}
		for _, c := range cuts {
			for c.Remove(2, gone) {
			}
		}
		if len(cut) > 0 || len(s.cuts) > 0 {
			t.Fatalf("%v have been cut off and are not let go of; %d cuts are kept", cut, len(s.cuts))
		}
		for id := range asks {
			s.Granted(now, jobs[id], jobs[id].Slot)
			runs[id] = true
		}
		for range 1000 {
			for id := range runs {
				s.Finished(now, jobs[id], false)
			}
			clear(runs)
			now += 10
			expire()
			for j, ask := s.Next(now); j != nil; j, ask = s.Next(now) {
				if ask {
					s.Granted(now, j, j.Slot)
				}
				delete(waits, idOf(j))
				runs[idOf(j)] = true
			}
			expire()
			if len(waits)+len(runs) == 0 {
				break
			}
		}
		w := &world{Scheduler: s, tb: t}
		s.Next(now + 1000)
		w.wantNothingKept()
		if len(waits)+len(runs) > 0 {
			t.Fatalf("jobs %v wait for ever", waits)
		}
	})
}
