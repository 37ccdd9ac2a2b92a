package transport

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func heartbeat(to raft.NodeID, id uint64) raft.Message {
	return raft.Message{Type: raft.MsgAppendEntries, From: 1, To: to, Term: 1, RequestID: id}
}

func bulkAppend(to raft.NodeID, id uint64) raft.Message {
	m := heartbeat(to, id)
	m.Entries = entries(raft.Index(id), `{"op":"set"}`)
	return m
}

// A follower whose disk is slow over entries still receives the heartbeats of its leader.
func TestHeartbeatsPassHangingAppends(t *testing.T) { // H1
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	release := make(chan struct{})
	nodes[1].fake.deliver = func(_ context.Context, m raft.Message) (raft.Message, error) {
		if len(m.Entries) > 0 {
			<-release
		}
		return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1, RequestID: m.RequestID}, nil
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{bulkAppend(2, 1), bulkAppend(2, 2)})
	next(t, nodes[1].fake.delivered, "the entries")
	for id := uint64(100); id < 110; id++ {
		nodes[0].Send([]raft.Message{heartbeat(2, id)})
		if got := next(t, nodes[0].fake.received, "a heartbeat's answer"); got.RequestID != id {
			t.Fatalf("answer %d arrived, want %d", got.RequestID, id)
		}
	}
	close(release)
	for id := uint64(1); id <= 2; id++ {
		if got := next(t, nodes[0].fake.received, "the entries' answer"); got.RequestID != id {
			t.Errorf("answer %d arrived, want %d", got.RequestID, id)
		}
	}
}

// One heartbeat that is not answered does not hold up the next ones.
func TestHeartbeatsPassAHangingHeartbeat(t *testing.T) { // H1
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	release := make(chan struct{})
	defer close(release)
	nodes[1].fake.deliver = func(_ context.Context, m raft.Message) (raft.Message, error) {
		if m.RequestID == 1 {
			<-release
		}
		return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1, RequestID: m.RequestID}, nil
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{heartbeat(2, 1)})
	next(t, nodes[1].fake.delivered, "the first heartbeat")
	nodes[0].Send([]raft.Message{heartbeat(2, 2)})
	if got := next(t, nodes[0].fake.received, "the second one's answer"); got.RequestID != 2 {
		t.Errorf("answer %d arrived, want 2", got.RequestID)
	}
}

// With a window, that many requests with entries are on their way at once, and no more.
func TestBulkWindow(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.BulkWindow = 3 })
	release := make(chan struct{})
	nodes[1].fake.deliver = func(_ context.Context, m raft.Message) (raft.Message, error) {
		<-release
		return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1, RequestID: m.RequestID}, nil
	}
	start(t, nodes...)
	for id := uint64(1); id <= 5; id++ {
		nodes[0].Send([]raft.Message{bulkAppend(2, id)})
	}
	for range 3 {
		next(t, nodes[1].fake.delivered, "an append within the window")
	}
	if depth := nodes[0].QueueDepth(2); depth != 2 {
		t.Errorf("%d messages wait, want 2", depth)
	}
	close(release)
	for range 5 {
		next(t, nodes[0].fake.received, "an answer")
	}
}

// silentSecond makes node 2 a port that never answers.
func silentSecond(peer *silentPeer) func(*Config) {
	return func(cfg *Config) {
		cfg.Members = append([]identity.Member(nil), cfg.Members...)
		cfg.Members[1].Address = peer.url
	}
}

// The sender must never wait for a socket: it is the node's loop.
func TestAFullQueueDropsAndReports(t *testing.T) { // H2
	t.Parallel()
	silent := newSilentPeer(t)
	nodes := newCluster(t, 2, func(cfg *Config) {
		silentSecond(silent)(cfg)
		cfg.BulkQueue = 4
	})
	start(t, nodes[0])
	for id := uint64(1); id <= 100; id++ { // one on its way and four waiting, at most
		nodes[0].Send([]raft.Message{bulkAppend(2, id), heartbeat(2, id)})
	}
	if peer := next(t, nodes[0].fake.unreachable, "the report of dropped messages"); peer != 2 {
		t.Errorf("node %d is reported, want 2", peer)
	}
	if depth := nodes[0].QueueDepth(2); depth > 4+urgentQueue {
		t.Errorf("%d messages wait, more than the queues hold", depth)
	}
}

// A receiver that is stuck must not make Send wait: the node's loop calls one and serves the other.
func TestSendDoesNotWaitForTheReceiver(t *testing.T) { // T22
	t.Parallel()
	silent := newSilentPeer(t)
	nodes := newCluster(t, 2, func(cfg *Config) {
		silentSecond(silent)(cfg)
		cfg.BulkQueue = 1
	})
	nodes[0].fake.unreachable = make(chan raft.NodeID) // blocks until the test reads
	start(t, nodes[0])
	for id := uint64(1); id <= 1000; id++ {
		nodes[0].Send([]raft.Message{bulkAppend(2, id)})
	}
	next(t, nodes[0].fake.unreachable, "the report")
	go func() {
		for range nodes[0].fake.unreachable { // keeps the receiver going while the transport closes
		}
	}()
	closeTransport(t, nodes[0].Transport)
	close(nodes[0].fake.unreachable)
}

// A connection whose exchange timed out is closed: its late answer would be taken for the next one's.
func TestATimedOutConnectionIsClosed(t *testing.T) { // H2
	t.Parallel()
	silent := newSilentPeer(t)
	nodes := newCluster(t, 2, func(cfg *Config) {
		silentSecond(silent)(cfg)
		cfg.RoundTripTimeout = 20 * time.Millisecond
	})
	start(t, nodes[0])
	for range 3 {
		nodes[0].Send([]raft.Message{bulkAppend(2, 1)})
		next(t, nodes[0].fake.unreachable, "the report")
	}
	eventually(t, "every connection is closed", func() bool { return silent.open.Load() == 0 })
	if silent.all.Load() < 3 {
		t.Errorf("%d connections for three time-outs", silent.all.Load())
	}
}

// What waits behind an append that failed continues a log that the peer does not have. Waiting out each in turn
// would keep the peer from what the core sends next.
func TestAFailureEmptiesTheBulkQueue(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	fail := make(chan struct{})
	nodes[1].fake.deliver = func(_ context.Context, m raft.Message) (raft.Message, error) {
		if m.RequestID < 10 {
			<-fail
			return raft.Message{}, node.ErrNotReady
		}
		return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1, RequestID: m.RequestID}, nil
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{bulkAppend(2, 1), bulkAppend(2, 2), bulkAppend(2, 3)})
	next(t, nodes[1].fake.delivered, "the first append")
	close(fail)
	next(t, nodes[0].fake.unreachable, "the report")
	nodes[0].Send([]raft.Message{bulkAppend(2, 10)})
	if got := next(t, nodes[1].fake.delivered, "the append after the failure"); got.RequestID != 10 {
		t.Errorf("append %d was sent, want 10", got.RequestID)
	}
}

// A peer that takes requests and never answers wedges nothing: the others are served, and Close returns.
func TestASilentPeerWedgesNothing(t *testing.T) { // T22
	t.Parallel()
	silent := newSilentPeer(t)
	nodes := newCluster(t, 3, silentSecond(silent))
	start(t, nodes[0], nodes[2])
	for id := uint64(1); id <= 20; id++ {
		nodes[0].Send([]raft.Message{bulkAppend(2, id), heartbeat(2, id)})
	}
	failed := make(chan error, 3)
	go func() {
		_, err := nodes[0].Propose(context.Background(), 2, [][]byte{[]byte(`1`)})
		failed <- err
	}()
	eventually(t, "the silent peer has requests of every kind", func() bool {
		return silent.open.Load() >= 3 && silent.proposals.Load() > 0
	})
	nodes[0].Send([]raft.Message{bulkAppend(3, 7)})
	if got := next(t, nodes[0].fake.received, "the other peer's answer"); got.From != 3 || got.RequestID != 7 {
		t.Errorf("got %+v, want node 3's answer to request 7", got)
	}
	closeTransport(t, nodes[0].Transport)
	if err := next(t, failed, "the end of the proposal"); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want %v", err, node.ErrOutcomeUnknown)
	}
}

// Close also ends the requests that wait for this node's answer.
func TestCloseEndsWaitingRequests(t *testing.T) { // T22
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.deliver = func(ctx context.Context, _ raft.Message) (raft.Message, error) {
		<-ctx.Done()
		return raft.Message{}, node.ErrNotReady
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{heartbeat(2, 1)})
	next(t, nodes[1].fake.delivered, "the heartbeat")
	closeTransport(t, nodes[1].Transport)
	next(t, nodes[0].fake.unreachable, "the report")
}

func TestCuttingTheNetwork(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	for _, n := range nodes {
		n.fake.propose = func(context.Context, [][]byte) []node.Outcome { return nil }
	}
	start(t, nodes...)

	nodes[0].SetBlocked(map[raft.NodeID]bool{2: true, 3: false})
	nodes[0].Send([]raft.Message{heartbeat(2, 1), heartbeat(3, 2)})
	if got := next(t, nodes[0].fake.received, "node 3's answer"); got.From != 3 {
		t.Errorf("node %d answered through a cut network", got.From)
	}
	next(t, nodes[0].fake.unreachable, "the report")
	if _, err := nodes[0].Propose(t.Context(), 2, nil); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("a proposal to a peer that is cut off: got %v, want %v", err, node.ErrNotSent)
	}
	if _, err := nodes[1].Propose(t.Context(), 1, nil); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("a proposal from a peer that is cut off: got %v, want %v", err, node.ErrOutcomeUnknown)
	}

	nodes[0].SetBlocked(nil)
	nodes[0].Send([]raft.Message{heartbeat(2, 3)})
	if got := next(t, nodes[0].fake.received, "node 2's answer"); got.From != 2 || got.RequestID != 3 {
		t.Errorf("got %+v, want node 2's answer to request 3", got)
	}
	if len(nodes[1].fake.delivered) != 1 {
		t.Errorf("node 2 saw %d requests, want only the one after the cut", len(nodes[1].fake.delivered))
	}
}

// An answer that is on its way when the network is cut does not arrive.
func TestCuttingTheNetworkLosesAnswers(t *testing.T) {
	t.Parallel()
	for _, side := range []int{0, 1} {
		nodes := newCluster(t, 2, nil)
		release := make(chan struct{})
		nodes[1].fake.deliver = func(context.Context, raft.Message) (raft.Message, error) {
			<-release
			return raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1}, nil
		}
		start(t, nodes...)
		nodes[0].Send([]raft.Message{heartbeat(2, 1)})
		next(t, nodes[1].fake.delivered, "the heartbeat")
		nodes[side].SetBlocked(map[raft.NodeID]bool{1: true, 2: true})
		close(release)
		next(t, nodes[0].fake.unreachable, "the report")
		if len(nodes[0].fake.received) > 0 {
			t.Error("the answer came through a cut network")
		}
	}
}

// syncBuffer is a buffer that a logger may write to while a test reads it.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A peer of another cluster does not come back by itself, so it is worth a line; but one, not one per heartbeat.
func TestRefusalIsLoggedOnce(t *testing.T) { // H3
	t.Parallel()
	var log syncBuffer
	nodes := newCluster(t, 2, func(cfg *Config) {
		if cfg.ID == 1 {
			cfg.ClusterID = "another"
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}
	})
	start(t, nodes...)
	for id := uint64(1); id <= 3; id++ {
		nodes[0].Send([]raft.Message{heartbeat(2, id)})
		next(t, nodes[0].fake.unreachable, "the report")
	}
	eventually(t, "the refusal is logged", func() bool {
		return strings.Contains(log.String(), string(api.CodeClusterMismatch))
	})
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines, want 1:\n%s", lines, log.String())
	}
}
