package schedule

import (
	heaps "container/heap"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freqlimit/dispatcher/backend"
	"github.com/freqlimit/dispatcher/gcra"
)

// player plays a scenario in a world, and prints what happens.
type player struct {
	*world
	out     strings.Builder
	limits  map[string]gcra.FreqLimitParams // by name, as the next jobs are under them
	changed bool                            // a limit had other params before
	jobs    map[string]*Job                 // the last one of each name
	names   map[*Job]string
	lasts   map[*Job]int64                        // how long its handler runs
	answers map[string][]func(j *Job)             // of the backend, by the name of the job that it is asked for
	events  []scenarioEvent                       // not printed yet
	seen    struct{ starts, expired, failed int } // of those of world
}

// scenarioEvent is a start, or another end of the waiting of a job.
type scenarioEvent struct {
	at   int64
	what string
}

// forever is an instant after all that scenarios are about.
const forever = int64(1) << 60

func newPlayer(tb failer, settings []string) *player {
	cfg := Config{Workers: many}
	withoutClaims := false
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		var err error
		switch name {
		case "order":
			i := slices.IndexFunc([]Order{Fair, FIFO, Backlog}, func(o Order) bool { return o.String() == value })
			cfg.Order = Order(i)
			if i < 0 {
				err = errors.New("there is no such order")
			}
		case "workers":
			cfg.Workers, err = strconv.Atoi(value)
		case "horizon":
			var d time.Duration
			d, err = time.ParseDuration(value)
			cfg.Horizon = int64(d)
		case "serial":
			cfg.Serial, err = strconv.ParseBool(value)
		case "claims":
			withoutClaims = value == "off"
		default:
			err = errors.New("there is no such setting")
		}
		if err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
	p := &player{
		world:  newWorld(tb, cfg),
		limits: map[string]gcra.FreqLimitParams{}, jobs: map[string]*Job{}, names: map[*Job]string{},
		lasts: map[*Job]int64{}, answers: map[string][]func(j *Job){},
	}
	p.withoutClaims = withoutClaims
	p.takes = func(j *Job) int64 { return p.lasts[j] }
	p.after = p.look
	p.answer = func(j *Job) {
		name := p.names[j]
		if len(p.answers[name]) == 0 {
			p.grant(j)
			return
		}
		answer := p.answers[name][0]
		p.answers[name] = p.answers[name][1:]
		answer(j)
	}
	return p
}

// deeds are the commands that a scenario has after its scheduler: see testdata/README.md.
var deeds = map[string]func(p *player, c *command){
	"limit": func(p *player, c *command) {
		name, params := c.word(), c.params()
		old, known := p.limits[name]
		p.limits[name], p.changed = params, p.changed || known && old != params
	},
	"submit": func(p *player, c *command) { p.submitJobs(c) },
	"at": func(p *player, c *command) {
		at := c.span()
		if at < p.now {
			c.tb.Fatalf("%s: it is %v already", c.at, instant(p.now))
		}
		p.runUntil(at)
	},
	"stall": func(p *player, c *command) {
		c.expect("until")
		p.now = c.span()
	},
	"run": func(p *player, _ *command) { p.runAll() },
	"report": func(p *player, c *command) {
		p.look()
		shown := p.events
		p.runAll()
		p.look()
		p.events = shown
		p.report(c)
	},
	"hold": func(p *player, c *command) {
		key := c.word()
		c.expect("for")
		p.delay(key, c.span())
	},
	"pause":  func(p *player, c *command) { p.pause(c, p.Pause, p.PauseKey) },
	"resume": func(p *player, c *command) { p.pause(c, p.Resume, p.ResumeKey) },
	"cancel": func(p *player, c *command) { p.Remove(p.now, p.job(c)) },
	"setparams": func(p *player, c *command) {
		p.changed = true
		p.setParams(c.word(), c.params())
	},
	"workers": func(p *player, c *command) { p.SetWorkers(p.now, c.number()) },
	"finish":  func(p *player, c *command) { p.Finished(p.now, p.stop(c), false) },
	"retry":   func(p *player, c *command) { p.retry(c) },
	"refuse":  func(p *player, c *command) { p.refuse(c) },
	"fail": func(p *player, c *command) {
		name := c.word()
		c.expect("until")
		until := c.span()
		p.answers[name] = append(p.answers[name], func(j *Job) { p.Failed(p.now, j, until) })
	},
	"reject": func(p *player, c *command) {
		name := c.word()
		p.answers[name] = append(p.answers[name], func(j *Job) { p.Rejected(p.now, j) })
	},
}

// do carries out commands, and returns what they print.
func (p *player) do(commands []command) string {
	p.tb.Helper()
	p.out.Reset()
	for _, c := range commands {
		c.tb = p.tb
		verb := c.word()
		deed := deeds[verb]
		if deed == nil {
			p.tb.Fatalf("%s: there is no command %q", c.at, verb)
		}
		deed(p, &c)
		c.end()
		p.look()
		p.print()
	}
	return p.out.String()
}

// close ends a scenario: nothing is left, and no limit was exceeded.
func (p *player) close(at string) {
	p.tb.Helper()
	p.runAll()
	p.look()
	if len(p.events) > 0 {
		p.tb.Errorf("%s: the scenario goes on after its last step: %v", at, p.events)
	}
	p.wantIdle()
	if !p.changed {
		p.wantWindows()
	}
}

// runAll runs all jobs to their end, except those whose handlers run until they are told.
func (p *player) runAll() {
	p.tb.Helper()
	p.step()
	for at, ok := p.next(); ok && at < forever; at, ok = p.next() {
		p.now = max(p.now, at)
		p.step()
	}
}

// submitJobs is the command "submit".
func (p *player) submitJobs(c *command) {
	keys, each := 1, 1
	if len(c.words) > 1 && c.words[1] == "keys" {
		keys = c.number()
		c.expect("keys")
	}
	key := c.word()
	var name string
	var takes int64
	var priority int
	var dates Dates
	var limits func(key string) []backend.Limit
	for len(c.words) > 0 {
		switch {
		case c.accept("x"):
			each = c.number()
		case c.accept("as"):
			name = c.word()
		case c.accept("priority"):
			priority = c.number()
		case c.accept("runs", "until", "told"):
			takes = 2 * forever
		case c.accept("runs"):
			takes = c.span()
		case c.accept("not", "before"):
			dates.NotBefore = c.span()
		case c.accept("deadline"):
			dates.Deadline = c.span()
		case c.accept("under"):
			limits = p.under(c)
		default:
			c.end()
		}
	}
	for i := range keys {
		key := strings.Replace(key, "*", strconv.Itoa(i+1), 1)
		for range each {
			j := newJob(0)
			p.names[j] = name
			if name == "" {
				p.names[j] = key
			}
			p.jobs[p.names[j]], p.lasts[j] = j, takes
			var under []backend.Limit
			if limits != nil {
				under = limits(key)
			}
			for _, l := range under {
				p.ledger[l.Key] = p.ledger[l.Key].Rebase(p.now, l.Params)
			}
			p.SubmitDated(p.now, j, key, priority, under, dates)
		}
	}
}

// under reads the limits of a job. A limit called own has the key of the job.
func (p *player) under(c *command) func(key string) []backend.Limit {
	var limits []backend.Limit
	for more := true; more; more = c.accept(",") {
		name := c.word()
		params, ok := p.limits[name]
		if !ok {
			c.tb.Fatalf("%s: there is no limit %q", c.at, name)
		}
		l := limitOn(name, params)
		if c.accept("cost") {
			l.Cost = c.number()
		}
		limits = append(limits, l)
	}
	return func(key string) []backend.Limit {
		own := slices.Clone(limits)
		for i := range own {
			if own[i].Key == "own" {
				own[i].Key = key
			}
		}
		return own
	}
}

func (p *player) pause(c *command, all func(), one func(now int64, key string)) {
	if len(c.words) == 0 {
		all()
		return
	}
	one(p.now, c.word())
}

// job reads the name of a job.
func (p *player) job(c *command) *Job {
	name := c.word()
	j := p.jobs[name]
	if j == nil {
		c.tb.Fatalf("%s: there is no job %q", c.at, name)
	}
	return j
}

// stop reads the name of a job that runs, and ends its handler.
func (p *player) stop(c *command) *Job {
	j := p.job(c)
	i := slices.IndexFunc(p.running, func(e ending) bool { return e.Job == j })
	if i < 0 {
		c.tb.Fatalf("%s: the job does not run", c.at)
	}
	heaps.Remove(&p.running, i)
	return j
}

// retry is the end of a handler whose job is to run again.
func (p *player) retry(c *command) {
	j := p.stop(c)
	if c.accept("at", "once") {
		p.Finished(p.now, j, true)
		return
	}
	inPlace := c.accept("in", "place")
	if !inPlace {
		c.expect("later")
	}
	c.expect("after")
	p.Later(p.now, j, p.now+c.span(), inPlace)
}

// refuse has the backend refuse a job when it is asked for it the next time.
func (p *player) refuse(c *command) {
	name := c.word()
	c.expect("until")
	r := Refusal{Until: c.span()}
	c.expect("by")
	r.Held = c.accept("a", "hold", "of")
	key := c.word()
	p.answers[name] = append(p.answers[name], func(j *Job) {
		r.Binding = slices.IndexFunc(p.Request(j, nil), func(l backend.Limit) bool { return l.Key == key })
		p.Refused(p.now, j, r)
	})
}
