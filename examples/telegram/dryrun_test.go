package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freqlimit/dispatcher"
)

// The demo's campaign takes as long as its forecast to within 2%, including retried failures.
func TestForecastOfTheDemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages, err := demoMessages()
		if err != nil {
			t.Fatal(err)
		}
		c, r, _ := conduct(t, t.Context(), messages, demoServer())
		f, err := c.plan()
		if err != nil {
			t.Fatal(err)
		}
		if off := (r.taken - f.Last).Abs(); f.Jobs != len(messages) || off > r.taken/50 {
			t.Errorf("the forecast is %v for %d messages, want within 2%% of %v", f.Last, f.Jobs, r.taken)
		}
		t.Logf("forecast %v, taken %v", f.Last, r.taken)
	})
}

// A dry run sends nothing, needs no server, and draws the curve.
func TestDryRun(t *testing.T) {
	c := &campaign{messages: append(numbered("1", 3), numbered("2", 3)...), workers: 4, limits: limits{Overall: used.Overall, PerChat: used.PerChat}}
	var out strings.Builder
	if err := c.dryRun(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6 messages would be sent in 2.2s", "        6 |", "        3 |", "2s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the dry run does not say %q:\n%s", want, &out)
		}
	}
}

func TestDrawCurve(t *testing.T) {
	var out strings.Builder
	drawCurve(&out, dispatcher.Forecast{
		Jobs: 12, Last: 60 * time.Second,
		Curve: []dispatcher.Point{{After: 0, Started: 1}, {After: 30 * time.Second, Started: 6}, {After: 60 * time.Second, Started: 12}},
	})
	lines := strings.Split(out.String(), "\n")
	for row, want := range map[int]int{0: 1, 5: 1, 6: 31, 10: 31, 11: 60} {
		if got := strings.Count(lines[row], "#"); got != want {
			t.Errorf("line %d has %d marks, want %d:\n%s", row, got, want, &out)
		}
	}
}
