package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// network joins a client to the nodes of a fake cluster, all in one process and in fake time (testing/synctest). Like
// Kubernetes it has a Service, one address for several nodes, and addresses that lead nowhere.
type network struct {
	*clienttest.Cluster
	hosts []*host // of the nodes, in their order

	mu      sync.Mutex
	service []*host // what stands behind serviceURL: the next connection goes to the next one
	turn    int
	dials   map[string]int // how many connections were begun, by address
}

const serviceURL, serviceAddress = "http://service:8080", "service:8080"

// host is a node in the network.
type host struct {
	address string
	server  *http.Server
	accept  chan net.Conn
	end     sync.Once
	ended   chan struct{}
	gone    bool          // no connection to its address comes about, nor is it refused
	silent  chan struct{} // not nil: packets to and from it vanish, until it is closed
	conns   []net.Conn
}

// newNetwork makes a network of n nodes, which ends with the test. It must be called in a bubble.
func newNetwork(t *testing.T, n int) *network {
	t.Helper()
	w := &network{Cluster: clienttest.Unserved(n), dials: make(map[string]int)}
	t.Cleanup(func() { time.Sleep(time.Minute) }) // dials of net/http outlive their requests, and must end in the bubble
	for _, node := range w.Nodes {
		h := &host{address: node.URL[len("http://"):], accept: make(chan net.Conn), ended: make(chan struct{})}
		handler := node.Handler()
		h.server = &http.Server{
			ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.mu.Lock()
				silent := h.silent
				w.mu.Unlock()
				if silent == nil {
					handler.ServeHTTP(rw, r)
					return
				}
				<-silent
				clienttest.Cut(rw)
			}),
		}
		w.hosts = append(w.hosts, h)
		served := make(chan error, 1)
		go func() { served <- h.server.Serve(pipeListener{h}) }()
		t.Cleanup(func() {
			w.setSilent(h, false)
			_ = h.server.Close()
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	w.service = w.hosts
	return w
}

// connect makes a client whose only endpoint is the Service of the cluster.
func (w *network) connect(t *testing.T, config client.Config) *client.Client {
	t.Helper()
	config.Endpoints, config.DialContext = []string{serviceURL}, w.dial
	return connect(t, config)
}

func (w *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	h := w.find(address)
	if h == nil {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	here, there := net.Pipe()
	select {
	case h.accept <- there:
	case <-h.ended:
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h.conns = append(h.conns, there)
	return here, nil
}

// find returns the host at an address, nil if connections to it do not come about.
func (w *network) find(address string) *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[address]++
	if address == serviceAddress && len(w.service) > 0 {
		w.turn++
		return w.reached(w.service[w.turn%len(w.service)])
	}
	for _, h := range w.hosts {
		if h.address == address && !h.gone {
			return w.reached(h)
		}
	}
	return nil
}

// reached returns the host unless packets to it vanish.
func (w *network) reached(h *host) *host {
	if h.silent != nil {
		return nil
	}
	return h
}

// dialled returns how many connections to an address were begun.
func (w *network) dialled(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials[address]
}

// balance sets what stands behind the Service from now on.
func (w *network) balance(hosts ...*host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.service = hosts
}

// leave takes a host from its address, as when its pod is replaced: connections end, and new ones to the address do
// not come about. Through the Service it is reached all the same.
func (w *network) leave(h *host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.gone = true
	for _, c := range h.conns {
		_ = c.Close()
	}
	h.conns = nil
}

// hide leaves a host only without its address: what is connected stays so.
func (w *network) hide(h *host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.gone = true
}

// setSilent makes packets to and from a host vanish: no connection ends, and no answer comes; or it heals that.
func (w *network) setSilent(h *host, silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case silent && h.silent == nil:
		h.silent = make(chan struct{})
	case !silent && h.silent != nil:
		close(h.silent)
		h.silent = nil
	}
}

// pipeListener accepts what dial connects.
type pipeListener struct{ host *host }

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.host.accept:
		return c, nil
	case <-l.host.ended:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	l.host.end.Do(func() { close(l.host.ended) })
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
