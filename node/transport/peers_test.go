package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// membersOf returns the members that nodes are, with ids from 1.
func membersOf(nodes ...*testNode) []identity.Member {
	members := make([]identity.Member, 0, len(nodes))
	for i, n := range nodes {
		members = append(members, identity.Member{ID: raft.NodeID(i + 1), Address: n.url})
	}
	return members
}

func TestARemovedPeerIsNoPeer(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	start(t, nodes...)
	one, two := nodes[0], nodes[1]
	one.Send([]raft.Message{heartbeat(2, 1), heartbeat(3, 1)})
	next(t, two.fake.delivered, "the heartbeat before")
	next(t, nodes[2].fake.delivered, "the heartbeat before")
	next(t, one.fake.received, "its answer")
	next(t, one.fake.received, "its answer")
	left := one.who.Load().peers[2]

	one.SetPeers([]identity.Member{{ID: 1, Address: one.url}, {ID: 3, Address: nodes[2].url}})

	for _, l := range append(left.urgent.links, left.bulk.links...) {
		l.mu.Lock()
		if l.conn != nil || !l.closed {
			t.Error("a link to the removed peer is open")
		}
		l.mu.Unlock()
	}
	if got := one.Peers(); !slices.Equal(got, []raft.NodeID{3}) {
		t.Errorf("the peers are %v, want 3 only", got)
	}
	one.Send([]raft.Message{heartbeat(2, 2), heartbeat(3, 2)})
	next(t, nodes[2].fake.delivered, "the heartbeat for the peer that stays")
	if one.QueueDepth(2) != 0 || len(one.fake.unreachable) > 0 || len(two.fake.delivered) > 0 {
		t.Error("a message to a removed peer was queued, reported or sent")
	}
	if _, err := one.Propose(t.Context(), 2, oneCommand); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("a proposal to it: got %v, want %v", err, node.ErrNotSent)
	}
	if _, err := two.ReadIndex(t.Context(), 1, 1, false); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("its own request: got %v, want a refusal, which is %v", err, node.ErrNotSent)
	}
}

func TestAnAddedPeerIsOne(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	members := membersOf(nodes...)
	one, three := nodes[0], nodes[2]
	one.SetPeers(members[:2])
	start(t, nodes...)
	one.Send([]raft.Message{heartbeat(3, 1)})
	stays := one.who.Load().peers[2]

	one.SetPeers(members)

	one.Send([]raft.Message{heartbeat(3, 2)})
	if m := next(t, three.fake.delivered, "a heartbeat"); m.RequestID != 2 {
		t.Errorf("heartbeat %d arrived, want only the second", m.RequestID)
	}
	if _, err := three.Status(t.Context(), 1); err != nil {
		t.Errorf("its own request: %v", err)
	}
	if one.who.Load().peers[2] != stays || stays.ctx.Err() != nil {
		t.Error("the peer that stayed was replaced")
	}
}

func TestTheLinksOfAPeerThatStaysAreKept(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	start(t, nodes...)
	one, members := nodes[0], membersOf(nodes...)
	one.Send([]raft.Message{bulkAppend(2, 1)})
	next(t, one.fake.received, "the answer before")
	kept := one.who.Load().peers[2].bulk.links[0]
	conn := kept.conn

	members[1].APIAddress = "http://other:8080" // which is not what the links depend on
	one.SetPeers(members[:2])

	one.Send([]raft.Message{bulkAppend(2, 2)})
	next(t, one.fake.received, "the answer after")
	if kept.conn != conn || len(one.fake.unreachable) > 0 {
		t.Error("the link was replaced, or a loss reported")
	}
}

// The messages that were lost with the old links are reported, and the key with which the peer proves itself stays.
func TestAPeerWithAnotherAddressGetsOtherLinks(t *testing.T) {
	t.Parallel()
	silent := newSilentPeer(t)
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Keys = knownKeys()
		if cfg.ID == 1 {
			cfg.Members = slices.Clone(cfg.Members)
			cfg.Members[1].Address = silent.url
		}
	})
	start(t, nodes...)
	one, two := nodes[0], nodes[1]
	one.Send([]raft.Message{bulkAppend(2, 1)})
	eventually(t, "the message arrives at the old address", func() bool { return silent.open.Load() == 1 })
	old := one.who.Load().peers[2]

	one.SetPeers(membersOf(nodes...))

	next(t, one.fake.unreachable, "the report that it was lost")
	old.send(&raft.Message{Type: raft.MsgRequestVote, To: 2}) // of a Send that began before
	next(t, one.fake.unreachable, "the report that a late message was lost")
	one.Send([]raft.Message{bulkAppend(2, 2)})
	if m := next(t, two.fake.delivered, "a message at the new address"); m.RequestID != 2 {
		t.Errorf("message %d arrived, want 2", m.RequestID)
	}
	eventually(t, "the old connection is closed", func() bool { return silent.open.Load() == 0 })
	if key := one.who.Load().peers[2].key.Load(); key == nil || !key.Equal(knownKeys()[2]) {
		t.Error("the peer's key was forgotten")
	}
}

func TestACallToARemovedPeerEnds(t *testing.T) { // T49
	t.Parallel()
	silent := newSilentPeer(t)
	n := sender(t, silent.url)
	failed := make(chan error, 1)
	go func() {
		_, err := n.Propose(t.Context(), 2, oneCommand)
		failed <- err
	}()
	eventually(t, "the proposal arrives", func() bool { return silent.proposals.Load() == 1 })
	n.SetPeers(nil)
	if err := next(t, failed, "its end"); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want %v", err, node.ErrOutcomeUnknown)
	}
	eventually(t, "its connection is closed", func() bool { return silent.open.Load() == 0 })
}

// The connections of calls that have ended are closed as well when their peer is removed.
func TestTheIdleConnectionsOfARemovedPeerAreClosed(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.propose = func(_ context.Context, commands [][]byte) []node.Outcome {
		return make([]node.Outcome, len(commands))
	}
	var open atomic.Int64
	account := nodes[1].server.ConnState
	nodes[1].server.ConnState = func(conn net.Conn, state http.ConnState) {
		account(conn, state)
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	start(t, nodes...)
	if _, err := nodes[0].Propose(t.Context(), 2, oneCommand); err != nil || open.Load() != 1 {
		t.Fatalf("%d connections, %v", open.Load(), err)
	}
	nodes[0].SetPeers(nil)
	eventually(t, "the connection is closed", func() bool { return open.Load() == 0 })
}

// A peer that moves keeps its key, with which it proves who it is there, and the caller's list may change afterwards.
func TestAPeerThatMovesKeepsItsKey(t *testing.T) {
	t.Parallel()
	members := []identity.Member{{ID: 1, Address: "http://h1:1"}, {ID: 2, Address: "http://h2:1"}}
	tr := New(Config{ID: 1, ClusterID: testCluster, Members: members})
	t.Cleanup(func() { closeTransport(t, tr) })
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	tr.who.Load().peers[2].key.Store(&key)
	members = slices.Clone(members)
	members[1].Address = "http://h3:1"
	tr.SetPeers(members)
	members[1].Address = "http://h4:1"
	who := tr.who.Load()
	if who.peers[2].key.Load() != &key || who.peers[2].member.Address != "http://h3:1" {
		t.Errorf("the key is %v, and the peer is %+v", who.peers[2].key.Load(), who.peers[2].member)
	}
}

// The transport is not closed: a goroutine of a removed peer that did not end would be left in the bubble.
func TestTheGoroutinesOfRemovedPeersEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		members := []identity.Member{{ID: 1, Address: "http://a:1"}, {ID: 2, Address: "http://b:1"}}
		tr := New(Config{
			ID: 1, ClusterID: testCluster, Members: members, Greet: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		})
		tr.Start(newFakeNode())
		tr.Send([]raft.Message{heartbeat(2, 1), bulkAppend(2, 2)})
		synctest.Wait()
		members[1].Address = "http://c:1"
		tr.SetPeers(members)
		tr.Send([]raft.Message{heartbeat(2, 3)})
		synctest.Wait()
		tr.SetPeers(members[:1])
	})
}

func TestTheHostsAreThoseOfTheMembers(t *testing.T) {
	t.Parallel()
	tr := lonely(t, newFakeNode())
	ask := func(host string) bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pathStatus, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		return tr.foreign(r) == nil
	}
	if !ask("h3:7080") || ask("h4:7080") {
		t.Fatal("the hosts of the first members are not those that are accepted")
	}
	tr.SetPeers([]identity.Member{{ID: 2, Address: "http://h2:7080"}, {ID: 4, Address: "http://h4:7080"}})
	if ask("h3:7080") || !ask("h4:7080") {
		t.Error("the hosts of the members before are those that are accepted")
	}
}

func TestPeersNeedAnIdentityAndNoneStartAfterTheEnd(t *testing.T) {
	t.Parallel()
	tr := New(Config{})
	tr.Start(newFakeNode())
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a node without identity took peers")
			}
		}()
		tr.SetPeers(nil)
	}()
	tr.Identify(1, testCluster, nil)
	closeTransport(t, tr)
	tr.SetPeers([]identity.Member{{ID: 2, Address: "http://127.0.0.1:1"}}) // starts nothing: see TestMain
}

// Members change while everything else goes on. What is sent arrives or is reported, and nothing panics.
func TestPeersChangeWhileTheyAreUsed(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, func(cfg *Config) { cfg.RoundTripTimeout = time.Second })
	one, members := nodes[0], membersOf(nodes...)
	moved := slices.Clone(members)
	moved[1].Address = "http://localhost:" + moved[1].Address[len("http://127.0.0.1:"):]
	for _, n := range nodes {
		n.fake.propose = func(_ context.Context, commands [][]byte) []node.Outcome {
			return make([]node.Outcome, len(commands))
		}
		n.fake.received, n.fake.delivered = make(chan raft.Message, 1<<16), make(chan raft.Message, 1<<16)
		n.fake.unreachable = make(chan raft.NodeID, 1<<16)
	}
	start(t, nodes...)
	var users sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for _, use := range []func(){
		func() { one.Send([]raft.Message{heartbeat(2, 1), bulkAppend(3, 1)}) },
		func() { nodes[1].Send([]raft.Message{{Type: raft.MsgRequestVote, From: 2, To: 1, Term: 1}}) },
		func() { _, _ = one.Propose(ctx, 2, oneCommand) },
		func() { _, _ = nodes[2].Status(ctx, 1) },
		func() { one.QueueDepth(2); one.Peers(); one.Mismatch() },
	} {
		users.Go(func() {
			for ctx.Err() == nil {
				use()
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	for i := range 60 {
		one.SetPeers([][]identity.Member{members, members[:2], moved, {members[0]}}[i%4])
		time.Sleep(time.Millisecond)
	}
	cancel()
	users.Wait()
	one.SetPeers(members)
	beats(t, one, nodes[1])
}
