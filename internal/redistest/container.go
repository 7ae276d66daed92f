package redistest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	tcredis "github.com/testcontainers/testcontainers-go/modules/redis"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	defaultImage = "redis:7-alpine"
	redisPort    = "6379/tcp"
	readyLine    = "* Ready to accept connections"

	// dockerFor is how long Docker may take to say that it is there.
	dockerFor = 10 * time.Second
	// pullFor is how long an image may take to come.
	pullFor = 60 * time.Second
	// containerFor is how long a container may take to start, or to end.
	containerFor = 60 * time.Second
)

// findContainer starts Redis in a container. Its error is a reason to look for a
// Redis elsewhere.
func findContainer() (*shared, error) {
	// Each step of a container's life would be a line among those of the tests.
	log.SetDefault(log.NewNoopLogger())

	// The reaper is a container that removes this one should the tests be killed.
	// It is left out, because its image has to be pulled too, which fails where
	// the network has no registry even if the image for Redis is there, and
	// because Main removes the container. Testcontainers asks for that only in
	// the environment, which it reads once, at first use.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}

	image := cmp.Or(os.Getenv("REDIS_IMAGE"), defaultImage)
	if err := getImage(image); err != nil {
		return nil, err
	}
	s, err := startContainer(image)
	if err != nil {
		// Docker has the image, so this is worth more than a word in a line.
		err = fmt.Errorf("a container of image %s: %w", image, err)
		fmt.Fprintf(os.Stderr, "redistest: %v\n", err)
		return nil, err
	}
	return s, nil
}

// getImage returns nil when Docker has the image. It asks a registry once, while
// testcontainers would ask it again and again for as long as there is no network.
func getImage(image string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerFor)
	defer cancel()
	if err := dockerHost(ctx); err != nil {
		return fmt.Errorf("no Docker: %w", err)
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("no Docker: %w", err)
	}
	defer docker.Close()
	if _, err := docker.ImageInspect(ctx, image); err == nil {
		return nil
	}

	ctx, cancel = context.WithTimeout(context.Background(), pullFor)
	defer cancel()
	pull, err := docker.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("no image %s in Docker: %w", image, err)
	}
	return nil
}

// dockerHost returns an error when DOCKER_HOST is set and no Docker answers there.
// Testcontainers would go on to the socket at its usual place, which is not what
// the one who sets it asks for.
func dockerHost(ctx context.Context) error {
	if os.Getenv("DOCKER_HOST") == "" {
		return nil
	}
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer docker.Close()
	_, err = docker.Ping(ctx, client.PingOptions{})
	return err
}

func startContainer(image string) (_ *shared, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), containerFor)
	defer cancel()
	container, err := tcredis.Run(ctx, image,
		testcontainers.WithLogger(log.NewNoopLogger()),
		// The module waits for the port as well, at the one address that it takes
		// to be right, and by a shell in the container, which need not have one.
		testcontainers.WithWaitStrategy(wait.ForLog(readyLine).WithStartupTimeout(containerFor)),
	)
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), containerFor)
		defer cancel()
		// There is nothing in it that it should be given the time to save.
		return container.Terminate(ctx, testcontainers.StopTimeout(0))
	}
	defer func() {
		if err != nil && container != nil {
			err = errors.Join(err, logOf(container), stop())
		}
	}()
	if err != nil {
		return nil, err
	}
	addr, err := addrOf(ctx, container)
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
	s := &shared{addr: addr, stop: stop}
	if err := s.report(ctx, "in a container of image "+image); err != nil {
		return nil, err
	}
	return s, nil
}

// addrOf returns the address at which the server in a container answers. When
// tests run in a container themselves, testcontainers takes Docker to be outside
// of it, and its host to be the gateway; but Docker may be inside as well, where
// its ports are those of the loopback interface. "localhost" would not do for
// that: on ::1 the port may belong to another container.
func addrOf(ctx context.Context, container testcontainers.Container) (string, error) {
	port, err := container.MappedPort(ctx, redisPort)
	if err != nil {
		return "", err
	}
	host, err := container.Host(ctx)
	if err != nil {
		return "", err
	}
	hosts := []string{"127.0.0.1"}
	if host != "localhost" {
		hosts = append(hosts, host)
	}
	var addr string
	err = poll(ctx, func() (bool, error) {
		var errs []error
		for _, host := range hosts {
			addr = net.JoinHostPort(host, port.Port())
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

// logOf returns an error with what a container has logged.
func logOf(container testcontainers.Container) error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerFor)
	defer cancel()
	r, err := container.Logs(ctx)
	if err != nil {
		return fmt.Errorf("its log: %w", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("its log: %w", err)
	}
	return fmt.Errorf("its log:\n%s", lastLines(text))
}
