// Package clienttest is a fake cluster that speaks the REST contract of node/client, for the tests of programs
// that talk to one. It keeps everything in memory, has no Raft, and does as it is told: who leads, who is dead,
// who answers what.
package clienttest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Cluster is a fake cluster. All nodes share one store.
type Cluster struct {
	ID    string  // set it before the first request
	Nodes []*Node // ids 1, 2, 3, ...

	mu      sync.Mutex
	leader  uint64
	term    uint64
	index   uint64
	records map[string]api.Record
	log     []api.LogEntry
}

// Node is one node of a fake cluster.
type Node struct {
	ID  uint64
	URL string

	cluster   *Cluster
	server    *httptest.Server // nil: the test serves Handler itself
	aloneIn   uint64           // the term in which it lost sight of the others; 0: it sees them
	intercept func(w http.ResponseWriter, r *http.Request) bool
	batches   []int // lines of each batch that it answered
}

// New starts a fake cluster of n nodes; node 1 leads term 1. It ends with the test.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	c := Unserved(n)
	for _, node := range c.Nodes {
		node.server = httptest.NewServer(node.Handler())
		node.URL = node.server.URL
		t.Cleanup(node.server.Close)
		t.Cleanup(node.server.CloseClientConnections) // runs first: a test's clients may hold connections
	}
	return c
}

// Unserved makes a fake cluster that listens nowhere, for a test with a network of its own: node i is to be found at
// http://node-i:8080, and Handler answers for it.
func Unserved(n int) *Cluster {
	c := &Cluster{ID: "fake", leader: 1, term: 1, records: make(map[string]api.Record)}
	for i := range n {
		id := uint64(i) + 1
		c.Nodes = append(c.Nodes, &Node{ID: id, URL: fmt.Sprintf("http://node-%d:8080", id), cluster: c})
	}
	return c
}

// URLs gives the endpoints of all nodes.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	return urls
}

// Elect makes a node the leader of the next term; 0: there is none.
func (c *Cluster) Elect(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.term++
	c.leader = id
}

// Lose makes the store forget a key without a trace, as no cluster may.
func (c *Cluster) Lose(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.records, key)
}

// Log gives the entries of the log.
func (c *Cluster) Log() []api.LogEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]api.LogEntry(nil), c.log...)
}

// Isolate cuts a node off from the others, or heals it: alone it stays in its term, knows of no leader, and refuses
// whatever needs one.
func (n *Node) Isolate(alone bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.aloneIn = 0
	if alone {
		n.aloneIn = n.cluster.term
	}
}

// sees gives the term and the leader as the node knows them. The cluster must be locked.
func (n *Node) sees() (term, leader uint64) {
	if n.aloneIn > 0 {
		return n.aloneIn, 0
	}
	return n.cluster.term, n.cluster.leader
}

// Kill ends a node that New has started: its port refuses connections.
func (n *Node) Kill() {
	n.server.CloseClientConnections()
	n.server.Close()
}

// Intercept has f look at each request before the node does; what f answers, with true, the node never sees.
func (n *Node) Intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.intercept = f
}

// Batches gives the number of lines of each batch that the node answered.
func (n *Node) Batches() []int {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return append([]int(nil), n.batches...)
}

// Handler is the node's API.
func (n *Node) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathCluster, n.getCluster)
	mux.HandleFunc("POST "+api.PathBootstrap, n.postBootstrap)
	mux.HandleFunc("GET "+api.PathStatus, n.getStatus)
	mux.HandleFunc("GET "+api.PathLogs, n.getLogs)
	mux.HandleFunc("GET "+api.PathKV, n.getKey)
	mux.HandleFunc("POST "+api.PathBatch, n.postBatch)
	mux.HandleFunc("POST "+api.PathLeaderTransfer, n.postTransfer)
	alive := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
	mux.HandleFunc("GET "+api.PathLive, alive)
	mux.HandleFunc("GET "+api.PathReady, alive)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.cluster.mu.Lock()
		intercept := n.intercept
		term, leader := n.sees()
		w.Header().Set(api.HeaderTerm, strconv.FormatUint(term, 10))
		w.Header().Set(api.HeaderLeader, strconv.FormatUint(leader, 10))
		n.cluster.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			mux.ServeHTTP(w, r)
		}
	})
}

// Fail answers a request with an error, as the contract says.
func Fail(w http.ResponseWriter, e *api.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.Status())
	_, _ = w.Write(mustJSON(api.ErrorBody{Error: e}))
}

// Cut ends the connection of a request without an answer.
func Cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(fmt.Sprintf("clienttest: the connection cannot be cut: %v", err))
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(mustJSON(value))
}
