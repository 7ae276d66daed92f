package goredis

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// world is a server's clock beside the local one.
type world struct {
	offset float64 // local - server at local time 0, nanoseconds
	rate   float64 // by how much the local clock is faster
}

// at is local - server at a local time, rounded up.
func (w world) at(local int64) int64 { return int64(math.Ceil(w.offset + w.rate*float64(local))) }

// reads is what the server says at a local time: microseconds, rounded down.
func (w world) reads(local int64) int64 {
	server := float64(local) - w.offset - w.rate*float64(local)
	return int64(math.Floor(server / 1000))
}

const (
	ms   = int64(time.Millisecond)
	hour = int64(time.Hour)
)

// roundTrip draws when a call left, when the server read its clock and when the
// answer came.
func roundTrip(t *rapid.T, from int64) (sent, read, received int64) {
	sent = from + rapid.Int64Range(0, 2*ms).Draw(t, "pause")
	read = sent + rapid.SampledFrom([]int64{0, 1, 999, 30_000, ms, 20 * ms}).Draw(t, "there")
	received = read + rapid.SampledFrom([]int64{0, 1, 999, 30_000, ms, 20 * ms}).Draw(t, "back")
	return sent, read, received
}

// Traps 5 and 27: whatever the true offset of the clocks and the round trips, no local instant is
// early, as long as the clocks diverge by at most drift. Calls overlap, and their answers are
// recorded in any order.
func TestClockIsNeverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{
			offset: float64(rapid.Int64Range(-100*hour, 100*hour).Draw(t, "offset")),
			rate:   rapid.SampledFrom([]float64{0, drift, -drift, drift / 3}).Draw(t, "rate"),
		}
		var c clock
		now := int64(0)
		type call struct{ sent, read, received int64 }
		for range rapid.IntRange(1, 50).Draw(t, "rounds") {
			var calls []call
			for range rapid.IntRange(1, 3).Draw(t, "calls") {
				sent, read, received := roundTrip(t, now)
				calls = append(calls, call{sent, read, received})
			}
			for _, x := range calls {
				got := c.sample(x.sent, x.received, w.reads(x.read))
				if least := w.at(x.received); got < least {
					t.Fatalf("sample() at %d = %d, want at least the true offset, %d", x.received, got, least)
				}
				if most := w.at(x.received) + x.received - x.sent + 1000 + 40*1000; got > most {
					t.Fatalf("sample() at %d after %d ns = %d, want at most %d", x.received, x.received-x.sent, got, most)
				}
				now = max(now, x.received)
			}
			now += rapid.SampledFrom([]int64{0, ms, 1000 * ms, hour}).Draw(t, "rest")
		}
	})
}

// The smallest round trip counts, until it is so long ago that the clocks may have diverged by as
// much.
func TestClockKeepsTheBestRoundTrip(t *testing.T) {
	w := world{offset: 5 * float64(hour)}
	var c clock
	trip := func(sent, length int64) int64 { return c.sample(sent, sent+length, w.reads(sent)) - w.at(sent) }
	if got := trip(0, 10*ms); got < 10*ms || got > 10*ms+1000 {
		t.Errorf("sample() of the first round trip, 10 ms, is off by %d ns, want by 10 ms", got)
	}
	if got := trip(20*ms, ms); got < ms || got > ms+1000 {
		t.Errorf("sample() of one of 1 ms is off by %d ns, want by 1 ms", got)
	}
	for i := range int64(100) {
		if got, most := trip(40*ms+i*20*ms, 10*ms), ms+1000+(30+i*20)*ms/1000; got < ms || got > most {
			t.Errorf("sample() of one of 10 ms, number %d after it, is off by %d ns, want by at most %d", i, got, most)
		}
	}
	if got := trip(hour, 10*ms); got < 10*ms || got > 10*ms+1000 {
		t.Errorf("sample() of one of 10 ms an hour later is off by %d ns, want by 10 ms", got)
	}
	c.forget()
	if got := trip(hour+20*ms, 15*ms); got < 15*ms || got > 15*ms+1000 {
		t.Errorf("sample() after forget() is off by %d ns, want by the round trip, 15 ms", got)
	}
}

// The possible drift is rounded up, so that a call soon after the last one makes nothing early by
// the fraction.
func TestClockRoundsDriftUp(t *testing.T) {
	var c clock
	c.sample(0, 0, 0)
	if got := c.sample(0, 1, 0); got != 1 {
		t.Errorf("sample() a nanosecond after an exact one = %d, want 1", got)
	}
	c = clock{}
	c.sample(0, 0, 0)
	if got := c.sample(0, int64(time.Second)+1, 0); got != ms+1 {
		t.Errorf("sample() 1.000000001 s after an exact one = %d, want %d", got, ms+1)
	}
}

// Trap 5: the server's clock steps by an hour, in either direction. The first call after the step
// corrects the offset.
func TestClockSteps(t *testing.T) {
	for _, step := range []float64{float64(hour), -float64(hour)} {
		w := world{offset: 12345}
		var c clock
		for i := range int64(10) {
			c.sample(i*ms, i*ms+ms/2, w.reads(i*ms+ms/4))
		}
		w.offset += step
		for i := range int64(10) {
			sent := (20 + i) * ms
			got := c.sample(sent, sent+ms/2, w.reads(sent+ms/4))
			if late := got - w.at(sent); late < 0 || late > ms/2+1000 {
				t.Errorf("sample(), call %d after a step by %v ns, is off by %d ns, want from 0 to the round trip", i, step, late)
			}
		}
	}
}

// takeOffset takes in the answer of a server that says now, to a call from local
// time sent to received, and returns the local time of that now.
func takeOffset(b *Backend, sent, received time.Duration, now time.Time, err error) time.Duration {
	bt := newBatch()
	bt.add(&backend.Request{}, nil, 0)
	cmd := redis.NewCmd(context.Background(), "evalsha")
	if err != nil {
		cmd.SetErr(err)
	} else {
		cmd.SetVal(string(appendNumber(nil, now.UnixMicro())) + string(make([]byte, decisionSize)))
	}
	p := bt.parts[0]
	b.take(&b.shard, bt.parts, []redis.Cmder{cmd}, int64(sent), int64(received))
	return time.Duration(now.UnixMicro()*1000 + p.offset)
}

// Each node of a cluster has a clock of its own, which says nothing about the others. A single
// server that did not answer may have been replaced by another.
func TestClocksOfSeveralServers(t *testing.T) {
	const trip = 10 * time.Millisecond
	client := unasked(t)
	server := time.UnixMicro(labStart)
	for _, c := range []struct {
		name    string
		cluster bool
		err     error
		want    time.Duration // of the second call: the local time of the server's now
	}{
		// The first call took nothing: its bound is exact, and 2 s later off by
		// what clocks may drift.
		{"one server", false, nil, 2*time.Second + trip/2 + 2*time.Millisecond + trip/1000},
		{"a cluster", true, nil, 2*time.Second + trip},
		{"one server after an error", false, replied("LOADING"), 2*time.Second + trip},
	} {
		b := newBackend(t, client, Config{})
		b.cluster = c.cluster
		if got := takeOffset(b, 0, 0, server, nil); got != 0 {
			t.Errorf("%s: local time of the first now = %v, want 0", c.name, got)
		}
		if c.err != nil {
			takeOffset(b, time.Second, time.Second+trip, server, c.err)
		}
		got := takeOffset(b, 2*time.Second, 2*time.Second+trip, server.Add(2*time.Second+trip/2), nil)
		if got != c.want {
			t.Errorf("%s: local time of the second now = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCeilMicros(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int64
	}{
		{math.MinInt64, 0},
		{-time.Hour, 0},
		{-1, 0},
		{0, 0},
		{1, 1},
		{999, 1},
		{1000, 1},
		{1001, 2},
		{33_333_334, 33_334},
		{time.Second, 1_000_000},
		{math.MaxInt64, 9_223_372_036_854_776},
	} {
		if got := ceilMicros(c.d); got != c.want {
			t.Errorf("ceilMicros(%d) = %d, want %d", c.d, got, c.want)
		}
	}
}
