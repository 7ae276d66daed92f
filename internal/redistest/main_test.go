package redistest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/freqlimit/dispatcher/internal/redistest"
	"go.uber.org/goleak"
)

// Nothing that the package starts leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Runner(m)) }

type tests int

func (code tests) Run() int { return int(code) }

func TestMainReturnsTheCode(t *testing.T) {
	// A binary of its own: Main stops what the other tests here share.
	if os.Getenv("REDISTEST_CHILD") == "" {
		out, err := child(t, "^TestMainReturnsTheCode$", "REDISTEST_CHILD=1")
		if err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		return
	}
	for _, code := range []int{0, 1, 2} {
		if got := redistest.Main(tests(code)); got != code {
			t.Errorf("Main of tests that end with %d = %d", code, got)
		}
		if got := redistest.Runner(tests(code)).Run(); got != code {
			t.Errorf("Runner of tests that end with %d = %d", code, got)
		}
	}
}

// nowhere is an environment in which there is no Redis.
func nowhere(t *testing.T) []string {
	t.Helper()
	return []string{
		"REDIS_ADDR=", "REDISTEST_REPORT=", "PATH=" + t.TempDir(),
		"DOCKER_HOST=unix://" + filepath.Join(t.TempDir(), "docker.sock"),
	}
}

// child runs tests of this binary in a process of their own and returns what they
// print, for what a process does but once.
func child(t *testing.T, run string, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.run", run)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// With no Redis anywhere tests are skipped, with one line that says how to run
// them.
func TestSkipsWhereThereIsNoRedis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, want string }{
		{"TestAddr", "no Redis: set REDIS_ADDR to a host:port, or start Docker, or install redis-server"},
		{"TestStart", "no redis-server on PATH: install it"},
		{"TestCluster", "no redis-server on PATH: install it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out, err := child(t, "^"+test.name+"$", nowhere(t)...)
			if err != nil {
				t.Errorf("the tests fail: %v", err)
			}
			if !strings.Contains(out, "--- SKIP: "+test.name) {
				t.Errorf("%s is not skipped", test.name)
			}
			var said []string
			for line := range strings.Lines(out) {
				if strings.Contains(line, "_test.go:") {
					said = append(said, line)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], test.want) {
				t.Errorf("says %q, want one line with %q", said, test.want)
			}
			if t.Failed() {
				t.Logf("output:\n%s", out)
			}
		})
	}
}

// A server that is named and does not answer is no reason to skip.
func TestFailsWhereREDIS_ADDRDoesNotAnswer(t *testing.T) {
	t.Parallel()
	out, err := child(t, "^TestAddr$", append(nowhere(t), "REDIS_ADDR=127.0.0.1:1")...)
	if _, failed := errors.AsType[*exec.ExitError](err); !failed ||
		!strings.Contains(out, "--- FAIL: TestAddr") ||
		!strings.Contains(out, `REDIS_ADDR is set to "127.0.0.1:1": dial tcp 127.0.0.1:1: connect: connection refused`) {
		t.Errorf("ends with %v, want a failure of TestAddr that names REDIS_ADDR; output:\n%s", err, out)
	}
}

// Where there is no Docker, redis-server is taken from PATH; the report says so,
// and when the tests have ended it has ended too.
func TestTakesRedisServerFromPATH(t *testing.T) {
	t.Parallel()
	redistest.Start(t) // skips where there is none
	report := filepath.Join(t.TempDir(), "report")
	env := append(nowhere(t), "REDISTEST_REPORT="+report, "PATH="+os.Getenv("PATH"))
	out, err := child(t, "^TestAddr$", env...)
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	line, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^redistest: Redis \d+\.\d+\.\d+ of redis-server on PATH, at (127\.0\.0\.1:\d+); no Docker: .*` +
		`\(github\.com/freqlimit/dispatcher/internal/redistest[^ ]*\)\n$`)
	found := want.FindStringSubmatch(string(line))
	if found == nil {
		t.Fatalf("the report is %q, want it to match %s", line, want)
	}
	if !strings.Contains(out, string(line)) {
		t.Errorf("the output lacks the line of the report:\n%s", out)
	}
	isDown(t, found[1])
}

// A container ends with the tests that use it also when they are killed.
func TestContainerEndsWithKilledTests(t *testing.T) {
	const holds = "holds "
	if os.Getenv("REDISTEST_CHILD") != "" {
		fmt.Println(holds + redistest.Addr(t))
		time.Sleep(time.Hour)
	}
	if testing.Short() {
		t.Skip("builds the program that runs a container")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report")
	cmd := exec.CommandContext(t.Context(), binary, "-test.run", "^TestContainerEndsWithKilledTests$")
	cmd.Env = append(os.Environ(), "REDISTEST_CHILD=1", "REDIS_ADDR=", "REDISTEST_REPORT="+report)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(stdout).ReadString('\n')
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it has been killed
	source, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(source), " in a container of image ") {
		t.Skipf("no container: %s%v", source, err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), holds)
	if !ok {
		t.Fatalf("the tests print %q, %v", line, readErr)
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		conn.Close()
		if time.Since(begin) > 3*patience {
			t.Fatalf("the container still answers at %s", addr)
		}
	}
}
