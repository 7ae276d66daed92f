package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
)

// progress shows how a campaign gets on: a bar on a terminal, else a line every
// five seconds.
type progress struct {
	done  atomic.Int64
	total int
	start time.Time
	view  view
	holds *holds // of chats, by the server

	stop    chan struct{}
	stopped sync.WaitGroup
}

// view is one way of showing progress. It is used by one goroutine at a time.
type view interface {
	show(done int, text string)
	close(done int, text string)
}

// newProgress starts the display, which finish must end.
func newProgress(w io.Writer, isTerminal bool, total int) *progress {
	p := &progress{total: total, start: time.Now(), holds: newHolds(), stop: make(chan struct{})}
	every := lineEvery
	if isTerminal && total > 0 {
		p.view, every = newBarView(w, total), barEvery
	} else {
		p.view = lineView{w}
	}
	p.stopped.Go(func() { p.run(every) }) // until finish
	return p
}

// add counts n more messages whose outcome is known, whatever it is. It is safe
// for concurrent use.
func (p *progress) add(n int) { p.done.Add(int64(n)) }

// finish shows the last state and ends the display. It is called once, after
// the last add.
func (p *progress) finish() {
	close(p.stop)
	p.stopped.Wait()
	done, took := int(p.done.Load()), time.Since(p.start)
	p.view.close(done, fmt.Sprintf("%d/%d done in %s, %s",
		done, p.total, formatTime(took), formatRate(perSecond(done, took))))
}

// run shows the state at intervals, until stop is closed.
func (p *progress) run(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	m := newMeter(p.total, p.start)
	for {
		select {
		case <-p.stop:
			return
		case now := <-ticker.C:
			done := int(p.done.Load())
			m.observe(now, done)
			m.held = p.holds.now()
			p.view.show(done, m.String())
		}
	}
}

// lineView prints a line for each state.
type lineView struct{ w io.Writer }

func (v lineView) show(_ int, text string) { fmt.Fprintf(v.w, "telegram: %s\n", text) }

func (v lineView) close(done int, text string) { v.show(done, text) }

// barView redraws a bar in place. The text beside the bar is the meter's: the
// bar's own rate forgets stalls, and its own time left is 0 when nothing moves.
type barView struct {
	w   io.Writer
	bar *progressbar.ProgressBar
}

func newBarView(w io.Writer, total int) *barView {
	return &barView{w: w, bar: progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetRenderBlankState(true),
	)}
}

func (v *barView) show(done int, text string) {
	v.bar.Set(done)
	v.bar.Describe(text)
}

func (v *barView) close(done int, text string) {
	v.show(done, text)
	v.bar.Exit()
	fmt.Fprintln(v.w)
}

// isTerminal reports whether somebody may be watching f.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
