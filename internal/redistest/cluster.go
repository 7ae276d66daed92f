package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	nodes = 3
	slots = 16384

	// clusterFor is how long the nodes may take to agree. They take two seconds
	// of it in any case, in which a node that has just started holds back.
	clusterFor = 60 * time.Second
)

// cluster is a Redis Cluster of local processes.
type cluster struct {
	nodes []*process
}

// Cluster returns the host:port of each of the three nodes of a Redis Cluster,
// which have all the slots and no replicas. The cluster is started at first use
// and shared by the tests of the package: keys begin with a [Prefix]. Where there
// is no redis-server on PATH the test is skipped.
func Cluster(t testing.TB) []string {
	t.Helper()
	started.mu.Lock()
	defer started.mu.Unlock()
	if started.cluster == nil && started.noCluster == nil {
		started.cluster, started.noCluster = startCluster()
	}
	switch err := started.noCluster; {
	case errors.Is(err, errNoServer):
		t.Skip(errNoServer)
	case err != nil:
		t.Fatal(err)
	}
	var addrs []string
	for _, p := range started.cluster.nodes {
		addrs = append(addrs, p.addr)
	}
	return addrs
}

func startCluster() (_ *cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	for range nodes {
		p, err := startProcess([]string{
			"--cluster-enabled", "yes",
			"--cluster-config-file", "nodes.conf",
			"--cluster-announce-ip", "127.0.0.1",
		})
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, p)
	}

	ctx, cancel := context.WithTimeout(context.Background(), clusterFor)
	defer cancel()
	for i, p := range c.nodes {
		commands := []string{
			// Nodes of one epoch would have to settle which of them goes first.
			"CLUSTER SET-CONFIG-EPOCH " + strconv.Itoa(i+1),
			fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/nodes, (i+1)*slots/nodes-1),
		}
		// One meeting would do, by and by: nodes tell one another whom they know.
		for _, other := range c.nodes[:i] {
			commands = append(commands, "CLUSTER MEET "+strings.Replace(other.addr, ":", " ", 1))
		}
		for _, command := range commands {
			if _, err := ask(ctx, p.addr, command); err != nil {
				return nil, p.explain(err)
			}
		}
	}
	for _, p := range c.nodes {
		if err := poll(ctx, func() (bool, error) { return true, agrees(ctx, p.addr) }); err != nil {
			return nil, p.explain(err)
		}
	}
	return c, nil
}

// agrees returns nil when a node knows the whole cluster and would serve it.
func agrees(ctx context.Context, addr string) error {
	info, err := ask(ctx, addr, "CLUSTER INFO")
	if err != nil {
		return err
	}
	for _, want := range []string{
		"cluster_state:ok",
		"cluster_slots_ok:" + strconv.Itoa(slots),
		"cluster_known_nodes:" + strconv.Itoa(nodes),
		"cluster_size:" + strconv.Itoa(nodes),
	} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("%s: no %s in what it says of the cluster:\n%s", addr, want, info)
		}
	}
	return nil
}

func (c *cluster) stop() error {
	var errs []error
	for _, p := range c.nodes {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}
