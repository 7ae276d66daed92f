package main

import (
	"strings"
	"testing"
	"time"
)

func written(t *testing.T, r report) string {
	t.Helper()
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReport(t *testing.T) {
	lateness := make([]time.Duration, 990)
	for i := range lateness {
		lateness[len(lateness)-1-i] = time.Duration(i) * 10 * time.Microsecond
	}
	got := written(t, report{
		messages: 980,
		sent:     964,
		blocked:  14,
		failed:   2,
		tooMany:  0,
		retries:  10,
		taken:    34_125 * time.Millisecond,
		shortest: 33_758_620_681 * time.Nanosecond,
		lateness: lateness,
	})
	want := strings.TrimPrefix(`
messages              980
  sent                964
  blocked              14
  failed                2
  not sent              0

429 answers             0
retries                10

time taken         34.13s
shortest time      33.76s  possible: 98.9% of the time taken
rate                 28.7  messages/s

late by, p50      4.940ms  of 990 starts
late by, p99      9.800ms
late by, max      9.890ms
early starts            0
`, "\n")
	if got != want {
		t.Errorf("report:\n%s\nwant:\n%s", got, want)
	}
}

func TestReportOfAStorm(t *testing.T) {
	got := written(t, report{
		messages: 980, sent: 980, tooMany: 102, retries: 126,
		taken: 89 * time.Second, shortest: 35 * time.Second,
		storm: &stormReport{chats: 8, broken: 15, timeouts: 9, spared: 36 * time.Second},
	})
	want := `
429 answers           102
5xx answers            15
timeouts                9
retries               126

time taken       1m29.00s
  other chats      36.00s  all but the 8 that get the 429 answers
shortest time      35.00s  possible: 39.3% of the time taken
`
	if !strings.Contains(got, want) {
		t.Errorf("report:\n%s\nwant in it:\n%s", got, want)
	}
}

// A campaign that was stopped is not compared with one that was not, and what
// must never be is said aloud.
func TestReportOfAStoppedCampaign(t *testing.T) {
	got := written(t, report{
		messages: 1_000_000,
		sent:     2_000,
		notSent:  997_999,
		tooMany:  3,
		retries:  4,
		taken:    83*time.Second + 345*time.Millisecond,
		shortest: 10 * time.Hour,
		lateness: []time.Duration{-1500 * time.Microsecond, 0, time.Millisecond},
	})
	want := strings.TrimPrefix(`
messages          1000000
  sent               2000
  blocked               0
  failed                0
  not sent         997999
  unaccounted           1  a bug: please report it

429 answers             3
retries                 4

time taken       1m23.35s
shortest time  10h0m00.00s
rate                 24.0  messages/s

late by, p50      0.000ms  of 3 starts
late by, p99      1.000ms
late by, max      1.000ms
early starts            1
`, "\n")
	if got != want {
		t.Errorf("report:\n%s\nwant:\n%s", got, want)
	}
}

func TestReportOfNothing(t *testing.T) {
	got := written(t, report{})
	for _, line := range []string{"messages                0\n", "rate                  0.0  messages/s\n", "late by, p99      0.000ms\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("report:\n%s\nhas no line %q", got, line)
		}
	}
}

func TestPercentile(t *testing.T) {
	ranks := make([]time.Duration, 100)
	for i := range ranks {
		ranks[i] = time.Duration(i + 1)
	}
	tests := []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 50, 0},
		{ranks[:1], 1, 1},
		{ranks[:1], 99, 1},
		{ranks[:2], 50, 1},
		{ranks[:2], 51, 2},
		{ranks[:3], 50, 2},
		{ranks, 50, 50},
		{ranks, 99, 99},
		{ranks, 100, 100},
		{ranks[:99], 99, 99},
	}
	for _, tt := range tests {
		if got := percentile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("percentile(%d values, %d) = %d, want %d", len(tt.sorted), tt.p, got, tt.want)
		}
	}
}

func TestFormatTime(t *testing.T) {
	tests := map[time.Duration]string{
		0:                         "0.00s",
		59_994 * time.Millisecond: "59.99s",
		59_996 * time.Millisecond: "1m00.00s",
		10 * time.Minute:          "10m00.00s",
		3*time.Hour + 5*time.Second + 250*time.Millisecond: "3h0m05.25s",
	}
	for d, want := range tests {
		if got := formatTime(d); got != want {
			t.Errorf("formatTime(%v) = %s, want %s", d, got, want)
		}
	}
}
