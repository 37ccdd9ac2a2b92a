package transport

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestAChangeOfMembersIsTheLeaders(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	config := api.Membership{Index: 9, CommittedIndex: 9, Members: []api.ConfigMember{
		{ID: 1, Address: "http://h1:7080", Role: api.RoleVoter}, {ID: 4, Address: "http://h4:7080", Role: api.RoleLearner},
	}}
	expected := uint64(7)
	change := api.MemberChange{
		ExpectedConfigIndex: &expected, Add: []api.NewMember{{Address: "http://h4:7080", AutoPromote: true}},
		Promote: []uint64{3}, Remove: []uint64{2}, Update: []api.ConfigMember{{ID: 1, Address: "http://h1:7080"}},
		Force: true,
	}
	want := api.MemberChangeResponse{Config: config, Added: []uint64{4}}
	var refusal error
	nodes[1].fake.change = func(_ context.Context, got api.MemberChange) (api.MemberChangeResponse, error) {
		if !reflect.DeepEqual(got, change) {
			t.Errorf("asked for %+v, want %+v", got, change)
		}
		return want, refusal
	}
	start(t, nodes...)
	if got, err := nodes[0].ChangeMembers(t.Context(), 2, change); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, refusal = range []error{
		node.ErrNotLeader, node.ErrNotReady, node.ErrNoLeader, node.ErrOverloaded, node.ErrBadChange, node.ErrChangeRefused,
		&node.ConfigIndexError{Expected: 7, Config: config},
	} {
		_, err := nodes[0].ChangeMembers(t.Context(), 2, change)
		if node.PeerCode(err) != node.PeerCode(refusal) || errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("got %v, want it to be %v", err, refusal)
		}
	}
	var index *node.ConfigIndexError
	refusal = &node.ConfigIndexError{Expected: 7, Config: config}
	if _, err := nodes[0].ChangeMembers(t.Context(), 2, change); !errors.As(err, &index) ||
		!reflect.DeepEqual(index, refusal) {
		t.Errorf("got %v, want the configuration that is in force", err)
	}
	refusal = errors.New("the leader's own trouble")
	if _, err := nodes[0].ChangeMembers(t.Context(), 2, change); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want outcome unknown", err)
	}
	refusal, want.Config.Members[0].Address = nil, "http://evil\x1b"
	if _, err := nodes[0].ChangeMembers(t.Context(), 2, change); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want outcome unknown: no configuration has that address", err)
	}
	refusal = &node.ConfigIndexError{Expected: 7, Config: want.Config}
	if _, err := nodes[0].ChangeMembers(t.Context(), 2, change); !errors.Is(err, node.ErrConfigIndex) ||
		errors.As(err, &index) {
		t.Errorf("got %v with %+v, want a refusal without that configuration", err, index)
	}
}

// An empty node takes an offer from a leader that it has no record of, and the leader learns that a peer is empty.
func TestAnIdentityIsOfferedToAnEmptyNode(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, func(cfg *Config) {
		if cfg.ID == 2 {
			cfg.ID, cfg.ClusterID, cfg.Members = 0, "", nil
		}
	})
	offers := make(chan identity.Offer, 10)
	var refusal error
	nodes[1].fake.offer = func(o identity.Offer) error {
		offers <- o
		return refusal
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{heartbeat(2, 1)})
	if peer := next(t, nodes[0].fake.vacant, "a peer without an identity"); peer != 2 {
		t.Errorf("node %d has no identity, want node 2", peer)
	}
	offer := identity.Offer{
		ClusterID: testCluster, NodeID: 2, Address: nodes[1].url, Founders: []raft.Seat{{Member: 1, Incarnation: 5}},
	}
	if err := nodes[0].Offer(t.Context(), 2, offer); err != nil {
		t.Fatal(err)
	}
	if got := next(t, offers, "the offer"); !reflect.DeepEqual(got, offer) {
		t.Errorf("got %+v, want %+v", got, offer)
	}
	for _, refusal = range []error{node.ErrIdentityTaken, node.ErrNotReady, node.ErrBadIdentity} {
		if err := nodes[0].Offer(t.Context(), 2, offer); err == nil || !strings.Contains(err.Error(), refusal.Error()) {
			t.Errorf("got %v, want %v", err, refusal)
		}
	}
	for name, body := range map[string]string{
		"no JSON": "x", "too long": `{"cluster_id":"` + strings.Repeat("x", maxGenesisRequest) + `"}`,
	} {
		if status, _ := ask(t, nodes[1], http.MethodPost, pathOffer, body, nil); status != 400 {
			t.Errorf("%s: got %d, want 400", name, status)
		}
	}
}

func TestTheStatusOfANodeThatIsNoPeer(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	nodes[2].fake.status.ID, nodes[2].fake.status.LifeCycle = 3, api.StateEmpty
	start(t, nodes...)
	nodes[0].SetPeers([]identity.Member{{ID: 1, Address: nodes[0].url}})
	status, err := nodes[0].StatusAt(t.Context(), nodes[2].url)
	if err != nil || status.ID != 3 || status.LifeCycle != api.StateEmpty {
		t.Errorf("got %+v, %v", status.Status, err)
	}
	for _, url := range []string{"http://127.0.0.1:1", "ftp://h", ""} {
		if _, err := nodes[0].StatusAt(t.Context(), url); err == nil {
			t.Errorf("%q has a status", url)
		}
	}
}

// A sender that is no member reaches the core with the messages of Raft, and nothing else; nothing is remembered of it.
func TestAStrangerReachesTheCoreOnly(t *testing.T) { // T27
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	taken := takesChunks(nodes[1])
	start(t, nodes[1])
	chunk := chunkOf([]byte("data"))
	chunk.From = 7
	for path, body := range map[string]string{
		pathAppendEntries: `{"term":1,"leader_id":7}`, pathRequestVote: `{"term":1,"candidate_id":7}`,
		pathTimeoutNow: `{"term":1,"leader_id":7}`, pathSnapshot: string(bodyOf(t, chunk)),
	} {
		status, got := ask(t, nodes[1], http.MethodPost, path, body, map[string]string{headerFrom: "7"})
		if status != 200 {
			t.Errorf("%s: got %d %+v, want 200", path, status, got)
		}
	}
	for range 3 {
		if m := next(t, nodes[1].fake.delivered, "a message"); m.From != 7 {
			t.Errorf("the core got %+v, want it from node 7", m)
		}
	}
	if c := next(t, taken, "a chunk"); c.From != 7 {
		t.Errorf("the node got a chunk of node %d, want node 7", c.From)
	}
	if hosts := nodes[1].who.Load().calledFrom(); len(hosts) > 0 {
		t.Errorf("it remembers %v", hosts)
	}
	for _, path := range []string{
		pathPropose, pathReadIndex, pathGenesis, pathFingerprint, pathStateDigest, pathTransfer, pathMembers,
	} {
		status, got := ask(t, nodes[1], http.MethodPost, path, `{}`, map[string]string{headerFrom: "7"})
		if status != 403 || got.Code != api.CodeUnknownSender {
			t.Errorf("%s: got %d %+v, want 403", path, status, got)
		}
	}
	for _, path := range []string{pathStatus, pathProof} {
		status, got := ask(t, nodes[1], http.MethodGet, path, "", map[string]string{headerFrom: "7"})
		if status != 403 || got.Code != api.CodeUnknownSender {
			t.Errorf("%s: got %d %+v, want 403", path, status, got)
		}
	}
}

// The response that informs a removed node has the configuration which removed it, whatever the request was.
func TestARemovalTravels(t *testing.T) { // T27
	t.Parallel()
	for _, kind := range []raft.MessageType{raft.MsgRequestVote, raft.MsgAppendEntries, raft.MsgTimeoutNow} {
		m := raft.Message{Type: responseTo(kind), Term: 3, RemovedBy: 12}
		if got, err := decodeResponse(kind, appendResponse(nil, &m)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, %v; want %+v", got, err, m)
		}
	}
}
