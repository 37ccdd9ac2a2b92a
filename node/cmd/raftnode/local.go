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

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/identity"
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

// maxLocalNodes bounds --nodes.
const maxLocalNodes = 9

func localCommand() *cobra.Command {
	f := &localFlags{}
	c := &cobra.Command{
		Use:   "local",
		Short: "Run a whole cluster in this process, for trials and fault injection",
		Long: `local runs a whole cluster in one process: real nodes, each with its own data, ports and connections. The
dashboard can stop, pause and partition its nodes. Node i serves its API on the port of --listen plus i-1, and
its peers on --peer-port plus i-1.`,
		Example: `  raftnode local                       # five nodes; open http://127.0.0.1:8080
  raftnode local --nodes 3 --data-dir /tmp/three --listen 127.0.0.1:9080 --peer-port 9180`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkGiven(c.Flags()); err != nil {
				return err
			}
			return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.IntVar(&f.nodes, "nodes", 5, "number of nodes")
	flags.StringVar(&f.dataDir, "data-dir", "data", "directory of the cluster's data, one subdirectory per node")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of node 1's API and the dashboard")
	flags.IntVar(&f.peerPort, "peer-port", 7080, "peer port of node 1")
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
	if err := f.startWatchdog(logger, looksWithin(f.stall)); err != nil {
		return err
	}
	cluster := f.open(logger)
	if err := cluster.startAll(); err != nil {
		return errors.Join(err, cluster.stopAll())
	}
	_, _ = fmt.Fprintf(stdout, "%d nodes are starting. Dashboard: http://%s   Stop with Ctrl-C.\n", f.nodes,
		pageHost(f.listen))
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
	host, port := f.address()
	if port < 1 || port+f.nodes > 1<<16 {
		return fmt.Errorf("%w: --listen %s: give a port that leaves room for %d nodes", errUsage, f.listen, f.nodes)
	}
	overlap := port < f.peerPort+f.nodes && f.peerPort < port+f.nodes
	if overlap && address.SameInterface(host, peerHost) {
		return fmt.Errorf("%w: --listen %s and --peer-port %d overlap: %d nodes take the ports %d to %d for the API and "+
			"%d to %d for each other; move one of them", errUsage, f.listen, f.peerPort, f.nodes, port, port+f.nodes-1,
			f.peerPort, f.peerPort+f.nodes-1)
	}
	return nil
}

// peerHost is the host of the nodes' peer ports.
const peerHost = "127.0.0.1"

// address returns the host and the port of --listen, which must be checked.
func (f *localFlags) address() (host string, port int) {
	host, text, _ := net.SplitHostPort(f.listen)
	port, _ = strconv.Atoi(text)
	return host, port
}

// pageHost returns the address at which a browser on this machine reaches a listener.
func pageHost(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}

// localOrigins are the origins of the cluster's pages for a browser that opened one as localhost.
func localOrigins(port, nodes int) []string {
	origins := make([]string, nodes)
	for i := range origins {
		origins[i] = "http://localhost:" + strconv.Itoa(port+i)
	}
	return origins
}

// open configures the cluster: the addresses and the directory of each node.
func (f *localFlags) open(logger *slog.Logger) *localCluster {
	host, port := f.address()
	advertised := host
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		advertised = "127.0.0.1"
	}
	members := make([]identity.Member, f.nodes)
	for i := range members {
		members[i] = identity.Member{
			ID: raft.NodeID(i + 1), Address: "http://" + net.JoinHostPort(peerHost, strconv.Itoa(f.peerPort+i)),
			APIAddress: "http://" + net.JoinHostPort(advertised, strconv.Itoa(port+i)),
		}
	}
	cluster := newLocalCluster(logger, members)
	memory, connections := f.budgets(f.nodes, logger)
	for i := range members {
		cluster.seats = append(cluster.seats, &seat{config: memberConfig{
			dataDir: filepath.Join(f.dataDir, fmt.Sprintf("node-%d", i+1)), id: members[i].ID, members: members,
			apiFlag: "--listen", peerFlag: "--peer-port",
			listenAPI:    net.JoinHostPort(host, strconv.Itoa(port+i)),
			listenPeer:   net.JoinHostPort(peerHost, strconv.Itoa(f.peerPort+i)),
			advertiseAPI: members[i].APIAddress, trustedOrigins: localOrigins(port, f.nodes),
			heartbeat: f.heartbeat, election: f.election, drift: f.drift, stall: f.stall, inflight: 1, logger: logger,
			limits: f.historyFlags.limits(), room: f.roomFlags.sizes(),
			chaosRoutes: cluster.routes(members[i].ID), memory: memory, connections: connections,
			queueBytes: memory.QueueBytes(f.nodes),
		}})
	}
	return cluster
}
