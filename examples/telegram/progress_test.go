package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeter(t *testing.T) {
	start := time.Now()
	m := newMeter(980, start)
	steps := []struct {
		at   time.Duration
		done int
		want string
	}{
		{0, 0, "0/980 done, 0.0/s"},
		{5 * time.Second, 140, "140/980 done, 28.0/s, 30s left"},
		{10 * time.Second, 280, "280/980 done, 28.0/s, 25s left"},
		{15 * time.Second, 280, "280/980 done, 14.0/s, 50s left"}, // a stall
		{20 * time.Second, 280, "280/980 done, 0.0/s"},
		{25 * time.Second, 281, "281/980 done, 6.0/min, 1h56m30s left"},
		{30 * time.Second, 561, "561/980 done, 28.1/s, 15s left"},
		{40 * time.Second, 980, "980/980 done, 41.9/s"},
	}
	for _, s := range steps {
		m.observe(start.Add(s.at), s.done)
		if got := m.String(); got != s.want {
			t.Errorf("at %v: %q, want %q", s.at, got, s.want)
		}
	}
}

// What the meter keeps does not grow with time.
func TestMeterForgets(t *testing.T) {
	start := time.Now()
	m := newMeter(1_000_000, start)
	for i := range 100_000 {
		m.observe(start.Add(time.Duration(i)*barEvery), i)
		if len(m.samples) > int(meterSpan/barEvery)+2 {
			t.Fatalf("%d samples after %d observations", len(m.samples), i+1)
		}
	}
	if got := m.rate(); got != 5 {
		t.Errorf("rate = %v, want 5", got)
	}
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, false, 980)
		time.Sleep(time.Second / 64) // so that no message comes with a line
		for range 400 {
			time.Sleep(time.Second / 32)
			p.add(1)
		}
		p.finish()
		want := "telegram: 159/980 done, 31.8/s, 26s left\n" +
			"telegram: 319/980 done, 31.9/s, 21s left\n" +
			"telegram: 400/980 done in 12.52s, 32.0/s\n"
		if got := out.String(); got != want {
			t.Errorf("lines:\n%swant:\n%s", got, want)
		}
	})
}

func TestProgressBar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, true, 100)
		for range 10 {
			time.Sleep(90 * time.Millisecond)
			p.add(5)
		}
		time.Sleep(1100 * time.Millisecond)
		p.add(50)
		p.finish()
		drawn := strings.Split(out.String(), "\r")
		for _, want := range []string{
			"   0% |                              |   ",
			"  40% |████████████                  |  40/100 done, 50.0/s, 2s left ",
			"  50% |███████████████               |  50/100 done, 41.7/s, 2s left ",
			" 100% |██████████████████████████████|  100/100 done in 2.00s, 50.0/s \n",
		} {
			if !slices.Contains(drawn, want) {
				t.Errorf("%q was never drawn, but %q", want, drawn)
			}
		}
	})
}

// A campaign that is stopped leaves its bar where it was.
func TestProgressBarStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, true, 100)
		time.Sleep(time.Second)
		p.add(10)
		p.finish()
		if got, want := lastDrawn(out.String()), "  10% |███                           |  10/100 done in 1.00s, 10.0/s"; got != want {
			t.Errorf("bar = %q, want %q", got, want)
		}
	})
}

func TestProgressOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		newProgress(&out, true, 0).finish()
		if got, want := out.String(), "telegram: 0/0 done in 0.00s, 0.0/s\n"; got != want {
			t.Errorf("output = %q, want %q", got, want)
		}
	})
}

// lastDrawn is what stands on the bar's line in the end.
func lastDrawn(out string) string {
	return strings.TrimRight(out[strings.LastIndex(out, "\r")+1:], " \n")
}
