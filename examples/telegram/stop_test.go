package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/examples/telegram/internal/botapi"
)

// beTheProgram is set in the environment of processes that are the program, not its tests.
const beTheProgram = "TELEGRAM_TEST_BE_THE_PROGRAM"

// stopLimit is how long any process of these tests may take.
const stopLimit = time.Minute

// api is a server that counts what comes, and that may keep its answers to itself.
type api struct {
	*botapi.Server
	url   string
	stall atomic.Bool   // accept messages, and don't answer
	came  chan struct{} // a value for each message
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{
		Server: botapi.New(botapi.Config{Record: true, MinLatency: 5 * time.Millisecond, MaxLatency: 20 * time.Millisecond}),
		came:   make(chan struct{}, 10_000),
	}
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		server.CloseClientConnections() // of processes that hang
		server.Close()
	})
	a.url = server.URL
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
		a.Server.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	a.Server.ServeHTTP(answer, r)
	a.came <- struct{}{}
	if a.stall.Load() {
		<-r.Context().Done() // until the client has died
		return
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// wait returns when so many more messages have come.
func (a *api) wait(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(stopLimit)
	for range n {
		select {
		case <-a.came:
		case <-timeout:
			t.Fatalf("fewer than %d messages have come", n)
		}
	}
}

// forget has wait count only messages that come from now on.
func (a *api) forget() {
	for len(a.came) > 0 {
		<-a.came
	}
}

// hang has all requests hang from now on, and returns when some do.
func (a *api) hang(t *testing.T) {
	t.Helper()
	a.stall.Store(true)
	a.forget()
	a.wait(t, 3)
}

// texts counts the messages that were delivered, by their text.
func (a *api) texts() map[string]int {
	all := make(map[string]int)
	for _, m := range a.Log() {
		all[m.Text]++
	}
	return all
}

// process is a run of the program.
type process struct {
	*exec.Cmd
	out, errs lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// command prepares a run in a directory. Before the program a shell does what shell says.
func command(t *testing.T, a *api, dir, shell string, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-server", a.url}, args...)
	p := &process{Cmd: exec.Command(executable, args...)}
	if shell != "" {
		p.Cmd = exec.Command("sh", append([]string{"-c", shell, executable}, args...)...)
	}
	p.Dir = dir
	p.Env = append(os.Environ(), beTheProgram+"=1", "TELEGRAM_TOKEN="+botapi.DefaultToken)
	p.Stdout, p.Stderr = &p.out, &p.errs
	return p
}

func (p *process) start(t *testing.T) {
	t.Helper()
	// A process ignores the signals that the one which starts it ignores, as tests do that
	// run in the background or under nohup, but not those that it catches.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, stopSignals...)
	defer signal.Stop(caught)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(stopLimit, func() { p.Process.Kill() })
	t.Cleanup(func() {
		timeout.Stop()
		p.Process.Kill() // if the test has failed
	})
}

// end waits for the end of the process and returns its exit code; -1 if a signal ended it.
func (p *process) end(t *testing.T) int {
	t.Helper()
	err := p.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// says waits until the process has written something to its standard error.
func (p *process) says(t *testing.T, what string) {
	t.Helper()
	for begin := time.Now(); !strings.Contains(p.errs.String(), what); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > stopLimit {
			t.Fatalf("it has not said %q, but\n%s", what, p.errs.String())
		}
	}
}

// campaignOf makes a file of n messages to n chats.
func campaignOf(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var csv strings.Builder
	csv.WriteString("chat_id,text\n")
	for i := range n {
		fmt.Fprintf(&csv, "%d,text %d\n", 1000+i, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "to.csv"), []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

var advised = regexp.MustCompile(`go on with: -to (\S+)`)

// However the sender is stopped, what it advises sends the rest, and each message is at the
// server once.
func TestEveryWayToStop(t *testing.T) {
	const few, many = 40, 170 // many take longer than the display waits for its first line
	ways := []struct {
		name     string
		messages int
		shell    string // what is done before the program
		stop     func(t *testing.T, a *api, p *process)
		code     int    // 0: it goes on to the end
		says     string // on its standard error
		perhaps  bool   // requests are cut off
		silent   bool   // nobody is told what to do next
	}{
		{
			name: "Ctrl-C", messages: few, code: 130, says: "interrupt: no more messages begin",
			stop: func(t *testing.T, _ *api, p *process) { p.Process.Signal(os.Interrupt) },
		},
		{
			name: "Ctrl-C twice", messages: few, code: 130, says: "stopped at once", perhaps: true,
			stop: func(t *testing.T, a *api, p *process) {
				a.hang(t)
				p.Process.Signal(os.Interrupt)
				p.says(t, "on their way are finished, in 30s at most")
				p.Process.Signal(os.Interrupt)
			},
		},
		{
			name: "SIGTERM", messages: few, code: 143, says: "terminated: no more messages begin",
			stop: func(t *testing.T, _ *api, p *process) { p.Process.Signal(syscall.SIGTERM) },
		},
		{
			name: "SIGTERM and then SIGHUP", messages: few, code: 129, says: "stopped at once", perhaps: true,
			stop: func(t *testing.T, a *api, p *process) {
				a.hang(t)
				p.Process.Signal(syscall.SIGTERM)
				p.says(t, "no more messages begin")
				p.Process.Signal(syscall.SIGHUP)
			},
		},
		{
			name: "SIGHUP", messages: few, code: 129, says: "hangup: no more messages begin",
			stop: func(t *testing.T, _ *api, p *process) { p.Process.Signal(syscall.SIGHUP) },
		},
		{
			name: "SIGHUP under nohup", messages: few, shell: `trap "" HUP; exec "$0" "$@"`,
			stop: func(t *testing.T, _ *api, p *process) { p.Process.Signal(syscall.SIGHUP) },
		},
		{
			name: "SIGKILL", messages: few, code: -1, perhaps: true, silent: true,
			stop: func(t *testing.T, a *api, p *process) {
				a.hang(t)
				p.Process.Kill()
			},
		},
		{
			name: "the output is closed", messages: many, code: 1, says: "can't write the output: ",
			shell: `{ "$0" "$@"; echo $? >code; } | true; exit $(cat code)`,
		},
		{
			name: "output and errors are closed", messages: many, code: 1, silent: true,
			shell: `{ "$0" "$@" 2>&1; echo $? >code; } | true; exit $(cat code)`,
		},
		{name: "the disk of the output is full", messages: many, code: 1, says: "no space left on device", shell: `exec "$0" "$@" >/dev/full`},
		{
			name: "the output is as large as may be", messages: many, code: 1, says: "file too large",
			shell: `dd if=/dev/zero of=out bs=1024 count=64 2>/dev/null; ulimit -f 64; exec "$0" "$@" >>out`,
		},
		{name: "no input", messages: few, shell: `exec "$0" "$@" <&-`},
		{name: "no output", messages: few, shell: `exec "$0" "$@" >&- 2>&-`, silent: true},
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, c := range ways {
		if c.name == "the disk of the output is full" && runtime.GOOS != "linux" {
			continue // no /dev/full
		}
		// All at once, on however few processors: they wait for their limits.
		running.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				a, dir := newAPI(t), campaignOf(t, c.messages)
				p := command(t, a, dir, c.shell, "-to", "to.csv")
				p.start(t)
				if c.stop != nil {
					a.wait(t, 10)
					c.stop(t, a, p)
				}
				code := p.end(t)
				all := p.out.String() + p.errs.String()
				if code != c.code || !strings.Contains(p.errs.String(), c.says) {
					t.Fatalf("it ended with %d, want %d; it said\n%s\nwant %q in its errors", code, c.code, all, c.says)
				}
				a.stall.Store(false)
				if c.code != 0 {
					if n := len(a.Log()); n == 0 || n == c.messages {
						t.Errorf("%d messages had been sent when it ended, want some", n)
					}
					goOn(t, a, dir, all, c.silent)
				}
				checkOnce(t, a, dir, c.messages, c.perhaps)
			})
		})
	}
}

// goOn does what the program advises.
func goOn(t *testing.T, a *api, dir, said string, silent bool) {
	t.Helper()
	file := "unsent.jsonl" // as -help says
	if !silent {
		advice := advised.FindStringSubmatch(said)
		if advice == nil {
			t.Fatalf("it does not say how to go on, but\n%s", said)
		}
		file = advice[1]
	}
	// It would be a mistake to begin again, and that is said.
	p := command(t, a, dir, "", "-to", "to.csv")
	p.start(t)
	if code := p.end(t); code != 1 || !strings.Contains(p.errs.String(), "unsent.jsonl exists") {
		t.Errorf("to begin again ended with %d and\n%s\nwant an error that names unsent.jsonl", code, p.errs.String())
	}
	p = command(t, a, dir, "", "-to", file)
	p.start(t)
	if code := p.end(t); code != 0 {
		t.Errorf("to go on ended with %d, and said\n%s%s", code, p.out.String(), p.errs.String())
	}
}

// checkOnce checks that each message is at the server once, and that no file advises to
// send any again, unless it is unknown whether it arrived.
func checkOnce(t *testing.T, a *api, dir string, messages int, perhaps bool) {
	t.Helper()
	texts, missing := a.texts(), 0
	for i := range messages {
		switch n := texts[fmt.Sprint("text ", i)]; {
		case n == 0:
			missing++
		case n > 1:
			t.Errorf("message %d was delivered %d times", i, n)
		}
	}
	file, err := loadFile(filepath.Join(dir, "unsent.jsonl"), nil, true)
	if !perhaps {
		if missing > 0 || !os.IsNotExist(err) {
			t.Errorf("%d messages are missing; unsent.jsonl: %v, want none, and no file", missing, err)
		}
	} else if n := len(file.messages); err != nil || n == 0 || n > 32 || missing > n {
		t.Errorf("%d messages are missing, and %d were perhaps sent: %v, want those that were on their way", missing, n, err)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "unsent*")); err != nil || len(files) > 1 || !perhaps && len(files) != 0 {
		t.Errorf("the files %q are there", files)
	}
}

// A file that can't be written is reported before anything is sent.
func TestUnsentThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, shell, unsent, says string }{
		{"no directory", "", "missing/unsent.jsonl", "no such file or directory"},
		{"a file for a directory", "", "to.csv/unsent.jsonl", "not a directory"},
		{"a directory for a file", "mkdir unsent.jsonl; exec \"$0\" \"$@\"", "unsent.jsonl", "exists"},
		{"no room", `ulimit -f 1; exec "$0" "$@"`, "unsent.jsonl", "file too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, dir := newAPI(t), campaignOf(t, 100)
			p := command(t, a, dir, c.shell, "-to", "to.csv", "-unsent", c.unsent)
			p.start(t)
			if code := p.end(t); code != 1 || len(a.Log()) != 0 || !strings.Contains(p.errs.String(), c.says) {
				t.Errorf("it ended with %d after %d messages, and said\n%s\nwant 1 after none, and %q", code, len(a.Log()), p.errs.String(), c.says)
			}
			if files, err := filepath.Glob(filepath.Join(dir, "unsent.jsonl.*")); err != nil || len(files) != 0 {
				t.Errorf("it leaves %q", files)
			}
		})
	}
}

// Two copies in one directory don't take each other's file.
func TestTwoCopies(t *testing.T) {
	a, dir := newAPI(t), campaignOf(t, 40)
	for _, to := range []string{"to.csv", "unsent.jsonl"} {
		first := command(t, a, dir, "", "-to", to)
		a.forget() // what the copy before has sent
		first.start(t)
		a.wait(t, 5)
		second := command(t, a, dir, "", "-to", to)
		second.start(t)
		if code := second.end(t); code != 1 || !strings.Contains(second.errs.String(), "another copy of this program that is running keeps ") {
			t.Errorf("the second copy ended with %d, and said\n%s", code, second.errs.String())
		}
		first.Process.Signal(os.Interrupt)
		if code := first.end(t); code != 130 {
			t.Errorf("the first copy ended with %d, and said\n%s", code, first.errs.String())
		}
	}
	goOn(t, a, dir, "", true)
	checkOnce(t, a, dir, 40, false)
}

// Standard input that ends at once, or is closed, holds no messages.
func TestClosedInput(t *testing.T) {
	a, dir := newAPI(t), t.TempDir()
	for _, shell := range []string{`exec "$0" "$@" <&-`, `exec "$0" "$@" </dev/null`} {
		p := command(t, a, dir, shell, "-to", "-")
		p.start(t)
		if code := p.end(t); code != 1 || !strings.Contains(p.errs.String(), "stdin: holds no messages") {
			t.Errorf("%s: it ended with %d and said\n%s", shell, code, p.errs.String())
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("it leaves %v, %v", files, err)
	}
}
