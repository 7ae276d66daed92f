package sqlite_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/backend/sqlite"
)

// child is the environment variable that makes the test binary another process: one that works
// on a file, in the way that it names.
const child = "SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch how := os.Getenv(child); how {
	case "":
		os.Exit(m.Run())
	case "own":
		if _, err := sqlite.Open(os.Args[1], sqlite.Config{}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("opened")
		time.Sleep(time.Minute)
	case "work":
		workUntilKilled(os.Args[1])
	case "dispatch", "dispatch at most once":
		dispatchUntilKilled(os.Args[1], how != "dispatch")
	}
}

// process is a child.
type process struct {
	*exec.Cmd
	out *bufio.Scanner
}

// start starts a child that works on a file. It is killed when the test ends, if not before.
func start(t *testing.T, how, path string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], path)
	cmd.Env = append(os.Environ(), child+"="+how)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, bufio.NewScanner(out)}
	t.Cleanup(func() { p.kill() })
	if !p.out.Scan() || p.out.Text() != "opened" {
		t.Fatalf("the child says %q, want that it has opened the file", p.out.Text())
	}
	return p
}

// kill ends the child as a crash does, and returns what it has said.
func (p *process) kill() (lines []string) {
	_ = p.Process.Kill() // with SIGKILL
	for p.out.Scan() {
		lines = append(lines, strings.TrimSpace(p.out.Text()))
	}
	_ = p.Wait()
	return lines
}
