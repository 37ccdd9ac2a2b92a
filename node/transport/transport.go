package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Config is the configuration of a transport. Zero values take the defaults.
type Config struct {
	// ID is this node, ClusterID the cluster that it belongs to; every request is checked against both (trap H3). With
	// an ID of 0 they are not known yet: Identify sets them, and the members.
	ID        raft.NodeID
	ClusterID string
	// Members are the members of the cluster, this node included or not. Only they may talk to this node, but for the
	// messages of Raft: the configuration of a sender may be newer.
	Members []identity.Member
	// MaxBodyBytes bounds the body of a request or an answer (trap H4); 16 MiB by default.
	MaxBodyBytes int64
	// RoundTripTimeout bounds one exchange of a Raft message, 1 s by default. Bodies get another second per MiB.
	RoundTripTimeout time.Duration
	// BulkWindow is how many requests with entries may be unanswered per peer, 1 by default: the followers of a
	// fast network batch better that way. BulkQueue is how many may wait for their turn, 64 by default.
	BulkWindow int
	BulkQueue  int
	// DialContext makes connections; nil: a net.Dialer, which looks names up each time.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Hosts are further names of this node that a request may have in its Host header, beside the hosts of the members'
	// addresses: an address that the members do not have yet.
	Hosts []string
	// Key is this node's own, kept on its disk: with it the node proves who it is at a host to which its name does not
	// lead (yet). Nil: it is found by its name only.
	Key ed25519.PrivateKey
	// Keys are the known keys of the peers. LearnedKey, if not nil, is called with each that is learned.
	Keys       map[raft.NodeID]ed25519.PublicKey
	LearnedKey func(peer raft.NodeID, key ed25519.PublicKey)
	// Greet makes the node call every peer as it starts, so that they learn where it is: for nodes whose names may lead
	// to where they were before (trap O20).
	Greet bool
	// ObserveRoundTrip, if not nil, is called with the duration of each successful exchange of a Raft message.
	ObserveRoundTrip func(peer raft.NodeID, d time.Duration)
	// Logger gets a line when a peer refuses our requests. By default nothing is logged.
	Logger *slog.Logger
	// Memory is what requests and answers may hold, and Connections what Serve accepts; all transports of a process share
	// one of each. Nil: one of the transport's own, from the limits of the process.
	Memory      *budget.Memory
	Connections *budget.Connections
}

// Receiver is the node, as its transport needs it. All methods may be called from many goroutines at once.
type Receiver interface {
	// Receive takes the response to a message that was sent.
	Receive(m raft.Message)
	// Unreachable reports that one or more messages to the peer were lost, or probably were.
	Unreachable(peer raft.NodeID)
	// Deliver steps a request that came in and waits for its response. An error means that there is none.
	Deliver(ctx context.Context, m raft.Message) (raft.Message, error)
	// HandlePropose appends the commands that a follower forwards and waits for their outcomes, one for each.
	HandlePropose(ctx context.Context, commands [][]byte) []node.Outcome
	// HandleReadIndex returns a confirmed read index (thesis 6.4) to a follower that asks in a term, if this node
	// leads. If lease is true, its lease may confirm it.
	HandleReadIndex(ctx context.Context, from raft.NodeID, term raft.Term, lease bool) (raft.ReadPoint, error)
	// HandleGenesis answers a member that founds the cluster, or asks whether it is founded.
	HandleGenesis(ctx context.Context, r identity.GenesisRequest) (identity.GenesisAnswer, error)
	// HandleFingerprint returns this node's fingerprint to a member that found another log than its own.
	HandleFingerprint(ctx context.Context, from raft.NodeID, theirs divergence.Fingerprint) (divergence.Fingerprint, error)
	// HandleStateDigest returns the digest of this node's state after the check entry at an index, to a member that
	// compares the states.
	HandleStateDigest(ctx context.Context, index raft.Index) (divergence.State, error)
	// TransferLeadershipIn hands the leadership of a term over, for a follower that was asked to; 0: of any term, and to
	// the best follower.
	TransferLeadershipIn(ctx context.Context, term raft.Term, to raft.NodeID) error
	// HandleMemberChange changes the members, for a member that was asked to, if this node leads.
	HandleMemberChange(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error)
	// HandleOffer makes this node a member if it is empty and was started to join.
	HandleOffer(ctx context.Context, offer identity.Offer) error
	// NoIdentity reports that the node at the peer's address has no identity.
	NoIdentity(peer raft.NodeID)
	// HandleSnapshot takes a part of a snapshot. The data is its own, but is charged only until it returns. An error that
	// wraps raft.ErrBadMessage means that no correct leader sends the chunk.
	HandleSnapshot(ctx context.Context, c snapshot.Chunk) (snapshot.Answer, error)
	// HandleStatus returns how the node sees itself.
	HandleStatus() node.PeerStatus
}

// Transport carries messages between this node and its peers. It implements node.Transport.
type Transport struct {
	cfg    Config
	log    *slog.Logger
	who    atomic.Pointer[membership]
	server *http.Server
	hosts  []string // of the configuration, as address.HostOf returns them
	// localHost returns the host at which a request arrived; tests have another.
	localHost func(*http.Request) string

	founders string     // as Founded got it; guarded by mu
	mu       sync.Mutex // held while the peers change or start, so that none starts after Close
	closed   bool

	// receiver is nil until Start.
	receiver atomic.Pointer[Receiver]
	blocked  atomic.Pointer[map[raft.NodeID]bool]

	ctx     context.Context // ends when the transport closes
	cancel  context.CancelFunc
	running sync.WaitGroup
}

var _ node.Transport = (*Transport)(nil)

// New returns a transport. It sends and answers nothing before Start.
func New(cfg Config) *Transport {
	cfg.MaxBodyBytes = defaultTo(cfg.MaxBodyBytes, 16<<20)
	cfg.RoundTripTimeout = defaultTo(cfg.RoundTripTimeout, time.Second)
	cfg.BulkWindow = defaultTo(cfg.BulkWindow, 1)
	cfg.BulkQueue = defaultTo(cfg.BulkQueue, 64)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Memory == nil {
		cfg.Memory = budget.DefaultMemory()
	}
	if cfg.Connections == nil {
		cfg.Connections = budget.NewConnections(budget.DefaultLimits(1), cfg.Memory, cfg.Logger)
	}
	t := &Transport{cfg: cfg, log: cfg.Logger, localHost: localHost}
	for _, host := range cfg.Hosts {
		t.hosts = append(t.hosts, address.HostOf(host))
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.who.Store(none)
	if cfg.ID != 0 {
		t.Identify(cfg.ID, cfg.ClusterID, cfg.Members)
	}
	t.server = t.newServer()
	return t
}

func defaultTo[T int | int64 | time.Duration](value, byDefault T) T {
	if value > 0 {
		return value
	}
	return byDefault
}

// Start sets the node of the transport and begins to send. It is called once.
func (t *Transport) Start(r Receiver) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.receiver.Store(&r)
	if !t.closed {
		t.who.Load().start(none)
	}
}

// Serve answers the peers on l until Close, after which it returns nil.
func (t *Transport) Serve(l net.Listener) error {
	if err := t.server.Serve(t.cfg.Connections.Peers(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends every exchange and connection, and waits for the goroutines that used them, until ctx ends. A peer
// that does not answer does not hold it up (trap T22). Only the receiver can, by not returning.
func (t *Transport) Close(ctx context.Context) error {
	t.cancel()
	t.mu.Lock()
	t.closed = true
	for _, p := range t.who.Load().peers {
		p.stop()
	}
	t.mu.Unlock()
	err := t.server.Shutdown(ctx)
	if err != nil {
		_ = t.server.Close() // its listeners are closed already; what is left are connections
	}
	stopped := make(chan struct{})
	go func() {
		t.running.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
}

// SetBlocked cuts the network to these peers, until it is called again: what goes to them is lost, and what comes
// from them is not answered. It replaces what was blocked before.
func (t *Transport) SetBlocked(blocked map[raft.NodeID]bool) {
	own := make(map[raft.NodeID]bool, len(blocked))
	for id, cut := range blocked {
		own[id] = cut
	}
	t.blocked.Store(&own)
}

func (t *Transport) isBlocked(peer raft.NodeID) bool {
	blocked := t.blocked.Load()
	return blocked != nil && (*blocked)[peer]
}

// QueueDepth is the number of messages that wait to be sent to the peer, 0 for one that is not known.
func (t *Transport) QueueDepth(peer raft.NodeID) int {
	p, ok := t.who.Load().peers[peer]
	if !ok {
		return 0
	}
	return p.urgent.queue.depth() + p.bulk.queue.depth()
}

// Send hands messages to the queues of their targets and never blocks. Messages to a node that is no member are
// dropped, as there is no peer to report on.
func (t *Transport) Send(messages []raft.Message) {
	peers := t.who.Load().peers
	for i := range messages {
		if p, ok := peers[messages[i].To]; ok {
			p.send(&messages[i])
		}
	}
}
