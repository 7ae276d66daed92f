package schedule

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// look notes what has happened since it was called last.
func (p *player) look() {
	note := func(at int64, j *Job, format string) {
		p.events = append(p.events, scenarioEvent{at, fmt.Sprintf(format, p.names[j])})
	}
	for _, s := range p.starts[p.seen.starts:] {
		note(s.slot, s.Job, "%s")
	}
	for _, j := range p.expired[p.seen.expired:] {
		note(p.now, j, "%s expires")
	}
	for _, j := range p.failed[p.seen.failed:] {
		note(p.now, j, "%s costs too much")
	}
	p.seen.starts, p.seen.expired, p.seen.failed = len(p.starts), len(p.expired), len(p.failed)
}

// print prints the events that have not been printed: those of an instant in a line, in their
// order.
func (p *player) print() {
	for i := 0; i < len(p.events); {
		at := p.events[i].at
		var line []string
		for i < len(p.events) && p.events[i].at == at {
			what, n := p.events[i].what, 0
			for ; i < len(p.events) && p.events[i] == (scenarioEvent{at, what}); i++ {
				n++
			}
			if n > 1 {
				what += fmt.Sprint(" x ", n)
			}
			line = append(line, what)
		}
		fmt.Fprintf(&p.out, "%-8s %s\n", instant(at), strings.Join(line, ", "))
	}
	p.events = nil
}

// report prints when the last jobs have started, of each pattern and of all, to 10 ms.
func (p *player) report(c *command) {
	last := func(what, pattern string) {
		at := int64(-1)
		for _, s := range p.starts {
			if matches(pattern, p.names[s.Job]) {
				at = max(at, s.slot)
			}
		}
		if at < 0 {
			c.tb.Fatalf("%s: no job %q has started", c.at, pattern)
		}
		fmt.Fprintf(&p.out, "%s: %s\n", what, instant(int64(time.Duration(at).Round(10*time.Millisecond))))
	}
	for len(c.words) > 0 {
		pattern := c.word()
		if name, many := strings.CutSuffix(pattern, "*"); many {
			last(fmt.Sprintf("last %s key", name), pattern)
		} else {
			last("last job of "+name, pattern)
		}
	}
	last("all done", "*")
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

// instant is an instant in seconds, to the nanosecond.
func instant(at int64) string {
	s := fmt.Sprintf("%d.%09d", at/sec, at%sec)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + "s"
}

// combinations returns every combination of the values of settings such as order=fair,fifo.
func combinations(settings []string) [][]string {
	all := [][]string{nil}
	for _, s := range settings {
		name, values, _ := strings.Cut(s, "=")
		var longer [][]string
		for _, before := range all {
			for value := range strings.SplitSeq(values, ",") {
				longer = append(longer, append(slices.Clone(before), name+"="+value))
			}
		}
		all = longer
	}
	return all
}

// merge returns what a step prints in all combinations of settings. If that depends on one of
// the settings, it is printed for each value of that one. It must not depend on two.
func merge(all [][]string, outs []string) (string, error) {
	for i := range all[0] {
		var values []string // of setting i, in their order
		byValue := map[string]string{}
		depends := true // on nothing else
		for n, settings := range all {
			value := strings.TrimPrefix(settings[i], "order=")
			out, known := byValue[value]
			if !known {
				values = append(values, value)
				byValue[value] = outs[n]
			}
			depends = depends && (!known || out == outs[n])
		}
		if depends {
			return byGroup(values, byValue), nil
		}
	}
	if len(all[0]) == 0 {
		return outs[0], nil
	}
	return "", fmt.Errorf("what the step prints depends on more than one setting: %q print %q", all, outs)
}

// byGroup prints what is the same for several values once, below these.
func byGroup(values []string, outs map[string]string) string {
	var b strings.Builder
	for len(values) > 0 {
		out := outs[values[0]]
		var same, others []string
		for _, v := range values {
			if outs[v] == out {
				same = append(same, v)
			} else {
				others = append(others, v)
			}
		}
		if len(same) == len(outs) {
			return out
		}
		fmt.Fprintf(&b, "%s:\n", strings.Join(same, ", "))
		for line := range strings.Lines(out) {
			b.WriteString("  " + line)
		}
		values = others
	}
	return b.String()
}
