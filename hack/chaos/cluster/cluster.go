package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/disk"
	"github.com/kontiki-dev/kontiki/hack/chaos/network"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// Network connects the nodes. Nodes are identified by their index.
type Network interface {
	Name() string
	Slow() string // how it makes delays
	PeerURL(node int) string
	ListenPeer(node int) string
	ListenAPI(node int) string
	Command(node int, program string, args ...string) *exec.Cmd
	Apply(m network.Matrix) error
	Close() error
}

// Cluster is the nodes, their disks, and the network between them.
type Cluster struct {
	Nodes   []*Node
	Network Network
	// NoDisks is why the disks cannot fail on this machine; nil: they can.
	NoDisks error

	dir  string
	view *client.Direct
}

// New returns a cluster that runs a program, in its own directory. It takes ownership of the network. The program gets
// args in addition to the arguments that it needs.
func New(dir, program string, nodes int, net Network, further ...string) (*Cluster, error) {
	c := &Cluster{Network: net, dir: dir, view: client.NewDirect(client.Config{})}
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i+1)
		data := filepath.Join(dir, name, "data")
		n := &Node{Index: i, Data: data, api: net.ListenAPI(i), log: filepath.Join(dir, name+".log")}
		c.Nodes = append(c.Nodes, n)
		d, err := disk.New(dir, name)
		switch {
		case err == nil:
			n.Disk = d
		case errors.Is(err, disk.ErrNotHere):
			c.NoDisks = err
			if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
				return nil, errors.Join(err, c.Close())
			}
		default:
			return nil, errors.Join(err, c.Close())
		}
		args := append(arguments(net, nodes, i, data), further...)
		n.command = func() *exec.Cmd { return net.Command(i, program, args...) }
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close ends the processes and removes everything but the logs of the nodes.
func (c *Cluster) Close() error {
	c.view.Close()
	var errs []error
	for _, n := range c.Nodes {
		if n.process != nil {
			errs = append(errs, n.Stop())
		}
	}
	errs = append(errs, c.Network.Close())
	for _, n := range c.Nodes {
		if n.Disk != nil {
			errs = append(errs, n.Disk.Close())
		} else {
			errs = append(errs, os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("node-%d", n.Index+1))))
		}
	}
	return errors.Join(errs...)
}

// Endpoints are the URLs of all nodes' APIs.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.API())
	}
	return urls
}

// Leader returns the index of the node that leads in the highest term, or -1 if none reports that it leads.
func (c *Cluster) Leader(ctx context.Context) int {
	leader, term := -1, uint64(0)
	for i, view := range c.views(ctx) {
		if view != nil && view.Role == "LEADER" && view.Term > term {
			leader, term = i, view.Term
		}
	}
	return leader
}

// views asks every node for its view; nil: it does not answer within half a second.
func (c *Cluster) views(ctx context.Context) []*api.ClusterView {
	views := make([]*api.ClusterView, len(c.Nodes))
	for i, n := range c.Nodes {
		ask, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		if view, err := c.view.View(ask, n.API()); err == nil {
			views[i] = &view
		}
		cancel()
	}
	return views
}

// AwaitReady waits, up to a timeout, until all nodes are ready and agree about the leader.
func (c *Cluster) AwaitReady(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		missing := c.unready(ctx)
		if missing == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster was not whole within %s: %w", limit, errors.Join(missing, c.Ended()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unready describes what is missing until the cluster is whole.
func (c *Cluster) unready(ctx context.Context) error {
	var first *api.ClusterView
	for i, view := range c.views(ctx) {
		switch {
		case view == nil:
			return fmt.Errorf("node %d does not answer", i+1)
		case !view.Ready:
			return fmt.Errorf("node %d is not ready", i+1)
		case first == nil:
			first = view
		case first.LeaderID != view.LeaderID || first.Term != view.Term:
			return fmt.Errorf("nodes 1 and %d disagree about who leads", i+1)
		}
	}
	return nil
}

// Ended returns an error for every process that ended without permission.
func (c *Cluster) Ended() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Ended())
	}
	return errors.Join(errs...)
}
