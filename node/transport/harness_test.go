package transport

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// TestMain fails the package if its tests leave goroutines of a transport or of its connections behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftGoroutines(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines that outlive their transport:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftGoroutines gives the stacks of goroutines that still work for a transport, once they had time to end.
func leftGoroutines() string {
	var left []byte
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		left = nil
		for i, stack := range bytes.Split(stacks, []byte("\n\n")) {
			ours := bytes.Contains(stack, []byte("transport.(*")) || bytes.Contains(stack, []byte("net/http."))
			if i > 0 && ours { // the first one is this goroutine
				left = append(append(left, stack...), "\n\n"...)
			}
		}
		if left == nil {
			return ""
		}
	}
	return string(left)
}

const testCluster = "kontiki-test"

// testTimeout is how long a test waits for what must happen; nothing waits for it to pass.
const testTimeout = 20 * time.Second

// fakeNode is a Receiver whose answers a test sets before it starts.
type fakeNode struct {
	genesis     func() (identity.GenesisAnswer, error)
	received    chan raft.Message
	unreachable chan raft.NodeID
	delivered   chan raft.Message

	deliver   func(ctx context.Context, m raft.Message) (raft.Message, error)
	propose   func(ctx context.Context, commands [][]byte) []node.Outcome
	readIndex func(ctx context.Context, from raft.NodeID, term raft.Term) (raft.Index, error)
	transfer  func(ctx context.Context, term raft.Term, to raft.NodeID) error
	snapshot  func(ctx context.Context, c snapshot.Chunk) (snapshot.Answer, error)
	change    func(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error)
	offer     func(offer identity.Offer) error
	vacant    chan raft.NodeID
	status    node.PeerStatus
}

func newFakeNode() *fakeNode {
	return &fakeNode{
		received:    make(chan raft.Message, 1000),
		unreachable: make(chan raft.NodeID, 1000),
		vacant:      make(chan raft.NodeID, 1000),
		delivered:   make(chan raft.Message, 1000),
		deliver: func(_ context.Context, m raft.Message) (raft.Message, error) {
			return raft.Message{Type: responseTo(m.Type), Term: m.Term, RequestID: m.RequestID}, nil
		},
	}
}

func (n *fakeNode) Receive(m raft.Message)        { n.received <- m }
func (n *fakeNode) Unreachable(peer raft.NodeID)  { n.unreachable <- peer }
func (n *fakeNode) NoIdentity(peer raft.NodeID)   { n.vacant <- peer }
func (n *fakeNode) HandleStatus() node.PeerStatus { return n.status }

func (n *fakeNode) HandleMemberChange(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	return n.change(ctx, change)
}

func (n *fakeNode) HandleOffer(_ context.Context, offer identity.Offer) error { return n.offer(offer) }

func (n *fakeNode) Deliver(ctx context.Context, m raft.Message) (raft.Message, error) {
	n.delivered <- m
	return n.deliver(ctx, m)
}

func (n *fakeNode) HandlePropose(ctx context.Context, commands [][]byte) []node.Outcome {
	return n.propose(ctx, commands)
}

func (n *fakeNode) HandleGenesis(context.Context, identity.GenesisRequest) (identity.GenesisAnswer, error) {
	if n.genesis == nil {
		return identity.GenesisAnswer{}, node.ErrNotReady
	}
	return n.genesis()
}

func (n *fakeNode) HandleReadIndex(ctx context.Context, from raft.NodeID, term raft.Term, lease bool) (
	raft.ReadPoint, error,
) {
	index, err := n.readIndex(ctx, from, term)
	return raft.ReadPoint{Index: index, Leased: lease}, err
}

func (n *fakeNode) HandleStateDigest(_ context.Context, index raft.Index) (divergence.State, error) {
	return divergence.State{Index: index, Known: true, Digest: 1<<64 - 1}, nil
}

func (n *fakeNode) HandleFingerprint(_ context.Context, _ raft.NodeID, f divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	return divergence.Fingerprint{Index: f.Index, Term: f.Term + 1, Digest: f.Digest + 1}, nil
}

func (n *fakeNode) TransferLeadershipIn(ctx context.Context, term raft.Term, to raft.NodeID) error {
	return n.transfer(ctx, term, to)
}

func (n *fakeNode) HandleSnapshot(ctx context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
	return n.snapshot(ctx, c)
}

// testNode is one transport on loopback with its fake node.
type testNode struct {
	*Transport
	fake     *fakeNode
	listener net.Listener
	url      string
}

// listen opens a loopback port until the test ends.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newCluster makes transports of nodes 1..size; start begins to serve and send. Adjust changes a node's
// configuration.
func newCluster(t *testing.T, size int, adjust func(*Config)) []*testNode {
	t.Helper()
	nodes := make([]*testNode, 0, size)
	members := make([]identity.Member, 0, size)
	for i := range size {
		l := listen(t)
		url := "http://" + l.Addr().String()
		nodes = append(nodes, &testNode{fake: newFakeNode(), listener: l, url: url})
		members = append(members, identity.Member{ID: raft.NodeID(i + 1), Address: url})
	}
	for i, n := range nodes {
		cfg := Config{ID: raft.NodeID(i + 1), ClusterID: testCluster, Members: members, RoundTripTimeout: testTimeout}
		if adjust != nil {
			adjust(&cfg)
		}
		n.Transport = New(cfg)
		t.Cleanup(func() { closeTransport(t, n.Transport) })
	}
	return nodes
}

func closeTransport(t *testing.T, tr *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// start gives every node its receiver and serves its port.
func start(t *testing.T, nodes ...*testNode) {
	t.Helper()
	for _, n := range nodes {
		n.Start(n.fake)
		served := make(chan error, 1)
		go func() { served <- n.Serve(n.listener) }()
		t.Cleanup(func() {
			closeTransport(t, n.Transport)
			if err := <-served; err != nil {
				t.Errorf("serve: %v", err)
			}
			eventually(t, "the requests have released their memory", func() bool { return n.cfg.Memory.Used() == 0 })
		})
	}
}

// next waits for something to come out of a channel.
func next[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testTimeout):
		t.Fatalf("gave up waiting for %s", what)
		panic("unreachable")
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testTimeout); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// silentPeer is a port that takes connections and requests and never answers. It counts the connections that
// are open, and the proposals that came.
type silentPeer struct {
	url       string
	open      atomic.Int64
	all       atomic.Int64
	proposals atomic.Int64
}

func newSilentPeer(t *testing.T) *silentPeer {
	l := listen(t)
	s := &silentPeer{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.open.Add(1)
			s.all.Add(1)
			go func() {
				defer s.open.Add(-1)
				defer conn.Close()
				buffer := make([]byte, 4096)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					if bytes.HasPrefix(buffer[:n], []byte("POST "+pathPropose)) {
						s.proposals.Add(1)
					}
				}
			}()
		}
	}()
	return s
}

func entries(first raft.Index, commands ...string) []raft.Entry {
	list := make([]raft.Entry, 0, len(commands))
	for i, c := range commands {
		list = append(list, raft.Entry{
			Index: first + raft.Index(i), Term: 3, Type: entryjson.TypeOf([]byte(c)),
			Timestamp: 1_790_000_000_123_456 + int64(i), Command: []byte(c),
		})
	}
	return list
}
