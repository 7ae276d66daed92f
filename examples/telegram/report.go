package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is what a campaign came to.
type report struct {
	messages int // in the campaign

	// The outcomes, which add up to messages.
	sent    int
	blocked int // refused for good: the user has blocked the bot
	failed  int // given up
	perhaps int // the answer never came, or made no sense
	notSent int // left over when the campaign was stopped

	tooMany int // answers of 429
	retries int // messages tried once more, each time counted

	storm *stormReport // nil in calm

	shared   bool          // other copies may use up the limits too
	taken    time.Duration // from the first start to the last outcome
	shortest time.Duration // see shortestTime

	// lateness holds, for every start, how long after its slot it came, in any
	// order. Below zero it was early, which must never be.
	lateness []time.Duration
}

// stormReport is what is told of a campaign in a storm besides.
type stormReport struct {
	chats    int           // those that are told off
	broken   int           // answers of 5xx
	timeouts int           // requests without an answer
	spared   time.Duration // from the first start to the last outcome of other chats
}

// tried is how many messages have an outcome that took a slot.
func (r report) tried() int { return r.sent + r.blocked + r.failed + r.perhaps }

// unaccounted is how many messages nobody knows the outcome of: none.
func (r report) unaccounted() int { return r.messages - r.tried() - r.notSent }

// write prints the report as a table.
func (r report) write(w io.Writer) error {
	var b strings.Builder
	row := func(label, value, note string) {
		line := fmt.Sprintf("%-14s %10s  %s", label, value, note)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	count := func(label string, n int) { row(label, strconv.Itoa(n), "") }

	count("messages", r.messages)
	count("  sent", r.sent)
	count("  blocked", r.blocked)
	count("  failed", r.failed)
	if r.perhaps > 0 {
		row("  perhaps sent", strconv.Itoa(r.perhaps), "not sent again, since they may have arrived")
	}
	count("  not sent", r.notSent)
	if n := r.unaccounted(); n != 0 {
		row("  unaccounted", strconv.Itoa(n), "a bug: please report it")
	}
	b.WriteByte('\n')
	count("429 answers", r.tooMany)
	if s := r.storm; s != nil {
		count("5xx answers", s.broken)
		count("timeouts", s.timeouts)
	}
	count("retries", r.retries)
	b.WriteByte('\n')
	row("time taken", formatTime(r.taken), "")
	if s := r.storm; s != nil {
		row("  other chats", formatTime(s.spared), fmt.Sprintf("all but the %d that get the 429 answers", s.chats))
	}
	row("shortest time", formatTime(r.shortest), r.efficiency())
	row("rate", fmt.Sprintf("%.1f", perSecond(r.tried(), r.taken)), "messages/s")
	b.WriteByte('\n')
	sorted := slices.Sorted(slices.Values(r.lateness))
	row("late by, p50", formatLateness(percentile(sorted, 50)), fmt.Sprintf("of %d starts", len(sorted)))
	row("late by, p99", formatLateness(percentile(sorted, 99)), "")
	row("late by, max", formatLateness(percentile(sorted, 100)), "")
	early, _ := slices.BinarySearch(sorted, 0)
	count("early starts", early)

	_, err := io.WriteString(w, b.String())
	return err
}

// efficiency compares the time taken with the shortest. A campaign that was
// stopped can't be compared, and one of a single message has nothing to wait for.
func (r report) efficiency() string {
	if r.notSent > 0 || r.taken <= 0 || r.shortest == 0 {
		return ""
	}
	possible := "possible"
	if r.shared {
		possible = "possible to one copy alone"
	}
	return fmt.Sprintf("%s: %.1f%% of the time taken", possible, 100*r.shortest.Seconds()/r.taken.Seconds())
}

// percentile is the nearest-rank percentile of sorted values, from 1 to 100: the
// least value that at least p% of them do not exceed. Of none it is 0.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100 // rounded up, from 1
	return sorted[rank-1]
}

// formatTime gives hundredths of a second, and minutes when there are any.
func formatTime(d time.Duration) string {
	d = d.Round(10 * time.Millisecond)
	if d < time.Minute {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	whole := d.Truncate(time.Minute)
	return fmt.Sprintf("%s%05.2fs", strings.TrimSuffix(whole.String(), "0s"), (d - whole).Seconds())
}

func formatLateness(d time.Duration) string {
	return fmt.Sprintf("%.3fms", float64(d)/float64(time.Millisecond))
}
