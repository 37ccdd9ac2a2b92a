package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// names is a resolver and a network as a test wants them: each host leads to the listener of a node, or nowhere.
type names struct {
	mu    sync.Mutex
	leads map[string]string        // host to host:port; "": the dial hangs; no entry: no such host
	slow  map[string]time.Duration // how long it takes to connect to a host
	calls []string
}

func (n *names) set(host, address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leads[host] = address
}

func (n *names) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.calls = append(n.calls, host)
	to, known := n.leads[host]
	slow := n.slow[host]
	n.mu.Unlock()
	fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	switch {
	case !known:
		return fail(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
	case to == "":
		<-ctx.Done()
		return fail(ctx.Err())
	}
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return fail(ctx.Err())
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, to)
	if err != nil {
		return nil, err
	}
	return &placed{conn, host}, nil
}

// placed is a connection whose other end has the address of a host.
type placed struct {
	net.Conn
	host string
}

type place string

func (p place) Network() string { return "tcp" }
func (p place) String() string  { return net.JoinHostPort(string(p), "7080") }

func (p *placed) RemoteAddr() net.Addr { return place(p.host) }

// movedPeer is node 1 of three, which has a name as the address of node 2; node 2 listens where hint leads, and has
// called from there.
func movedPeer(t *testing.T, name string) (one, two, three *testNode, n *names) {
	t.Helper()
	n = &names{leads: map[string]string{}}
	nodes := newCluster(t, 3, func(cfg *Config) {
		cfg.Members = slices.Clone(cfg.Members)
		cfg.Members[1].Address = "http://" + name + ":7080"
		cfg.Key, cfg.Keys = keyOf(cfg.ID), knownKeys()
		if cfg.ID == 1 {
			cfg.RoundTripTimeout = time.Second
			cfg.DialContext = n.dial
		}
	})
	nodes[1].localHost = func(*http.Request) string { return "10.0.0.9" }
	start(t, nodes...)
	one, two, three = nodes[0], nodes[1], nodes[2]
	n.set("10.0.0.9", two.listener.Addr().String())
	one.callFrom(t, 2, "10.0.0.9:41234")
	return one, two, three, n
}

// keyOf is a node's key, the same in every test.
func keyOf(id raft.NodeID) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(id)}, ed25519.SeedSize))
}

// knownKeys are the public keys of nodes 1 to 3.
func knownKeys() map[raft.NodeID]ed25519.PublicKey {
	keys := map[raft.NodeID]ed25519.PublicKey{}
	for id := range raft.NodeID(3) {
		keys[id+1], _ = keyOf(id + 1).Public().(ed25519.PublicKey)
	}
	return keys
}

// proved accepts every program as the peer.
func proved(context.Context, *http1.Conn, string) error { return nil }

// callFrom gives the node a pre-vote of another, as if it came from a remote address.
func (n *testNode) callFrom(t *testing.T, from raft.NodeID, remote string) {
	t.Helper()
	self := n.who.Load().id
	m := raft.Message{Type: raft.MsgRequestVote, From: from, To: self, Term: 1, PreVote: true}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pathRequestVote,
		strings.NewReader(string(appendRequest(nil, &m))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header, r.RemoteAddr = identify(testCluster, from, self), remote
	n.Handler().ServeHTTP(&discarded{header: http.Header{}}, r)
}

type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}

// beats sends heartbeats, as a leader does, until the peer got one.
func beats(t *testing.T, from, to *testNode) {
	t.Helper()
	eventually(t, "the peer receives a heartbeat", func() bool {
		from.Send([]raft.Message{heartbeat(2, 1)})
		select {
		case <-to.fake.delivered:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
}

const podName = "demo-1.demo-peers.ns.svc.cluster.local."

func TestAPeerWithoutANameIsFoundWhereItCalledFrom(t *testing.T) { // O20
	t.Parallel()
	one, two, _, _ := movedPeer(t, podName) // the resolver still returns: no such host
	beats(t, one, two)
}

func TestAPeerBehindADeadAddressIsFoundWhereItCalledFrom(t *testing.T) { // O20
	t.Parallel()
	one, two, _, n := movedPeer(t, podName)
	n.set(podName, "") // the resolver still gives an address at which no pod is
	beats(t, one, two)
	if _, err := one.Status(t.Context(), 2); err != nil {
		t.Errorf("a question to the peer: %v", err)
	}
}

func TestAPeerWhoseNameLeadsToAnotherIsFoundWhereItCalledFrom(t *testing.T) { // O20
	t.Parallel()
	one, two, three, n := movedPeer(t, podName)
	n.set(podName, three.listener.Addr().String()) // another member has the address now
	beats(t, one, two)
	if len(three.fake.delivered) > 0 {
		t.Error("the other member took a message that was not for it")
	}
	eventually(t, "a proposal arrives too", func() bool {
		_, err := one.Status(t.Context(), 2)
		return err == nil
	})
}

// Behind a NAT a peer calls from an address at which it cannot be called.
func TestAWrongHintLeavesTheName(t *testing.T) { // O20
	t.Parallel()
	one, two, three, n := movedPeer(t, podName)
	n.set(podName, two.listener.Addr().String())
	n.set("10.0.0.9", three.listener.Addr().String())
	beats(t, one, two)
	if n.mu.Lock(); slices.Contains(n.calls, "10.0.0.9") {
		t.Error("the hint was tried though the name leads to the peer")
	}
	n.mu.Unlock()
}

func TestOfTwoWrongAddressesNoneIsKept(t *testing.T) { // O20
	t.Parallel()
	one, two, three, n := movedPeer(t, podName)
	n.set(podName, three.listener.Addr().String())
	n.set("10.0.0.9", three.listener.Addr().String())
	eventually(t, "both were tried", func() bool {
		one.Send([]raft.Message{heartbeat(2, 1)})
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.Contains(n.calls, podName) && slices.Contains(n.calls, "10.0.0.9")
	})
	n.set(podName, two.listener.Addr().String()) // the name is right again
	beats(t, one, two)
}

func TestAHintNeedsAValidRequest(t *testing.T) { // O20, H3
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	one := nodes[0]
	start(t, one)
	hint := one.who.Load().peers[2].where.hint.Load
	for what, change := range map[string]func(http.Header){
		"another cluster":  func(h http.Header) { h.Set(headerCluster, "other") },
		"another target":   func(h http.Header) { h.Set(headerTo, "3") },
		"another protocol": func(h http.Header) { h.Set(headerProtocol, "0") },
		"unknown sender":   func(h http.Header) { h.Set(headerFrom, "9") },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, pathRequestVote, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header, r.RemoteAddr = identify(testCluster, 2, 1), "10.6.6.6:1"
		change(r.Header)
		one.Handler().ServeHTTP(&discarded{header: http.Header{}}, r)
		if h := hint(); h != nil {
			t.Errorf("%s: the hint is %s now", what, *h)
		}
	}
	one.callFrom(t, 2, "10.0.0.2:1")
	if h := hint(); h == nil || *h != "10.0.0.2" {
		t.Error("a valid request gave no hint")
	}
}

func TestTheSecondAddressIsTriedAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer func() { _, _ = here.Close(), there.Close() }()
		dial := func(ctx context.Context, _, address string) (net.Conn, error) {
			if address == "10.0.0.9:7080" {
				return here, nil
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		w := newWhereabouts("http://"+podName+":7080", http1.Dialer{DialContext: dial}, proved)
		w.calledFrom("10.0.0.9:5")
		began := time.Now()
		conn, byName, err := w.connect(t.Context())
		if conn == nil || byName || err != nil || time.Since(began) != hintDelay {
			t.Errorf("got %v, %v after %v, want the hint's connection after %v", conn, err, time.Since(began), hintDelay)
		}
	})
}

func TestAnAttemptThatFailsTellsOfBothAddresses(t *testing.T) {
	t.Parallel()
	w := newWhereabouts("http://a:1", http1.Dialer{DialContext: (&names{}).dial}, proved)
	w.calledFrom("10.0.0.9:5")
	_, _, err := w.connect(t.Context())
	if err == nil || !strings.Contains(err.Error(), "lookup a:") || !strings.Contains(err.Error(), "lookup 10.0.0.9:") {
		t.Errorf("got %v", err)
	}
}

func TestANodeWithoutIdentityOnlyTellsThatItIsEmpty(t *testing.T) {
	t.Parallel()
	var members []identity.Member
	nodes := newCluster(t, 2, func(cfg *Config) {
		members = cfg.Members
		if cfg.ID == 1 {
			cfg.ID, cfg.ClusterID, cfg.Members = 0, "", nil
		}
	})
	one, two := nodes[0], nodes[1]
	one.fake.status.LifeCycle = api.StateEmpty
	toOne := raft.Message{Type: raft.MsgAppendEntries, From: 2, To: 1, Term: 1, RequestID: 1}
	start(t, one, two)

	status, err := two.Status(t.Context(), 1)
	if err != nil || status.LifeCycle != api.StateEmpty {
		t.Errorf("its status is %+v, %v", status, err)
	}
	two.Send([]raft.Message{toOne})
	next(t, two.fake.unreachable, "the report that the heartbeat was lost")
	if _, err := two.ReadIndex(t.Context(), 1, 1, false); !errors.Is(err, node.ErrNotReady) {
		t.Errorf("it answers a read with %v, want %v", err, node.ErrNotReady)
	}
	one.Send([]raft.Message{heartbeat(2, 1)})
	if len(one.fake.delivered) > 0 || len(one.Peers()) > 0 || one.QueueDepth(2) != 0 {
		t.Error("a node without identity took a message, or has peers")
	}

	one.Identify(1, testCluster, members)
	two.Send([]raft.Message{toOne})
	next(t, one.fake.delivered, "a heartbeat for the node that it is now")
	one.Send([]raft.Message{heartbeat(2, 1)})
	if m := next(t, two.fake.delivered, "a heartbeat from it"); m.From != 1 {
		t.Errorf("its heartbeat is from %d", m.From)
	}
	if peers := one.Peers(); !slices.Equal(peers, []raft.NodeID{2}) {
		t.Errorf("its peers are %v", peers)
	}
}

func TestIdentityComesOnceAndNotAfterTheEnd(t *testing.T) {
	t.Parallel()
	tr := New(Config{})
	tr.Start(newFakeNode())
	closeTransport(t, tr)
	tr.Identify(1, testCluster, []identity.Member{{ID: 2, Address: "http://127.0.0.1:1"}}) // starts nothing: see TestMain
	defer func() {
		if recover() == nil {
			t.Error("a second identity was taken")
		}
	}()
	tr.Identify(1, testCluster, nil)
}
