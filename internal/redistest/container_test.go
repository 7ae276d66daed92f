package redistest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soon is more than a script needs.
const soon = 10 * time.Second

// script starts a shell script in the place of the program.
func script(t *testing.T, text string) *program {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh on PATH")
	}
	p, err := startProgram(sh, "-c", text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The program ends when its stdin is closed, and not before.
func TestProgramStops(t *testing.T) {
	p := script(t, `echo '{"image":"a","hosts":["b","c"],"port":"1","hasImage":true}'; echo more; echo noise >&2; read line`)
	s, err := p.status(soon)
	if err != nil || s.Image != "a" || strings.Join(s.Hosts, " ") != "b c" || s.Port != "1" || !s.HasImage {
		t.Errorf("status = %+v, %v, want what the program has said", s, err)
	}
	select {
	case <-p.exited:
		t.Error("it ends before stop")
	case <-time.After(20 * time.Millisecond):
	}
	// read fails at the end of stdin, and so does the script.
	if err := p.stop(); err == nil || !strings.Contains(err.Error(), "noise") {
		t.Errorf("stop = %v, want the failure with what is on stderr", err)
	}
	select {
	case <-p.exited:
	default:
		t.Error("it runs after stop")
	}
}

func TestProgramSaysNothingUseful(t *testing.T) {
	for name, test := range map[string]struct {
		script, want string
		within       time.Duration
	}{
		"it can't be built": {`echo 'package x is not in std' >&2; exit 1`, "exit status 1: package x is not in std", soon},
		"it only ends":      {``, `it says ""`, soon},
		"half a line":       {`printf '{"image":'`, `it says "{\"image\":"`, soon},
		"no JSON":           {`echo hello; read line || exit 0`, `it says "hello\n"`, soon},
		"silence":           {`trap '' INT; read line || exit 0`, "it says nothing for 50ms", 50 * time.Millisecond},
		"a build":           {`trap 'exit 1' INT; while :; do sleep 0.01; done`, "it says nothing for 50ms", 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := script(t, test.script)
			if s, err := p.status(test.within); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("status = %+v, %v, want the error to say %q", s, err, test.want)
			}
			select {
			case <-p.exited:
			case <-time.After(soon):
				t.Error("it still runs")
			}
		})
	}
}

func TestSignOfDocker(t *testing.T) {
	dir := t.TempDir()
	for host, want := range map[string]bool{
		"unix://" + filepath.Join(dir, "docker.sock"): false,
		"unix://" + dir:        true,
		"tcp://127.0.0.1:1":    true,
		"ssh://user@192.0.2.1": true,
	} {
		t.Setenv("DOCKER_HOST", host)
		if err := signOfDocker(); (err == nil) != want {
			t.Errorf("signOfDocker with DOCKER_HOST=%s: %v, want a sign: %t", host, err, want)
		}
	}
}
