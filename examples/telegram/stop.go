package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

// stopped is the cause of the end of a campaign that a signal has stopped.
type stopped struct{ signal os.Signal }

func (e *stopped) Error() string { return e.signal.String() }

// exitCode is what a shell makes of a process that the signal has ended.
func (e *stopped) exitCode() int {
	if number, ok := e.signal.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return 130
}

// stopSignals are the signals that stop a campaign: Ctrl-C, what service managers and
// shells send, and the end of the terminal.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// stopOnSignals stops the campaign at the first signal, by stop, and the program at the
// second one. It says so at once, whatever else is going on. A signal that the
// program was started to ignore, as nohup does it, is ignored. The end of the output is no
// signal here: writing says so. The caller calls the function that is returned in the end.
func (c *campaign) stopOnSignals(p *program, unsent unsentFile) (end func()) {
	say := func(s os.Signal, what string) {
		if p.watched { // beside ^C and the bar
			fmt.Fprintln(p.stderr)
		}
		fmt.Fprintf(p.stderr, "telegram: %v: %s\n", s, what)
	}
	signals := make(chan os.Signal, len(stopSignals))
	for _, s := range stopSignals {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { // until end
		select {
		case <-done:
			return
		case s := <-signals:
			p.stop(&stopped{s})
			say(s, c.stopping())
		}
		select {
		case <-done:
		case s := <-signals:
			say(s, c.stoppedAtOnce())
			unsent.close()
			os.Exit((&stopped{s}).exitCode())
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		watching.Wait()
	}
}

// stopping says what happens now.
func (c *campaign) stopping() string {
	onTheirWay := int(c.inFlight.Load())
	waiting := len(c.messages) - int(c.progress.done.Load()) - onTheirWay
	s := fmt.Sprintf("no more messages begin; %d are left", max(waiting, 0))
	if onTheirWay > 0 {
		s += fmt.Sprintf(", %d on their way are finished, in %v at most", onTheirWay, c.sender.timeout)
	}
	return s + " (once more stops at once)"
}

// stoppedAtOnce says how to go on when nothing is finished.
func (c *campaign) stoppedAtOnce() string {
	if c.ledger == nil {
		return "stopped at once"
	}
	s := "stopped at once"
	path := shellWord(c.ledger.path)
	if n := int(c.inFlight.Load()); n > 0 {
		s += fmt.Sprintf("; %s may have arrived, whose answers were awaited", counted(n, "message"))
		return fmt.Sprintf("%s\ngo on with: -to %s\nand with -resend to send those again too", s, path)
	}
	return fmt.Sprintf("%s\ngo on with: -to %s", s, path)
}

// outlet is an output that may end, such as a pipe to head. Its first error stops the
// campaign; from then on it takes everything in silence.
type outlet struct {
	w      io.Writer
	stop   context.CancelCauseFunc
	broken atomic.Pointer[outputError]
}

// outputError says that nobody is told any more what happens.
type outputError struct{ err error }

func (e *outputError) Error() string { return fmt.Sprintf("can't write the output: %v", e.err) }
func (e *outputError) Unwrap() error { return e.err }

func (o *outlet) Write(p []byte) (int, error) {
	if o.broken.Load() == nil {
		if _, err := o.w.Write(p); err != nil {
			e := &outputError{err}
			o.broken.CompareAndSwap(nil, e)
			o.stop(e)
		}
	}
	return len(p), nil
}
