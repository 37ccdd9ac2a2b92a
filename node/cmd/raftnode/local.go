package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// localFlags are the flags of `raftnode local`.
type localFlags struct {
	commonFlags
	nodes    int
	dataDir  string
	listen   string
	peerPort int
}

// maxLocalNodes is more than anyone needs to watch.
const maxLocalNodes = 9

func localCommand() *cobra.Command {
	f := &localFlags{}
	c := &cobra.Command{
		Use:   "local",
		Short: "Run a whole cluster in this process, to try and to break",
		Long: `local runs a whole cluster in one process: real nodes, each with its own data, ports and connections. The page
can stop, pause and cut off its nodes. Node i has its API on the port of --listen plus i-1, and talks to the
others on --peer-port plus i-1.`,
		Example: `  raftnode local                       # five nodes; open http://127.0.0.1:8080
  raftnode local --nodes 3 --data-dir /tmp/three --listen 127.0.0.1:9080 --peer-port 9180`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f.register(c)
	flags := c.Flags()
	flags.IntVar(&f.nodes, "nodes", 5, "how many nodes")
	flags.StringVar(&f.dataDir, "data-dir", "data", "directory of the cluster's data, one subdirectory per node")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "where node 1 serves its API and the page")
	flags.IntVar(&f.peerPort, "peer-port", 7080, "where node 1 talks to the others")
	return c
}

func (f *localFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	logger, err := f.logger(stderr)
	if err != nil {
		return err
	}
	if err := f.startWatchdog(logger, watchdogLooks); err != nil {
		return err
	}
	cluster, err := f.open(logger)
	if err != nil {
		return err
	}
	if err := cluster.startAll(); err != nil {
		return errors.Join(err, cluster.stopAll())
	}
	_, _ = fmt.Fprintf(stdout, "%d nodes are starting. The page: http://%s   Stop with Ctrl-C.\n", f.nodes, f.listen)
	select {
	case <-ctx.Done():
		return cluster.stopAll()
	case err := <-cluster.failed:
		return errors.Join(err, cluster.stopAll())
	}
}

func (f *localFlags) check() error {
	if err := f.commonFlags.check(); err != nil {
		return err
	}
	if f.nodes < 1 || f.nodes > maxLocalNodes {
		return fmt.Errorf("%w: --nodes %d: give 1 to %d", errUsage, f.nodes, maxLocalNodes)
	}
	if f.dataDir == "" {
		return fmt.Errorf("%w: --data-dir is empty: name a directory for the cluster's data", errUsage)
	}
	if err := checkHostPort("--listen", f.listen); err != nil {
		return err
	}
	if f.peerPort < 1 || f.peerPort+f.nodes > 1<<16 {
		return fmt.Errorf("%w: --peer-port %d: give a port that leaves room for %d nodes", errUsage, f.peerPort, f.nodes)
	}
	return nil
}

// localOrigins are the origins of the cluster's pages for who opened one by the name of this machine's loopback.
func localOrigins(port, nodes int) []string {
	origins := make([]string, nodes)
	for i := range origins {
		origins[i] = "http://localhost:" + strconv.Itoa(port+i)
	}
	return origins
}

// open plans the cluster: who has which address and which directory.
func (f *localFlags) open(logger *slog.Logger) (*localCluster, error) {
	host, portText, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port+f.nodes > 1<<16 {
		return nil, fmt.Errorf("%w: --listen %s: give a port that leaves room for %d nodes", errUsage, f.listen, f.nodes)
	}
	advertised := host
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		advertised = "127.0.0.1"
	}
	members := make([]node.Member, f.nodes)
	for i := range members {
		members[i] = node.Member{
			ID: raft.NodeID(i + 1), Address: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(f.peerPort+i)),
			APIAddress: "http://" + net.JoinHostPort(advertised, strconv.Itoa(port+i)),
		}
	}
	cluster := newLocalCluster(logger, members)
	memory, connections := f.budgets(f.nodes, logger)
	for i := range members {
		cluster.seats = append(cluster.seats, &seat{config: memberConfig{
			dataDir: filepath.Join(f.dataDir, fmt.Sprintf("node-%d", i+1)), id: members[i].ID, members: members,
			listenAPI:    net.JoinHostPort(host, strconv.Itoa(port+i)),
			listenPeer:   net.JoinHostPort("127.0.0.1", strconv.Itoa(f.peerPort+i)),
			advertiseAPI: members[i].APIAddress, trustedOrigins: localOrigins(port, f.nodes),
			heartbeat: f.heartbeat, election: f.election, inflight: 1, logger: logger,
			chaosRoutes: cluster.routes(members[i].ID), memory: memory, connections: connections,
			queueBytes: memory.QueueBytes(f.nodes),
		}})
	}
	return cluster, nil
}
