package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// serveFlags are the flags of `raftnode serve`.
type serveFlags struct {
	commonFlags
	dataDir        string
	listenAPI      string
	listenPeer     string
	id             uint64
	initialCluster string
	join           bool
	byMajority     bool
	advertisePeer  string
	advertiseAPI   string
	shutdownDelay  time.Duration
	inflight       int
	allowedHosts   hostList
	listenDebug    string
}

func serveCommand() *cobra.Command {
	f := &serveFlags{}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run one node of a cluster",
		Long: `serve runs one node. Its log, its term and its vote live in --data-dir; with them lives its identity, so a
node that has data ignores --initial-cluster and goes on where it was, and refuses another --id than its own.`,
		Example: `  # three nodes on three machines; each gets its own --id and the same list
  raftnode serve --id 1 --data-dir /var/lib/kontiki \
    --initial-cluster 1=http://h1:7080,2=http://h2:7080,3=http://h3:7080

  # a node of a cluster that somebody bootstraps by POST /api/v1/cluster/bootstrap
  raftnode serve --join --data-dir data --listen-api :8080 --listen-peer :7080 \
    --advertise-peer http://h1:7080

  # one node alone
  raftnode serve --id 1 --data-dir data --initial-cluster 1=http://127.0.0.1:7080`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "directory of this node's data (required)")
	flags.StringVar(&f.listenAPI, "listen-api", "127.0.0.1:8080", "where clients and the page connect")
	flags.StringVar(&f.listenPeer, "listen-peer", "127.0.0.1:7080", "where the other nodes connect")
	flags.Uint64Var(&f.id, "id", 0, "this node's id in --initial-cluster")
	flags.StringVar(&f.initialCluster, "initial-cluster", "",
		"all members of a new cluster as ID=URL,...; ignored once there is data")
	flags.BoolVar(&f.join, "join", false, "start without an identity, and wait to be given one")
	flags.BoolVar(&f.byMajority, "found-by-majority", false,
		"let a majority of empty members found a new cluster (default: 3 of 3, 4 of 5, 6 of 7); it asserts that no member "+
			"ever had another data directory")
	flags.StringVar(&f.advertisePeer, "advertise-peer", "",
		"URL under which the others reach this node (default: its URL in --initial-cluster; required with --join)")
	flags.StringVar(&f.advertiseAPI, "advertise-api", "",
		"URL of this node's API, told to the members and the page; they accept the host of the peer URL, of their own "+
			"--advertise-api, and --allowed-host (default: the host of the peer URL, the API's port)")
	flags.IntVar(&f.inflight, "inflight", 1,
		"unanswered appends per follower: 1 is best on a LAN, several over long distances")
	flags.DurationVar(&f.shutdownDelay, "shutdown-delay", 0,
		"how long to go on serving after a signal to stop, not ready and without leadership; a second signal cuts it short")
	flags.Var(&f.allowedHosts, "allowed-host",
		"hosts to accept in Host headers beside loopback names and the address of the connection, and in API URLs that "+
			"members tell; with any, all other Host values are refused (default: only while listening on loopback)")
	flags.StringVar(&f.listenDebug, "listen-debug", "",
		"where to serve Go profiles (/debug/pprof/), to loopback Hosts only; off by default")
	return c
}

func (f *serveFlags) run(c *cobra.Command) error {
	if err := checkGiven(c.Flags()); err != nil {
		return err
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	if config.logger, err = f.logger(c.ErrOrStderr()); err != nil {
		return err
	}
	config.memory, config.connections = f.budgets(1, config.logger)
	config.queueBytes = config.memory.QueueBytes(1)
	if f.listenDebug != "" {
		if err := serveProfiles(c.Context(), f.listenDebug, config.logger); err != nil {
			return err
		}
	}
	if err := f.startWatchdog(config.logger, watchdogLooks); err != nil {
		return err
	}
	patience := time.Duration(0)
	if config.join {
		patience = lockPatience
	}
	m, err := openWhenFree(c.Context(), config, patience)
	if err != nil {
		return err
	}
	return m.serve(c.Context())
}

// lockPatience is how long a node that joins waits for its directory to be free. A pod that was deleted by force may
// run on for its shutdown delay while the next one starts beside it, on the same volume; to give up would cost the next
// one the kubelet's back-off, which is 10 s at first and doubles.
const lockPatience = 60 * time.Second

// openWhenFree opens the member as soon as no other process has its directory, for as long as patience lasts.
func openWhenFree(ctx context.Context, config memberConfig, patience time.Duration) (*member, error) {
	over := time.NewTimer(patience)
	defer over.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for said := false; ; said = true {
		m, err := openMember(config)
		if !errors.Is(err, storage.ErrLocked) || patience == 0 {
			return m, err
		}
		if !said {
			config.logger.Info("waits for the data directory: the process that had it before still runs", "error", err,
				"patience", patience)
		}
		select {
		case <-again.C:
		case <-over.C:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// config checks the flags together.
func (f *serveFlags) config() (memberConfig, error) {
	config := memberConfig{
		dataDir: f.dataDir, listenAPI: f.listenAPI, listenPeer: f.listenPeer, id: raft.NodeID(f.id), join: f.join,
		foundByMajority: f.byMajority,
		heartbeat:       f.heartbeat, election: f.election, inflight: f.inflight, allowedHosts: f.allowedHosts,
		advertisePeer: strings.TrimSuffix(f.advertisePeer, "/"), advertiseAPI: strings.TrimSuffix(f.advertiseAPI, "/"),
		shutdownDelay: f.shutdownDelay,
	}
	if err := f.commonFlags.check(); err != nil {
		return config, err
	}
	if f.dataDir == "" {
		return config, fmt.Errorf("%w: --data-dir is missing: name the directory for this node's data", errUsage)
	}
	if f.shutdownDelay < 0 {
		return config, fmt.Errorf("%w: --shutdown-delay %v: give 0 or more", errUsage, f.shutdownDelay)
	}
	if f.inflight < 1 {
		return config, fmt.Errorf("%w: --inflight %d: give at least 1", errUsage, f.inflight)
	}
	for flag, address := range map[string]string{
		"--listen-api": f.listenAPI, "--listen-peer": f.listenPeer, "--listen-debug": f.listenDebug,
	} {
		if address == "" && flag == "--listen-debug" {
			continue
		}
		if err := checkHostPort(flag, address); err != nil {
			return config, err
		}
	}
	return config, cmp.Or(f.checkAddresses(), f.start(&config))
}

// checkAddresses checks the URLs of this node, and that its ports are distinct.
func (f *serveFlags) checkAddresses() error {
	if f.advertisePeer != "" {
		if err := address.CheckPeerURL(f.advertisePeer); err != nil {
			return fmt.Errorf("%w: --advertise-peer: %w", errUsage, err)
		}
	}
	if f.advertiseAPI != "" {
		if err := address.CheckAPIURL(f.advertiseAPI); err != nil {
			return fmt.Errorf("%w: --advertise-api: %w", errUsage, err)
		}
	}
	listeners := []struct{ flag, address string }{
		{"--listen-api", f.listenAPI}, {"--listen-peer", f.listenPeer}, {"--listen-debug", f.listenDebug},
	}
	for i, one := range listeners {
		for _, two := range listeners[i+1:] {
			if address.SamePlace(one.address, two.address) {
				return fmt.Errorf("%w: %s %s and %s %s are the same port: give each a port of its own", errUsage,
					one.flag, one.address, two.flag, two.address)
			}
		}
	}
	return nil
}

// start checks what says how the node gets its identity.
func (f *serveFlags) start(config *memberConfig) error {
	if f.join == (f.initialCluster != "") {
		return fmt.Errorf("%w: give either --id with --initial-cluster, or --join", errUsage)
	}
	if f.join {
		if f.id != 0 {
			return fmt.Errorf("%w: --id does not go with --join: the cluster gives the id", errUsage)
		}
		if f.advertisePeer == "" {
			return fmt.Errorf("%w: --join needs --advertise-peer: the URL under which the other members will reach this "+
				"node, like http://host1:7080", errUsage)
		}
		return nil
	}
	members, err := parseMembers(f.initialCluster)
	if err != nil {
		return err
	}
	if f.id == 0 {
		return fmt.Errorf("%w: --id is missing: say which member of --initial-cluster this node is, like --id %d", errUsage,
			members[0].ID)
	}
	config.members = members
	for i, m := range members {
		if m.ID != config.id {
			continue
		}
		if config.advertisePeer != "" && config.advertisePeer != m.Address {
			return fmt.Errorf("%w: --advertise-peer %s differs from %s in --initial-cluster for id %d; the others "+
				"would not find this node", errUsage, f.advertisePeer, members[i].Address, m.ID)
		}
		return nil
	}
	return fmt.Errorf("%w: --id %d is not in --initial-cluster %s", errUsage, f.id, f.initialCluster)
}

// apiURL is where others reach this node's API, if no flag says it: the host by which its peers know it.
func apiURL(members []identity.Member, id raft.NodeID, advertisePeer string, l net.Listener) string {
	peer := advertisePeer
	for _, m := range members {
		if m.ID == id {
			peer = m.Address
		}
	}
	u, err := url.Parse(peer)
	if err != nil || u.Hostname() == "" {
		return "http://" + l.Addr().String()
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "http://" + l.Addr().String()
	}
	return "http://" + net.JoinHostPort(u.Hostname(), port)
}

// serve runs the member until ctx ends, then stops it gracefully.
func (m *member) serve(ctx context.Context) error {
	m.start()
	select {
	case <-ctx.Done():
		hurry, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(hurry, end) // a third signal ends the process at once
		defer end()
		return m.stopAfter(hurry, true, m.config.shutdownDelay)
	case <-m.ended:
		return m.abort()
	}
}
