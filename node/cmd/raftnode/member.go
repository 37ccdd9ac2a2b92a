package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/dashboard"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/rest"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/storage"
	"github.com/kontiki-dev/kontiki/node/transport"
)

// stopTime is how long a graceful stop may take before remaining requests are cut off.
const stopTime = 10 * time.Second

// memberConfig configures one member of a cluster.
type memberConfig struct {
	dataDir, listenAPI, listenPeer string
	apiFlag, peerFlag              string // name these addresses in errors; empty: --listen-api and --listen-peer
	id                             raft.NodeID
	members                        []identity.Member
	join, foundByMajority          bool
	fromData                       bool // the identity is in the data directory, and in no flag
	advertisePeer, advertiseAPI    string
	heartbeat, election, stall     time.Duration
	drift                          float64
	shutdownDelay                  time.Duration
	inflight                       int
	allowedHosts                   []string
	logger                         *slog.Logger
	limits
	room room.Limits // with a negative reserve, it depends on the disk
	// Shared by all members of the process; nil: this one has its own.
	memory      *budget.Memory
	queueBytes  int // of each of its queues; 0: the default
	connections *budget.Connections

	// For clusters in one process.
	chaosRoutes    func(gin.IRouter)
	trustedOrigins []string
	gate           func(http.Handler) http.Handler
}

// member is one node with everything around it: disk, network, API.
type member struct {
	config  memberConfig
	storage *storage.DB
	network *transport.Transport
	node    *node.Node
	api     *rest.Server

	apiListener, peerListener net.Listener

	keysMu    sync.Mutex
	keys      map[raft.NodeID]ed25519.PublicKey // of the peers
	keysSaved sync.WaitGroup

	cancel context.CancelFunc
	ended  chan struct{} // closed when the node's loop has ended
	err    error         // why, once ended is closed

	portErr atomic.Pointer[error]  // why a port failed; nil: none did
	warned  atomic.Pointer[string] // in what the flags differ from the data, if that was logged
}

// openMember opens a member, its disk first. If a step fails, it closes what was opened.
func openMember(config memberConfig) (*member, error) {
	m := &member{config: config, ended: make(chan struct{})}
	if err := m.open(); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

func (m *member) open() error {
	config := &m.config
	var err error
	if m.storage, err = storage.Open(config.dataDir, storage.Options{Loading: budget.ExpectLoad}); err != nil {
		return err
	}
	if config.room, err = keepReserve(config.room, m.storage); err != nil {
		return err
	}
	who, err := node.KnownIdentity(m.storage)
	if err != nil {
		return err
	}
	if who.ID == 0 && config.fromData {
		return fmt.Errorf("%w: %s has no identity yet: give --id with --initial-cluster for a new cluster, or --join",
			errUsage, config.dataDir)
	}
	if who.ID == 0 {
		who.ID, who.Members = config.id, config.members
		if !config.join {
			who.ClusterID = identity.StaticClusterID(who.Members)
		}
	}
	if m.apiListener, err = listen(cmp.Or(config.apiFlag, "--listen-api"), config.listenAPI); err != nil {
		return err
	}
	if m.peerListener, err = listen(cmp.Or(config.peerFlag, "--listen-peer"), config.listenPeer); err != nil {
		return err
	}
	var key ed25519.PrivateKey
	if key, m.keys, err = peerKeys(m.storage); err != nil {
		return err
	}
	m.network = transport.New(transport.Config{
		ID: who.ID, ClusterID: who.ClusterID, Members: who.Members, Logger: config.logger,
		BulkWindow: config.inflight, Greet: true,
		Memory: config.memory, Connections: config.connections,
		Key: key, Keys: maps.Clone(m.keys), LearnedKey: m.learnedKey, Hosts: m.ownHosts(config.advertisePeer),
		ObserveRoundTrip: func(peer raft.NodeID, d time.Duration) { m.node.Metrics().ObserveRoundTrip(peer, d) },
	})
	if config.advertiseAPI == "" {
		config.advertiseAPI = apiURL(who.Members, who.ID, config.advertisePeer, m.apiListener)
	}
	m.node, err = node.New(node.Options{
		ID: config.id, ClusterID: who.ClusterID, Members: config.members, Join: config.join || config.fromData,
		FoundByMajority: config.foundByMajority, APIAddress: config.advertiseAPI,
		Version: version, HeartbeatInterval: config.heartbeat, ElectionTimeout: config.election,
		StallLimit: config.stall, LogFile: m.storage.Path(), ClockDrift: config.drift,
		InflightMessages: config.inflight, QueueBytes: config.queueBytes,
		Retention: config.retention, Checkpoints: config.checkpoints, Window: config.window, Room: config.room,
		CheckInterval: config.checkInterval, ScrubInterval: config.scrubInterval,
		Storage: m.storage, Transport: m.network, Logger: config.logger,
		Notice:   m.startedOtherwise,
		Mismatch: m.network.Mismatch, APIHosts: config.allowedHosts,
		PeerAddress: config.advertisePeer, Identified: m.network.Identify, Founded: m.network.Founded,
		Fatal: m.fatal, DiskSizes: m.diskSizes,
		StateFiles: m.storage.StateFiles,
	})
	if err != nil {
		return err
	}
	m.api, err = m.newAPI()
	return err
}

// ownHosts returns the allowed hosts and that of one of this node's own addresses.
func (m *member) ownHosts(own string) []string {
	hosts := slices.Clone(m.config.allowedHosts)
	if u, err := url.Parse(own); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host)
	}
	return hosts
}

func (m *member) newAPI() (*rest.Server, error) {
	var hosts []string // none: only a loopback listener checks
	if len(m.config.allowedHosts) > 0 {
		hosts = m.ownHosts(m.config.advertiseAPI)
	}
	page := dashboard.Handler(dashboard.Options{MemberOrigins: m.memberOrigins})
	options := rest.Options{
		Dashboard: page, Logger: m.config.logger, Version: version, AllowedHosts: hosts,
		Collectors: []prometheus.Collector{m.node.Metrics(), peerQueues{m.network}}, Gate: m.config.gate,
		ReadyContact: max(time.Second, 5*m.config.election),
		Memory:       m.config.memory, Connections: m.config.connections,
	}
	if m.config.chaosRoutes != nil {
		options.Extra = m.config.chaosRoutes
		options.Capabilities = []string{"chaos"}
		options.TrustMemberOrigins = true
		options.TrustedOrigins = m.config.trustedOrigins
	}
	return rest.New(m.node, m.node.Observation(), options)
}

// peerQueues collects how many messages wait to be sent to each peer, including peers that were added later.
type peerQueues struct{ network *transport.Transport }

var queueDepth = prometheus.NewDesc("kontiki_peer_queue_depth", "Messages that wait to be sent to a peer.",
	[]string{"peer"}, nil)

// Describe implements prometheus.Collector.
func (q peerQueues) Describe(descs chan<- *prometheus.Desc) { descs <- queueDepth }

// Collect implements prometheus.Collector.
func (q peerQueues) Collect(values chan<- prometheus.Metric) {
	for _, peer := range q.network.Peers() {
		values <- prometheus.MustNewConstMetric(queueDepth, prometheus.GaugeValue, float64(q.network.QueueDepth(peer)),
			strconv.FormatUint(uint64(peer), 10))
	}
}

// startedOtherwise warns if the flags name another address of this node than the configuration, or, before the members
// changed for the first time, other members: the configuration takes precedence, and the members may look for each
// other at the wrong addresses. It returns the notice for the node's status, "" if flags and configuration agree.
func (m *member) startedOtherwise(id raft.NodeID, cfg raft.Configuration) string {
	config := &m.config
	known := identity.MembersOf(cfg.Members)
	own := func(members []identity.Member) []identity.Member {
		return slices.DeleteFunc(slices.Clone(members), func(m identity.Member) bool { return m.ID != id })
	}
	differs := ""
	switch listed := own(known); {
	case len(listed) == 0: // the node joins and has no log yet, or it was removed
	case config.fromData && config.advertisePeer == "": // no flag names an address
	case config.join || config.fromData:
		differs = identity.Difference(listed, "its data", []identity.Member{{ID: id, Address: config.advertisePeer}},
			"--advertise-peer")
	case cfg.Index > 0:
		differs = identity.Difference(listed, "its data", own(config.members), "--initial-cluster")
	default:
		differs = identity.Difference(known, "its data", config.members, "--initial-cluster")
	}
	if differs != "" && m.warned.Swap(&differs) == nil {
		config.logger.Warn("the flags differ from the data, which takes precedence; change the addresses of "+
			"members (raftctl member change), give the nodes the addresses in the data, as by stable DNS names, or start a "+
			"new cluster in empty directories", "node", id, "differs", differs)
	}
	if differs == "" {
		return ""
	}
	return "uses the addresses of its data and not those of its flags: " + differs
}

// memberOrigins lists the members' API origins, to which the page switches when this node is unreachable.
func (m *member) memberOrigins() []string {
	var origins []string
	for _, member := range m.node.Observation().Membership().Members {
		if member.APIAddress != "" {
			origins = append(origins, member.APIAddress)
		}
	}
	return origins
}

func listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w%s", flag, address, reasonOf(err), listenAdvice(err))
	}
	return l, nil
}

// reasonOf returns the error without the operation and the address, which the caller names.
func reasonOf(err error) error {
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed.Err
	}
	return err
}

// listenAdvice returns advice for a port that cannot be listened on.
func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another process listens there, perhaps another node: stop it or choose another port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; no interface of this machine has that address: give one of its own, or 0.0.0.0 for all"
	case errors.Is(err, syscall.EACCES):
		return "; this user may not use that port: give one from 1024 on"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "; raise the limit on open files (ulimit -n)"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "; give an IP address of this machine, or 0.0.0.0 for all"
	}
	return ""
}

func (m *member) diskSizes() api.Disk {
	if err := m.storage.KeepBallast(); err != nil {
		m.config.logger.Warn("no room can be put aside on the disk", "error", err)
	}
	logBytes, _ := m.storage.Sizes()
	free, err := m.storage.FreeBytes()
	if err != nil {
		free = -1
	}
	return api.Disk{LogBytes: logBytes, FreeBytes: free, ReusableBytes: m.storage.StateFiles().Reusable}
}

// fatal ends the process at once, because its disk no longer responds and a deferred close would hang as well.
func (m *member) fatal(err error) {
	sayLast(m.config.logger, err)
	os.Exit(exitFailed)
}

// start starts the ports first, so that probes and peers get a response, then the node.
func (m *member) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.network.Start(m.node)
	go m.serveHTTP("api", func() error { return m.api.Serve(m.apiListener) })
	go m.serveHTTP("peer", func() error { return m.network.Serve(m.peerListener) })
	m.config.logger.Info("listening", "node", m.node.Status().ID, "api", m.apiListener.Addr().String(),
		"peer", m.peerListener.Addr().String())
	go func() {
		defer close(m.ended)
		m.err = m.node.Run(ctx)
		if failed := m.portErr.Load(); failed != nil {
			m.err = errors.Join(m.err, *failed)
		}
	}()
}

// serveHTTP serves a port. If a port fails the node stops: without its API it must not continue to lead.
func (m *member) serveHTTP(what string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) {
		m.config.logger.Error("the server of a port failed; this node stops", "port", what, "error", err)
		m.portErr.CompareAndSwap(nil, &err)
		m.cancel()
	}
}

// stop stops the member gracefully: it becomes not ready, transfers the leadership (unless the whole cluster stops),
// finishes its requests, and closes its disk.
func (m *member) stop(handOver bool) error {
	return m.stopAfter(context.Background(), handOver, 0)
}

// stopAfter is stop with a delay between the transfer and the end: clients take that long to see that the node is not
// ready, and to find another node (trap O25). The end of hurry ends the delay.
func (m *member) stopAfter(hurry context.Context, handOver bool, delay time.Duration) error {
	m.api.SetStopping()
	if handOver {
		m.handOver(hurry)
	}
	if delay > 0 {
		m.config.logger.Info("not ready; stops after the shutdown delay", "node", m.node.Status().ID, "in", delay)
		m.linger(hurry, delay)
		m.handOver(hurry) // this node may lead again by now
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := m.api.Shutdown(ctx); err != nil {
		m.config.logger.Warn("requests were cut off", "error", err)
	}
	m.cancel()
	<-m.ended
	closeErr := m.network.Close(ctx)
	err := errors.Join(m.err, closeErr)
	if err == nil {
		err = m.storage.Checkpoint()
	}
	err = errors.Join(err, m.close())
	if err == nil {
		m.config.logger.Info("stopped", "node", m.node.Status().ID)
	}
	return err
}

// linger waits for the delay, the end of the node, or hurry.
func (m *member) linger(hurry context.Context, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry.Done():
	case <-m.ended:
	}
}

// handOver transfers the leadership if this node has it. It takes a bounded time, and may fail: then the other
// members elect a leader.
func (m *member) handOver(hurry context.Context) {
	ctx, cancel := context.WithTimeout(hurry, stopTime)
	defer cancel()
	if err := m.node.TransferLeadership(ctx, 0); err != nil && !isNotLeader(err) {
		m.config.logger.Warn("leadership could not be transferred", "error", err)
	}
}

// isNotLeader reports whether there was no leadership to transfer, or no member to transfer it to.
func isNotLeader(err error) bool {
	return errors.Is(err, node.ErrNotLeader) || errors.Is(err, node.ErrNotReady) || errors.Is(err, node.ErrBadTarget)
}

// abort ends the member at once, as kill would, without a transfer and without finishing requests. It returns the
// reason if the node ended by itself.
func (m *member) abort() error {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = m.api.Shutdown(gone)
	m.cancel()
	<-m.ended
	_ = m.network.Close(gone)
	return errors.Join(m.err, m.close())
}

func (m *member) close() error {
	m.keysSaved.Wait()
	return m.storage.Close()
}

// release closes what openMember had opened before it failed.
func (m *member) release() {
	for _, l := range []net.Listener{m.apiListener, m.peerListener} {
		if l != nil {
			_ = l.Close()
		}
	}
	if m.storage != nil {
		_ = m.storage.Close()
	}
}
