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
		Long: `serve runs one node. Its log, term, vote and identity are in --data-dir. With data in it, a node ignores
--initial-cluster, continues from its data, and refuses an --id other than its own; it needs neither.`,
		Example: `  # three nodes on three machines; each gets its own --id and the same list
  raftnode serve --id 1 --data-dir /var/lib/kontiki \
    --initial-cluster 1=http://h1:7080,2=http://h2:7080,3=http://h3:7080

  # a node that waits to be added to a cluster, or for POST /api/v1/cluster/bootstrap
  raftnode serve --join --data-dir data --listen-api :8080 --listen-peer :7080 \
    --advertise-peer http://h1:7080

  # a node that has data, or whose directory raftctl recover made
  raftnode serve --data-dir /var/lib/kontiki

  # one node alone
  raftnode serve --id 1 --data-dir data --initial-cluster 1=http://127.0.0.1:7080`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "directory of this node's data (required)")
	flags.StringVar(&f.listenAPI, "listen-api", "127.0.0.1:8080", "address of the API and the dashboard")
	flags.StringVar(&f.listenPeer, "listen-peer", "127.0.0.1:7080", "address for the other members")
	flags.Uint64Var(&f.id, "id", 0, "this node's id in --initial-cluster")
	flags.StringVar(&f.initialCluster, "initial-cluster", "",
		"all members of a new cluster as ID=URL,...; ignored if the data directory has data")
	flags.BoolVar(&f.join, "join", false, "start without an identity and wait to be added to a cluster or bootstrapped")
	flags.BoolVar(&f.byMajority, "found-by-majority", false,
		"found a new cluster with a majority of empty members (default: 3 of 3, 4 of 5, 6 of 7); asserts that no member "+
			"ever had another data directory")
	flags.StringVar(&f.advertisePeer, "advertise-peer", "",
		"peer URL of this node for the other members (default: its URL in --initial-cluster; required with --join)")
	flags.StringVar(&f.advertiseAPI, "advertise-api", "",
		"URL of this node's API for the members and the dashboard; they accept the host of the peer URL, of their own "+
			"--advertise-api, and --allowed-host (default: the host of the peer URL, the API's port)")
	flags.IntVar(&f.inflight, "inflight", 1,
		"maximum unanswered appends per follower: 1 is best on a LAN, more on links with high latency")
	flags.DurationVar(&f.shutdownDelay, "shutdown-delay", 0,
		"time to serve after SIGTERM, not ready and without leadership; a second signal ends it")
	flags.Var(&f.allowedHosts, "allowed-host",
		"extra Host values to accept beside loopback names and the address of the connection, also in API URLs of "+
			"members; if set, other Host values are refused (default: refused only while listening on loopback)")
	flags.StringVar(&f.listenDebug, "listen-debug", "",
		"address for Go profiles (/debug/pprof/), for loopback Hosts only (default: off)")
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
	if err := f.startWatchdog(config.logger, looksWithin(f.stall)); err != nil {
		return err
	}
	patience := time.Duration(0)
	if config.join {
		patience = lockPatience
	}
	m, err := openWhenFree(c.Context(), config, patience)
	if err == nil {
		err = m.serve(c.Context())
	}
	return explainDamage(err, &config)
}

// lockPatience is how long a node with --join waits for its directory to be free. A pod that was deleted by force may
// run for its shutdown delay while the next one starts beside it, on the same volume; if the next one exited, the
// kubelet's back-off would delay it by 10 s and more.
const lockPatience = 60 * time.Second

// openWhenFree opens the member as soon as no other process has its directory, for at most patience.
func openWhenFree(ctx context.Context, config memberConfig, patience time.Duration) (*member, error) {
	over := time.NewTimer(patience)
	defer over.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for logged := false; ; logged = true {
		m, err := openMember(config)
		if !errors.Is(err, storage.ErrLocked) || patience == 0 {
			return m, err
		}
		if !logged {
			config.logger.Info("waits for the data directory: another process still has it", "error", err,
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

// config checks the flags and returns the configuration.
func (f *serveFlags) config() (memberConfig, error) {
	config := memberConfig{
		dataDir: f.dataDir, listenAPI: f.listenAPI, listenPeer: f.listenPeer, id: raft.NodeID(f.id), join: f.join,
		foundByMajority: f.byMajority,
		heartbeat:       f.heartbeat, election: f.election, stall: f.stall, drift: f.drift,
		inflight: f.inflight, allowedHosts: f.allowedHosts,
		advertisePeer: strings.TrimSuffix(f.advertisePeer, "/"), advertiseAPI: strings.TrimSuffix(f.advertiseAPI, "/"),
		shutdownDelay: f.shutdownDelay, limits: f.historyFlags.limits(), room: f.roomFlags.sizes(),
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

// start checks the flags that determine the node's identity.
func (f *serveFlags) start(config *memberConfig) error {
	if f.join && f.initialCluster != "" {
		return fmt.Errorf("%w: give either --id with --initial-cluster, or --join", errUsage)
	}
	if !f.join && f.initialCluster == "" {
		config.fromData = true
		return f.checkData()
	}
	if f.join {
		if f.id != 0 {
			return fmt.Errorf("%w: --id does not go with --join: the cluster assigns the id", errUsage)
		}
		if f.advertisePeer == "" {
			return fmt.Errorf("%w: --join needs --advertise-peer: the peer URL of this node, like http://host1:7080", errUsage)
		}
		return nil
	}
	members, err := parseMembers(f.initialCluster)
	if err != nil {
		return err
	}
	if f.id == 0 {
		return fmt.Errorf("%w: --id is missing: give this node's id in --initial-cluster, like --id %d", errUsage,
			members[0].ID)
	}
	config.members = members
	for i, m := range members {
		if m.ID != config.id {
			continue
		}
		if config.advertisePeer != "" && config.advertisePeer != m.Address {
			return fmt.Errorf("%w: --advertise-peer %s differs from %s in --initial-cluster for id %d; the other members "+
				"would not find this node", errUsage, f.advertisePeer, members[i].Address, m.ID)
		}
		return nil
	}
	return fmt.Errorf("%w: --id %d is not in --initial-cluster %s", errUsage, f.id, f.initialCluster)
}

// checkData refuses a start without an identity in the flags if the data directory has none.
func (f *serveFlags) checkData() error {
	switch has, err := storage.HasData(f.dataDir); {
	case err != nil:
		return err
	case !has:
		return fmt.Errorf("%w: %s has no data to continue from: give --id with --initial-cluster for a new cluster, or "+
			"--join", errUsage, f.dataDir)
	}
	return nil
}

// apiURL returns the URL of this node's API without --advertise-api: the host of its peer URL and the API's port.
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
