package schedule

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
)

// crowd is many lanes, each with one job that waits, and the events that keep
// them so: whenever a job starts it ends, and the next of its key is submitted.
type crowd struct {
	*Scheduler
	now    int64
	limits func(lane int, limits []backend.Limit) []backend.Limit
	buf    []backend.Limit
}

func newCrowd(order Order, limits func(lane int, limits []backend.Limit) []backend.Limit) *crowd {
	return &crowd{
		Scheduler: New(Config{Workers: 64, Horizon: 2 * ms, Order: order}),
		limits:    limits,
	}
}

// submit submits a job of a lane, with the lane as its id.
func (c *crowd) submit(lane int, key string) {
	c.buf = c.limits(lane, c.buf[:0])
	c.Submit(c.now, newJob(lane), key, 0, c.buf)
}

// start starts the next job, at once or after some time.
func (c *crowd) start(b *testing.B) *Job {
	for {
		j, ask := c.Next(c.now)
		if j != nil {
			if ask {
				c.Granted(c.now, j, j.Slot)
			}
			return j
		}
		at, ok := c.Wake()
		if !ok {
			b.Fatal("nothing to wait for")
		}
		c.now = max(c.now, at)
	}
}

// fill submits a job for each lane. It returns the memory that each holds while
// it waits, without its key, in bytes.
func (c *crowd) fill(lanes int) float64 {
	keys := make([]string, lanes)
	for i := range lanes {
		keys[i] = laneKey(i)
	}
	before := heapInUse()
	for i := range lanes {
		c.submit(i, keys[i])
	}
	after := heapInUse()
	runtime.KeepAlive(keys)
	return float64(after-before) / float64(lanes)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

var laneKeys [1_000_000]string

// laneKey is a lane's key, made once.
func laneKey(i int) string {
	if laneKeys[i] == "" {
		laneKeys[i] = fmt.Sprintf("chat:%07d", i)
	}
	return laneKeys[i]
}

// benchmark measures the whole life of a job among many lanes: submitted, taken,
// granted, finished.
func (c *crowd) benchmark(b *testing.B, lanes int) {
	bytes := c.fill(lanes)
	b.ReportAllocs()
	jobs := 0
	for b.Loop() {
		j := c.start(b)
		c.Finished(c.now, j, false)
		c.submit(idOf(j), j.Key())
		jobs++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(jobs), "ns/job")
	b.ReportMetric(0, "ns/op") // the same, and hides the other
	b.ReportMetric(bytes, "B/job")
	if c.Waiting() != lanes {
		b.Fatalf("%d jobs wait, want %d", c.Waiting(), lanes)
	}
}

func alone(_ int, limits []backend.Limit) []backend.Limit {
	return append(limits, limitOn("shared", perShared))
}

func withOwn(lane int, limits []backend.Limit) []backend.Limit {
	return append(limits, limitOn("shared", perShared), limitOn(laneKey(lane), perKey))
}

// BenchmarkStarts is the cost of a job with many lanes behind one shared limit:
// under that alone, or each lane under a limit of its own too. It should grow
// with the logarithm of the number of lanes, so that 1,000,000 cost twice what
// 1,000 do.
func BenchmarkStarts(b *testing.B) {
	for _, shape := range []struct {
		name   string
		limits func(int, []backend.Limit) []backend.Limit
	}{{"shared", alone}, {"shared+own", withOwn}} {
		for _, order := range []Order{Fair, FIFO, Backlog} {
			for _, lanes := range []int{1_000, 100_000, 1_000_000} {
				if order != Fair && lanes == 100_000 {
					continue
				}
				b.Run(fmt.Sprintf("%s/%v/lanes=%d", shape.name, order, lanes), func(b *testing.B) {
					newCrowd(order, shape.limits).benchmark(b, lanes)
				})
			}
		}
	}
}

// BenchmarkTenants is 1,000 tenants of 100 lanes each: every tenant has a limit,
// which closes with each of its starts, behind a global one. If the 100 lanes
// moved each time, a job would cost a hundredfold.
func BenchmarkTenants(b *testing.B) {
	global := rate(1000, time.Second, 1)
	for _, tenants := range []int{10, 1_000} {
		for _, each := range []int{1, 100} {
			for _, binds := range []string{"global", "tenants"} {
				tenant := rate(1000, time.Second, 1)
				if binds == "tenants" {
					tenant = rate(1, 2*time.Second, 1)
				}
				keys := make([]string, tenants)
				for i := range keys {
					keys[i] = fmt.Sprint("tenant:", i)
				}
				b.Run(fmt.Sprintf("%s-bind/tenants=%d/each=%d", binds, tenants, each), func(b *testing.B) {
					newCrowd(Fair, func(lane int, limits []backend.Limit) []backend.Limit {
						return append(limits, limitOn("", global), limitOn(keys[lane%tenants], tenant))
					}).benchmark(b, tenants*each)
				})
			}
		}
	}
}

// BenchmarkDeepLane is one lane with very many jobs: trap 29.
func BenchmarkDeepLane(b *testing.B) {
	for _, jobs := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			c := newCrowd(Fair, alone)
			before := heapInUse()
			for range jobs {
				c.submit(0, "a")
			}
			bytes := float64(heapInUse()-before) / float64(jobs)
			b.ReportAllocs()
			for b.Loop() {
				j := c.start(b)
				c.Finished(c.now, j, false)
				c.submit(0, "a")
			}
			b.ReportMetric(bytes, "B/job")
		})
	}
}

// BenchmarkOutage is the first decision after the backend could not be asked,
// with many lanes that could start, and the first after it is back.
func BenchmarkOutage(b *testing.B) {
	for _, lanes := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			c := newCrowd(Fair, withOwn)
			c.fill(lanes)
			var longest time.Duration
			for b.Loop() {
				j, _ := c.Next(c.now)
				for j == nil {
					at, _ := c.Wake()
					c.now = max(c.now, at)
					j, _ = c.Next(c.now)
				}
				c.Failed(c.now, j, c.now+sec)
				began := time.Now()
				if j, _ := c.Next(c.now); j != nil {
					b.Fatal("a job is taken while the backend is away")
				}
				longest = max(longest, time.Since(began))
				c.now += sec
				c.Finished(c.now, c.start(b), true)
			}
			b.ReportMetric(float64(longest.Microseconds()), "us/longest-call")
		})
	}
}

// Groups in each of which a costly job and cheap ones contend, so that claims keep many
// gates waiting at once: the cost of a start does not grow with them. That holds too if
// there is a limit over all groups, which every start takes.
func BenchmarkClaims(b *testing.B) {
	for _, over := range []bool{false, true} {
		for _, groups := range []int{100, 1000, 3000} {
			name := fmt.Sprint("groups=", groups)
			if over {
				name = "over all/" + name
			}
			b.Run(name, func(b *testing.B) {
				benchmarkClaims(b, groups, over)
			})
		}
	}
}

func benchmarkClaims(b *testing.B, groups int, over bool) {
	c := newCrowd(Fair, func(lane int, limits []backend.Limit) []backend.Limit {
		group := lane % groups
		p := rate(1, time.Second+time.Duration(group)*100*time.Microsecond, 5)
		cost := 1
		if lane >= groups {
			cost = 5
		}
		if over {
			limits = append(limits, limitOn("all", rate(1, 100*time.Microsecond, 1)))
		}
		return append(limits, costly(laneKey(group)+" group", p, cost))
	})
	c.fill(2 * groups)
	again := func() {
		j := c.start(b)
		c.Finished(c.now, j, false)
		c.submit(idOf(j), j.Key())
	}
	for range 40 * groups {
		again()
	}
	for b.Loop() {
		again()
	}
}
