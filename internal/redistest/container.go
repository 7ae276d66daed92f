package redistest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// containerPackage is the program that runs a container. What it requires is
	// not for users of the library, so it is a module of its own, and a process.
	containerPackage = "github.com/freqlimit/dispatcher/internal/redistest/container"

	// buildFor is how long the program may take to be built. The build cache has
	// it after the first time.
	buildFor = 3 * time.Minute
	// programFor is how long it may then take until it says what it has: it looks
	// for Docker, pulls an image and starts a container, and bounds each of these.
	programFor = 150 * time.Second
	// answerFor is how long the server may take to answer after that.
	answerFor = 20 * time.Second
	// stopFor is how long the program may take to end. Removing a container takes
	// less than a second, and the program gives up on it after a minute.
	stopFor = 70 * time.Second
)

// status is what the program says, in JSON.
type status struct {
	Image    string   // of which a container is to run
	Hosts    []string // where the server may answer
	Port     string
	Reason   string // why there is no container, or ""
	HasImage bool   // whether Docker has the image
}

// findContainer starts Redis in a container. Its error is a reason to look for a
// Redis elsewhere.
func findContainer() (*shared, error) {
	if err := signOfDocker(); err != nil {
		return nil, fmt.Errorf("no Docker: %w", err)
	}
	// The program reads it; asking for it here tells go test that the result of the
	// tests depends on it, so that it takes none from its cache for another image.
	_ = os.Getenv("REDIS_IMAGE")
	// The go command would stamp the program with the state of the repository, and
	// link it again after each change of that.
	p, err := startProgram("go", "run", "-buildvcs=false", containerPackage)
	if err != nil {
		return nil, fmt.Errorf("no container: %w", err)
	}
	status, err := p.status(buildFor + programFor)
	if err != nil {
		return nil, fmt.Errorf("no container: go run: %w", err)
	}
	s, err := p.redis(status)
	if err == nil {
		return s, nil
	}
	err = errors.Join(err, p.stop())
	if status.HasImage {
		// Docker has the image, so this is worth more than a word in a line.
		err = fmt.Errorf("a container of image %s: %w", status.Image, err)
		fmt.Fprintf(os.Stderr, "redistest: %v\n", err)
	}
	return nil, err
}

// signOfDocker returns nil when there may be a Docker, and it is worth while to
// build a client of it.
func signOfDocker() error {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		if u, err := url.Parse(host); err == nil && u.Scheme == "unix" {
			_, err := os.Stat(u.Path)
			return err
		}
		return nil
	}
	sockets := []string{"/var/run/docker.sock"}
	if runtime.GOOS == "windows" {
		sockets = []string{`\\.\pipe\docker_engine`}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		sockets = append(sockets, filepath.Join(dir, "docker.sock"))
	}
	if home, err := os.UserHomeDir(); err == nil {
		sockets = append(sockets, filepath.Join(home, ".docker", "run", "docker.sock"))
	}
	for _, socket := range sockets {
		if _, err := os.Stat(socket); err == nil {
			return nil
		}
	}
	if _, err := exec.LookPath("docker"); err == nil {
		return nil
	}
	return fmt.Errorf("neither DOCKER_HOST nor a docker command nor %s", sockets[0])
}

// program is the program that runs a container.
type program struct {
	cmd   *exec.Cmd
	stdin io.Closer
	// line gets the first line of stdout, or what there is of it when stdout ends.
	line chan []byte
	// exited is closed when the program has ended. Then err and stderr say how.
	exited chan struct{}
	err    error
	stderr bytes.Buffer
}

// startProgram starts the program by a command. Nothing of what it prints goes
// among the lines of the tests, and it holds none of their files, so that go test
// does not wait for it.
func startProgram(name string, args ...string) (*program, error) {
	p := &program{
		cmd:    exec.Command(name, args...),
		line:   make(chan []byte, 1),
		exited: make(chan struct{}),
	}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, &p.stderr
	p.cmd.SysProcAttr = outOfReach()
	// Wait waits for the end of stdout and stderr too. So it waits for the program
	// itself even if go run, its parent, has been killed.
	p.cmd.WaitDelay = stopFor
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffered := bufio.NewReader(r)
		line, _ := buffered.ReadBytes('\n') // a part of a line is no JSON
		p.line <- line
		_, _ = io.Copy(io.Discard, buffered)
	}()
	go func() {
		p.err = p.cmd.Wait()
		w.Close()
		<-read
		close(p.exited)
	}()
	return p, nil
}

// status returns what the program says within d. If that is nothing, the program
// is stopped.
func (p *program) status(d time.Duration) (status, error) {
	var s status
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case line := <-p.line:
		err := json.Unmarshal(line, &s)
		if err == nil {
			return s, nil
		}
		// If it has failed, its own words for that are all there is to say.
		if err := p.stop(); err != nil {
			return s, err
		}
		return s, fmt.Errorf("it says %q: %w", line, err)
	case <-late.C:
		// If go run still builds the program it ends at this. Later it leaves signals to
		// the program. Where there are no signals stop waits, and kills it.
		_ = p.cmd.Process.Signal(os.Interrupt)
		return s, errors.Join(fmt.Errorf("it says nothing for %v", d), p.stop())
	}
}

// redis returns the server in the container of the program, when it answers.
func (p *program) redis(status status) (*shared, error) {
	if status.Reason != "" {
		return nil, errors.New(status.Reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerFor)
	defer cancel()
	addr, err := answering(ctx, status.Hosts, status.Port)
	if err != nil {
		return nil, err
	}
	// An image's own settings save from time to time what the tests have written,
	// and the copy that is made for it delays what is measured.
	for _, setting := range []string{`save ""`, "appendonly no"} {
		if _, err := ask(ctx, addr, "CONFIG SET "+setting); err != nil {
			return nil, err
		}
	}
	s := &shared{addr: addr, stop: p.stop}
	if err := s.report(ctx, "in a container of image "+status.Image); err != nil {
		return nil, err
	}
	return s, nil
}

// stop closes the program's stdin, at which it removes its container, and waits
// for its end.
func (p *program) stop() error {
	// What remains open on an error here is closed with the process.
	_ = p.stdin.Close()
	late := time.NewTimer(stopFor)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
		err := p.cmd.Process.Kill()
		if errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
		return errors.Join(fmt.Errorf("the program of the container has not ended in %v", stopFor), err)
	}
	if p.err != nil {
		return fmt.Errorf("%w: %s", p.err, strings.TrimSpace(p.stderr.String()))
	}
	return nil
}

// answering returns the address, of a port at one of several hosts, at which a
// server answers.
func answering(ctx context.Context, hosts []string, port string) (addr string, err error) {
	err = poll(ctx, func() (bool, error) {
		var errs []error
		for _, host := range hosts {
			addr = net.JoinHostPort(host, port)
			_, err := ask(ctx, addr, "PING")
			if err == nil {
				return false, nil
			}
			errs = append(errs, err)
		}
		return true, errors.Join(errs...)
	})
	return addr, err
}
