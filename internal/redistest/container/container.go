package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	tcredis "github.com/testcontainers/testcontainers-go/modules/redis"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	redisPort = "6379/tcp"
	readyLine = "* Ready to accept connections"

	// dockerFor is how long Docker may take to say that it is there.
	dockerFor = 10 * time.Second
	// pullFor is how long an image may take to come.
	pullFor = 60 * time.Second
	// containerFor is how long a container may take to start, or to end.
	containerFor = 60 * time.Second
)

// container is a container in which Redis runs.
type container struct {
	hosts []string
	port  string
	tc    testcontainers.Container
}

// prepare returns nil when Docker answers and has the image. It is called once,
// before start.
func prepare(ctx context.Context, image string) error {
	// Each step of a container's life would be a line among those of the tests.
	log.SetDefault(log.NewNoopLogger())

	// The reaper is a container that removes this one should the program be killed.
	// It is left out, because its image has to be pulled too, which fails where
	// the network has no registry even if the image for Redis is there, and
	// because the program outlives the tests. Testcontainers asks for that only in
	// the environment, which it reads once, at first use.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return err
	}
	return getImage(ctx, image)
}

// getImage returns nil when Docker has the image. It asks a registry once, while
// testcontainers would ask it again and again for as long as there is no network.
func getImage(ctx context.Context, image string) error {
	askCtx, cancel := context.WithTimeout(ctx, dockerFor)
	defer cancel()
	if err := dockerHost(askCtx); err != nil {
		return fmt.Errorf("no Docker: %w", err)
	}
	docker, err := testcontainers.NewDockerClientWithOpts(askCtx)
	if err != nil {
		return fmt.Errorf("no Docker: %w", err)
	}
	defer docker.Close()
	if _, err := docker.ImageInspect(askCtx, image); err == nil {
		return nil
	}

	pullCtx, cancel := context.WithTimeout(ctx, pullFor)
	defer cancel()
	pull, err := docker.ImagePull(pullCtx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(pullCtx)
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

// start starts a container and waits until Redis says in its log that it is ready.
func start(image string) (_ *container, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), containerFor)
	defer cancel()
	tc, err := tcredis.Run(ctx, image,
		testcontainers.WithLogger(log.NewNoopLogger()),
		// The module waits for the port as well, at the one address that it takes
		// to be right, and by a shell in the container, which need not have one.
		testcontainers.WithWaitStrategy(wait.ForLog(readyLine).WithStartupTimeout(containerFor)),
	)
	c := &container{tc: tc}
	defer func() {
		if err != nil && tc != nil {
			err = errors.Join(err, c.log(), c.stop())
		}
	}()
	if err != nil {
		return nil, err
	}
	port, err := tc.MappedPort(ctx, redisPort)
	if err != nil {
		return nil, err
	}
	host, err := tc.Host(ctx)
	if err != nil {
		return nil, err
	}
	c.hosts, c.port = hosts(host), port.Port()
	return c, nil
}

// hosts returns the hosts at which a port of a container may be, given what
// testcontainers says. When tests run in a container themselves, testcontainers
// takes Docker to be outside of it, and its host to be the gateway; but Docker may
// be inside as well, where its ports are those of the loopback interface.
// "localhost" would not do for that: on ::1 the port may belong to another container.
func hosts(host string) []string {
	const loopback = "127.0.0.1"
	if host == "localhost" || host == loopback {
		return []string{loopback}
	}
	return []string{loopback, host}
}

// stop removes the container.
func (c *container) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), containerFor)
	defer cancel()
	// There is nothing in it that it should be given the time to save.
	return c.tc.Terminate(ctx, testcontainers.StopTimeout(0))
}

// log returns an error with the last lines that the container has logged, those
// that say why it does not start.
func (c *container) log() error {
	ctx, cancel := context.WithTimeout(context.Background(), dockerFor)
	defer cancel()
	r, err := c.tc.Logs(ctx)
	if err != nil {
		return fmt.Errorf("its log: %w", err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("its log: %w", err)
	}
	const most = 20
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return fmt.Errorf("its log:\n%s", bytes.Join(lines[max(0, len(lines)-most):], []byte("\n")))
}
