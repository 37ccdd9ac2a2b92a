package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// fakeNetwork is a network of nodes, reached by the addresses of their pods, that implement the contract of
// node/client over HTTP. They send no Raft messages: a majority that runs and is connected has a leader.
type fakeNetwork struct {
	mu     sync.Mutex
	nodes  map[string]*fakeNode // by the address of their API port
	groups map[string]*fakeGroup
	faults []string // violations that happened
	asked  int      // how often the nodes' views were requested
}

// fakeDisk is the data on a volume. It persists beyond the nodes that run on it.
type fakeDisk struct {
	clusterID string
	id        uint64
	members   []api.ConfigMember
}

// fakeGroup is what the nodes of one Raft cluster agree on.
type fakeGroup struct {
	term, leader, index uint64
	seen                []uint64
}

// fakeNode is one process.
type fakeNode struct {
	net     *fakeNetwork
	server  *httptest.Server
	self    string // --advertise-peer
	disk    *fakeDisk
	version string
	silent  bool // it does not answer, and the others do not receive its messages
	lie     func(*api.ClusterView)
}

func newFakeNetwork(t *testing.T) *fakeNetwork {
	n := &fakeNetwork{nodes: map[string]*fakeNode{}, groups: map[string]*fakeGroup{}}
	t.Cleanup(func() {
		for _, node := range n.nodes {
			node.server.Close()
		}
	})
	return n
}

// direct is the production client, in this network.
func (n *fakeNetwork) direct(t *testing.T) *client.Direct {
	d := client.NewDirect(client.Config{DialContext: n.dial})
	t.Cleanup(d.Close)
	return d
}

func (n *fakeNetwork) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	node := n.nodes[address]
	deaf := node == nil || node.silent
	n.mu.Unlock()
	if deaf {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("nothing listens at %s", address)}
	}
	return (&net.Dialer{}).DialContext(ctx, network, node.server.Listener.Addr().String())
}

// start runs a node on a disk.
func (n *fakeNetwork) start(podIP, advertisePeer, version string, disk *fakeDisk) *fakeNode {
	node := &fakeNode{net: n, self: advertisePeer, disk: disk, version: version}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+api.PathCluster, node.getCluster)
	mux.HandleFunc("POST "+api.PathBootstrap, node.postBootstrap)
	mux.HandleFunc("POST "+api.PathLeaderTransfer, node.postTransfer)
	node.server = httptest.NewServer(mux)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[net.JoinHostPort(podIP, "8080")] = node
	return node
}

// stop ends the node at an address.
func (n *fakeNetwork) stop(podIP string) {
	address := net.JoinHostPort(podIP, "8080")
	n.mu.Lock()
	node := n.nodes[address]
	delete(n.nodes, address)
	n.mu.Unlock()
	if node != nil {
		node.server.Close()
	}
}

// silence partitions a node, or reconnects it.
func (n *fakeNetwork) silence(podIP string, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[net.JoinHostPort(podIP, "8080")].silent = silent
}

// lie makes a node return a false view; nil: a true one.
func (n *fakeNetwork) lie(podIP string, lie func(*api.ClusterView)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[net.JoinHostPort(podIP, "8080")].lie = lie
}

func (n *fakeNetwork) isReady(podIP string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	node := n.nodes[net.JoinHostPort(podIP, "8080")]
	return node != nil && node.view().Ready
}

// group updates the shared state of a cluster's nodes: the leader stays as long as it is connected to a majority, and
// otherwise the highest id that can is elected.
func (n *fakeNetwork) group(clusterID string) *fakeGroup {
	g := n.groups[clusterID]
	if g == nil {
		g = &fakeGroup{}
		n.groups[clusterID] = g
	}
	var up []uint64
	size := 0
	for _, node := range n.nodes {
		if node.disk.clusterID == clusterID && !node.silent {
			up = append(up, node.disk.id)
			size = len(node.disk.members)
		}
	}
	slices.Sort(up)
	if dup := slices.Compact(slices.Clone(up)); len(dup) < len(up) {
		n.faults = append(n.faults, fmt.Sprintf("two nodes of cluster %s have the same id: %v", clusterID, up))
	}
	if len(up) < size/2+1 {
		g.leader = 0
		return g
	}
	if !slices.Contains(up, g.leader) {
		g.term, g.leader, g.index = g.term+1, up[len(up)-1], g.index+1
	}
	for _, id := range up {
		if !slices.Contains(g.seen, id) {
			g.seen = append(g.seen, id)
			slices.Sort(g.seen)
		}
	}
	return g
}

// view returns the node's view; the network must be locked.
func (f *fakeNode) view() api.ClusterView {
	v := api.ClusterView{
		State: api.StateEmpty, Role: "FOLLOWER", Version: f.version, SeenMembers: []uint64{}, Capabilities: []string{},
	}
	if f.disk.clusterID == "" {
		return v
	}
	g := f.net.group(f.disk.clusterID)
	v.ClusterID, v.NodeID, v.State = f.disk.clusterID, f.disk.id, api.StateMember
	v.Term, v.LeaderID, v.SeenMembers = g.term, g.leader, g.seen
	v.CommitIndex, v.LastApplied, v.LastLogIndex = g.index, g.index, g.index
	v.Config = api.Membership{Members: f.disk.members}
	v.Ready = g.leader != 0
	if g.leader == f.disk.id {
		v.Role = "LEADER"
	}
	return v
}

func (f *fakeNode) getCluster(w http.ResponseWriter, _ *http.Request) {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	f.net.asked++
	view := f.view()
	if f.lie != nil {
		f.lie(&view)
	}
	answer(w, view)
}

func (f *fakeNode) postBootstrap(w http.ResponseWriter, r *http.Request) {
	var request api.BootstrapRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, api.CodeInvalid, err.Error())
		return
	}
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	i := slices.IndexFunc(request.Members, func(m api.ConfigMember) bool { return m.ID == request.NodeID })
	same := f.disk.clusterID == request.ClusterID && f.disk.id == request.NodeID &&
		slices.Equal(f.disk.members, request.Members)
	switch {
	case i < 0 || request.Members[i].Address != f.self:
		refuse(w, api.CodeInvalid, fmt.Sprintf("member %d is at another address than %s", request.NodeID, f.self))
		return
	case f.disk.clusterID != "" && !same:
		refuse(w, api.CodeConflict, "this node belongs to cluster "+f.disk.clusterID)
		return
	case f.disk.clusterID == "" && f.net.groups[request.ClusterID] != nil &&
		slices.Contains(f.net.groups[request.ClusterID].seen, request.NodeID):
		f.net.faults = append(f.net.faults, fmt.Sprintf("member %d, which has stored entries, was bootstrapped on an "+
			"empty disk", request.NodeID))
	}
	f.disk.clusterID, f.disk.id, f.disk.members = request.ClusterID, request.NodeID, request.Members
	answer(w, f.view())
}

func (f *fakeNode) postTransfer(w http.ResponseWriter, r *http.Request) {
	var request api.TransferRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, api.CodeInvalid, err.Error())
		return
	}
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	g := f.net.group(f.disk.clusterID)
	if g.leader == 0 {
		refuse(w, api.CodeNoLeader, "there is no leader")
		return
	}
	if request.ExpectedTerm != g.term {
		refuse(w, api.CodeConflict, fmt.Sprintf("the term is %d, not %d", g.term, request.ExpectedTerm))
		return
	}
	g.term, g.leader = g.term+1, request.To
	answer(w, api.TransferResponse{LeaderID: g.leader, Term: g.term})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(api.HeaderTerm, "0")  // each response of a node has one; the client rejects a response without it
	_ = json.NewEncoder(w).Encode(value) // the client treats a truncated response as one
}

func refuse(w http.ResponseWriter, code api.Code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(api.HeaderTerm, "0") // each response of a node has one; the client rejects a response without it
	w.WriteHeader(code.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"error": &api.Error{Code: code, Message: message}})
}
