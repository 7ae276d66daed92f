package schedule

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/gcra"
)

// script is a file of scenarios: see testdata/README.md. It is a list of steps.
type script []step

// step is some commands, and what they print.
type step struct {
	text     string // as in the file, up to the line of dashes
	commands []command
	want     string
}

// command is a line of a step.
type command struct {
	tb    failer
	at    string   // file and line
	words []string // those that have not been read
}

// readScript reads a file.
func readScript(t *testing.T, path string) script {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseScript(t, path, string(b))
}

// parseScript returns the steps of a text, which comes from a file.
func parseScript(t *testing.T, path, text string) (sc script) {
	t.Helper()
	var s step
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		s.text += lines[i]
		switch line := strings.TrimSpace(lines[i]); {
		case line == "----":
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				s.want += lines[i]
			}
			i-- // the empty line belongs to the next step
			sc, s = append(sc, s), step{}
		case line != "" && !strings.HasPrefix(line, "#"):
			words := strings.Fields(strings.ReplaceAll(line, ", ", " , "))
			s.commands = append(s.commands, command{at: fmt.Sprintf("%s:%d", path, i+1), words: words})
		}
	}
	if len(s.commands) > 0 {
		t.Fatalf("%s: there is no line of dashes behind this", s.commands[0].at)
	}
	return append(sc, s)
}

// write writes a script to a file, with what its steps print now.
func (sc script) write(t *testing.T, path string) {
	t.Helper()
	var b strings.Builder
	for _, s := range sc {
		b.WriteString(s.text + s.want)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scenarios splits a script before each step that begins with a new scheduler. The parts share
// the memory of sc.
func (sc script) scenarios() (parts []script) {
	from := 0
	for i, s := range sc {
		if i > from && len(s.commands) > 0 && s.commands[0].words[0] == "scheduler" {
			parts, from = append(parts, sc[from:i]), i
		}
	}
	return append(parts, sc[from:])
}

// Each of the following reads the next words of a command, and fails the test if they are not
// what they have to be.

func (c *command) word() string {
	c.tb.Helper()
	if len(c.words) == 0 {
		c.tb.Fatalf("%s: a word is missing at the end", c.at)
	}
	w := c.words[0]
	c.words = c.words[1:]
	return w
}

// accept reads these words if they are next.
func (c *command) accept(words ...string) bool {
	if len(c.words) < len(words) || !slices.Equal(c.words[:len(words)], words) {
		return false
	}
	c.words = c.words[len(words):]
	return true
}

func (c *command) expect(words ...string) {
	c.tb.Helper()
	if !c.accept(words...) {
		c.tb.Fatalf("%s: %q, want %q", c.at, strings.Join(c.words, " "), strings.Join(words, " "))
	}
}

func (c *command) end() {
	c.tb.Helper()
	if len(c.words) > 0 {
		c.tb.Fatalf("%s: what is %q?", c.at, strings.Join(c.words, " "))
	}
}

func (c *command) number() int {
	c.tb.Helper()
	w := c.word()
	n, err := strconv.Atoi(w)
	if err != nil {
		c.tb.Fatalf("%s: %q, want a number", c.at, w)
	}
	return n
}

// span reads a duration, or an instant, in nanoseconds.
func (c *command) span() int64 {
	c.tb.Helper()
	w := c.word()
	d, err := time.ParseDuration(w)
	if err != nil {
		c.tb.Fatalf("%s: %q, want a duration such as 1.5s", c.at, w)
	}
	return int64(d)
}

// params reads a rate, such as 30/s, 20/min or 1/70ms, and a burst.
func (c *command) params() gcra.FreqLimitParams {
	c.tb.Helper()
	w := c.word()
	n, per, _ := strings.Cut(w, "/")
	limit, err := strconv.Atoi(n)
	if units := map[string]string{"s": "1s", "min": "1m", "h": "1h"}; units[per] != "" {
		per = units[per]
	}
	period, err2 := time.ParseDuration(per)
	if err != nil || err2 != nil {
		c.tb.Fatalf("%s: %q, want a rate such as 30/s", c.at, w)
	}
	p := rate(limit, period, 1)
	if c.accept("burst") {
		p.Burst = c.number()
	}
	return p
}
