// Package clienttest runs the REST server over a kv.Store in memory, for the tests of programs that talk to a cluster.
// It has no Raft: a test sets the leader, stops or isolates nodes, and may answer requests itself.
package clienttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/rest"
)

// version is the program version of every node.
const version = "test"

// Cluster is a cluster without Raft. All nodes share one store.
type Cluster struct {
	Nodes []*Node // ids 1, 2, 3, ...

	mu     sync.Mutex
	id     string
	leader raft.NodeID // 0: there is none
	term   raft.Term
	store  *kv.Store
	log    []raft.Entry

	members membership
}

// Node is one node of a Cluster.
type Node struct {
	ID  uint64
	URL string

	cluster   *Cluster
	rest      http.Handler
	server    *httptest.Server // nil: the test serves Handler itself
	aloneIn   raft.Term        // the term in which it was isolated; 0: it is not
	intercept func(w http.ResponseWriter, r *http.Request) bool
	batches   []int  // lines of each batch that it received
	lost      uint64 // the member that it was before it lost its disk; 0: it did not
}

// New starts a cluster of n nodes; node 1 leads term 1. It ends with the test.
func New(t testing.TB, n int) *Cluster {
	t.Helper()
	c := Unserved(n)
	for _, node := range c.Nodes { // each node answers with the URLs of all
		node.server = httptest.NewUnstartedServer(node.Handler())
		node.URL = "http://" + node.server.Listener.Addr().String()
	}
	c.setAllMembers()
	for _, node := range c.Nodes {
		node.server.Start()
		t.Cleanup(node.server.Close)
		t.Cleanup(node.server.CloseClientConnections) // runs first: a test's clients may hold connections
	}
	return c
}

// Unserved returns a cluster without listeners, for a test with a network of its own: the URL of node i is
// http://node-i:8080, and Handler answers for it.
func Unserved(n int) *Cluster {
	c := &Cluster{id: "fake", leader: 1, term: 1, store: kv.New()}
	for i := range n {
		id := uint64(i) + 1
		node := &Node{ID: id, URL: fmt.Sprintf("http://node-%d:8080", id), cluster: c}
		server, err := rest.New(member{node}, member{node}, rest.Options{Version: version})
		if err != nil {
			panic("clienttest: " + err.Error()) // the options are wrong
		}
		node.rest = server.Handler()
		c.Nodes = append(c.Nodes, node)
	}
	c.setAllMembers()
	return c
}

// setAllMembers makes every node a member.
func (c *Cluster) setAllMembers() {
	var ids []uint64
	for _, n := range c.Nodes {
		ids = append(ids, n.ID)
	}
	c.SetMembers(ids...)
}

// URLs returns the endpoints of all nodes.
func (c *Cluster) URLs() []string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	return urls
}

// SetID changes the id of the cluster.
func (c *Cluster) SetID(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

// Elect makes a node the leader of the next term; 0: no node.
func (c *Cluster) Elect(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.elect(raft.NodeID(id))
}

// elect is Elect of a cluster that is locked.
func (c *Cluster) elect(id raft.NodeID) {
	c.term++
	c.leader = id
}

// Lose deletes a key that no client asked to delete.
func (c *Cluster) Lose(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.append((&kv.Delete{Key: []byte(key)}).AppendJSON(nil))
}

// Log returns a copy of the log.
func (c *Cluster) Log() []raft.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

// Isolate isolates a node from the others, or ends that. An isolated node stays in its term, has no leader, and refuses
// every request that needs one.
func (n *Node) Isolate(alone bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.aloneIn = 0
	if alone {
		n.aloneIn = n.cluster.term
	}
}

// sees returns the term and the leader in the view of the node. The cluster must be locked.
func (n *Node) sees() (raft.Term, raft.NodeID) {
	if n.aloneIn > 0 {
		return n.aloneIn, 0
	}
	return n.cluster.term, n.cluster.leader
}

// Kill stops a node that New has started: its port refuses connections.
func (n *Node) Kill() {
	n.server.CloseClientConnections()
	n.server.Close()
}

// Intercept calls f with each request first. If f returns true, it has answered, and the node does not get the request.
func (n *Node) Intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.intercept = f
}

// Batches returns the number of lines of each batch that the node received.
func (n *Node) Batches() []int {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return slices.Clone(n.batches)
}

// Handler returns the API of the node.
func (n *Node) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.cluster.mu.Lock()
		intercept := n.intercept
		term, leader := n.sees()
		n.cluster.mu.Unlock()
		if intercept != nil {
			w.Header().Set(api.HeaderTerm, strconv.FormatUint(uint64(term), 10))
			w.Header().Set(api.HeaderLeader, strconv.FormatUint(uint64(leader), 10))
			if intercept(w, r) {
				return
			}
		}
		if r.URL.Path == api.PathBatch && !n.count(r) {
			return // the client is gone
		}
		n.rest.ServeHTTP(w, r)
	})
}

// count counts the lines of a batch. It reports whether the whole batch was received.
func (n *Node) count(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	n.batches = append(n.batches, bytes.Count(body, []byte{'\n'}))
	return true
}

// Fail answers a request with an error of the API.
func Fail(w http.ResponseWriter, e *api.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.Status())
	_ = json.NewEncoder(w).Encode(api.ErrorBody{Error: e})
}

// Cut closes the connection of a request without a response.
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
