package network_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/network"
)

// patience is how long a test waits for what must not happen. It is short, because a passing test waits for all of it.
const patience = 300 * time.Millisecond

// rig is three nodes behind proxies, each of which answers with its own number.
func rig(t *testing.T) *network.Proxies {
	t.Helper()
	p, err := network.NewProxies(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		l, err := net.Listen("tcp", p.ListenPeer(i))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, i)
		})}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	return p
}

// caller sends requests as one node does: on its own connections, with its name in the header.
type caller struct {
	*http.Client
	proxies *network.Proxies
	from    int
}

func call(p *network.Proxies, from int, timeout time.Duration) *caller {
	return &caller{&http.Client{Transport: &http.Transport{}, Timeout: timeout}, p, from}
}

// ask sends one request to a node. The header of the sender is not the first.
func (c *caller) ask(to int) error {
	request, err := http.NewRequest(http.MethodPost, c.proxies.PeerURL(to)+"/raft/v1/append-entries", nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-Kontiki-Cluster", "demo")
	request.Header.Set("X-Kontiki-From", fmt.Sprint(c.from+1))
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != fmt.Sprint(to) {
		return fmt.Errorf("node %d answers for node %d", to, body)
	}
	return err
}

// isTimeout reports whether nothing came: neither a response nor an error of the connection.
func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func TestACutIsSilentAndOnlyWhereItIs(t *testing.T) {
	t.Parallel()
	p := rig(t)
	one, two := call(p, 0, patience), call(p, 1, time.Minute)
	if err := errors.Join(one.ask(2), two.ask(2), two.ask(0)); err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(cut(3, [2]int{0, 2})); err != nil {
		t.Fatal(err)
	}
	if err := one.ask(2); !isTimeout(err) {
		t.Errorf("a request through a cut: got %v", err)
	}
	if err := errors.Join(one.ask(1), two.ask(2), two.ask(0)); err != nil {
		t.Errorf("the other links: %v", err)
	}
	// The answers of node 1 to node 3 travel the same way as its requests.
	if err := call(p, 2, patience).ask(0); !isTimeout(err) {
		t.Errorf("an answer through a cut: got %v", err)
	}
	if err := p.Apply(network.Clear(3)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(call(p, 0, time.Minute).ask(2), call(p, 2, time.Minute).ask(0)); err != nil {
		t.Errorf("after the cut: %v", err)
	}
}

func TestWhatACutHoldsUpArrivesLate(t *testing.T) {
	t.Parallel()
	p := rig(t)
	if err := p.Apply(cut(3, [2]int{0, 1})); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- call(p, 0, time.Minute).ask(1) }()
	select {
	case err := <-answered:
		t.Fatalf("answered through a cut: %v", err)
	case <-time.After(patience):
	}
	if err := p.Apply(network.Clear(3)); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("after the cut: %v", err)
	}
}

func TestSlowAndLossyLinks(t *testing.T) {
	t.Parallel()
	p := rig(t)
	m := network.Clear(3)
	m[0][1].Delay, m[1][0].Delay = patience, patience
	m[0][2].Loss = 1
	if err := p.Apply(m); err != nil {
		t.Fatal(err)
	}
	if err := call(p, 0, patience).ask(1); !isTimeout(err) {
		t.Errorf("a round trip in half its time: got %v", err)
	}
	if err := call(p, 0, time.Minute).ask(1); err != nil {
		t.Errorf("a round trip in its time: %v", err)
	}
	if err := call(p, 0, patience).ask(2); !isTimeout(err) {
		t.Errorf("a request that is lost: got %v", err)
	}
}

func TestWhoDoesNotSayWhichNodeItIsGetsNoAnswer(t *testing.T) {
	t.Parallel()
	p := rig(t)
	for _, url := range []string{p.PeerURL(0), p.PeerURL(1)} {
		response, err := http.Get(url)
		if err == nil {
			response.Body.Close()
			t.Errorf("%s answered an unidentified peer", url)
		}
	}
	if err := call(p, 6, time.Minute).ask(0); err == nil || isTimeout(err) {
		t.Errorf("node 7 of three: got %v", err)
	}
}
