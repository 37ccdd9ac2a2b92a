package transport

import (
	"context"
	"errors"
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Every field of every message must arrive, with the greatest numbers too: a float64 on the way would round them
// (trap H5).
func TestEveryMessageArrivesWhole(t *testing.T) {
	t.Parallel()
	const huge = math.MaxUint64
	exchanges := map[string]struct{ request, response raft.Message }{
		"vote": {
			request: raft.Message{
				Type: raft.MsgRequestVote, Term: huge, LastLogIndex: huge - 1, LastLogTerm: huge - 2, Transfer: true,
			},
			response: raft.Message{Type: raft.MsgRequestVoteResponse, Term: huge, VoteGranted: true},
		},
		"pre-vote": {
			request:  raft.Message{Type: raft.MsgRequestVote, Term: 8, LastLogIndex: 2, LastLogTerm: 1, PreVote: true},
			response: raft.Message{Type: raft.MsgRequestVoteResponse, Term: 8, PreVote: true},
		},
		"heartbeat": {
			request: raft.Message{
				Type: raft.MsgAppendEntries, Term: 5, PrevLogIndex: 7, PrevLogTerm: 4, LeaderCommit: 6,
				RequestID: huge, ReadSeq: huge - 3, PrevLogDigest: math.MaxUint32,
				CommitIndex: huge - 4, SentAt: huge - 5, Stamp: huge - 6, QuorumAge: huge - 7,
			},
			response: raft.Message{
				Type: raft.MsgAppendEntriesResponse, Term: 5, Success: true, MatchIndex: 7, RequestID: huge,
				MatchDigest: math.MaxUint32,
				ReadSeq:     huge - 3, SentAt: huge - 5, Stamp: huge - 6, VoteHold: huge - 8,
			},
		},
		"append": {
			request: raft.Message{
				Type: raft.MsgAppendEntries, Term: 5, PrevLogIndex: 7, PrevLogTerm: 4, LeaderCommit: 6, RequestID: 1,
				Entries: entries(8, `{"op":"noop"}`, `{"op":"set","key":"a\"}\\","value":{"b":[1,2.50,null]}}`, `"</é>"`),
			},
			response: raft.Message{
				Type: raft.MsgAppendEntriesResponse, Term: 6, ConflictIndex: 3, ConflictTerm: 2, RequestID: 1,
			},
		},
		"a seat, and the answer of a node without one": {
			request: raft.Message{
				Type: raft.MsgAppendEntries, Term: 5, PrevLogIndex: 7, PrevLogTerm: 4, RequestID: 1,
				Entries: entries(8, `{"op":"seat","member":4,"incarnation":9007199254740992}`),
			},
			response: raft.Message{
				Type: raft.MsgAppendEntriesResponse, Term: 5, Success: true, MatchIndex: 8, RequestID: 1, Incarnation: 1 << 53,
			},
		},
		"timeout-now": {
			request:  raft.Message{Type: raft.MsgTimeoutNow, Term: 9},
			response: raft.Message{Type: raft.MsgTimeoutNowResponse, Term: 9},
		},
	}
	for name, x := range exchanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newCluster(t, 2, nil)
			nodes[1].fake.deliver = func(context.Context, raft.Message) (raft.Message, error) { return x.response, nil }
			start(t, nodes...)
			x.request.From, x.request.To = 1, 2
			nodes[0].Send([]raft.Message{x.request})
			if got := next(t, nodes[1].fake.delivered, "the request"); !reflect.DeepEqual(got, x.request) {
				t.Errorf("request: got %+v\nwant %+v", got, x.request)
			}
			want := x.response
			want.From, want.To = 2, 1
			if got := next(t, nodes[0].fake.received, "the response"); !reflect.DeepEqual(got, want) {
				t.Errorf("response: got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestRoundTripsAreObserved(t *testing.T) {
	t.Parallel()
	observed := make(chan raft.NodeID, 10)
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.ObserveRoundTrip = func(peer raft.NodeID, d time.Duration) {
			if d > 0 {
				observed <- peer
			}
		}
	})
	start(t, nodes...)
	nodes[0].Send([]raft.Message{{Type: raft.MsgTimeoutNow, From: 1, To: 2}})
	if peer := next(t, observed, "a round trip"); peer != 2 {
		t.Errorf("round trip of node %d, want 2", peer)
	}
}

func TestOutcomesOfForwardedProposalsComeBack(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	commands := [][]byte{[]byte(`{"op":"incr","key":"n"}`), []byte(`{"op":"cas"}`), []byte(`3`), []byte(`[]`)}
	outcomes := []node.Outcome{
		{Index: math.MaxUint64, Term: 3, Result: kv.Result{Revision: 12, Created: true, Value: []byte(`{"n":[1,"}"]}`)}},
		{Index: 13, Term: 3, Result: kv.Result{Revision: 4, Code: kv.CodePreconditionFailed, Message: "it is \"4\" <b>"}},
		{Err: node.ErrNotLeader},
		{Err: errors.New("the disk is gone")},
	}
	nodes[1].fake.propose = func(_ context.Context, got [][]byte) []node.Outcome {
		if !reflect.DeepEqual(got, commands) {
			t.Errorf("commands: got %q, want %q", got, commands)
		}
		return outcomes
	}
	start(t, nodes...)
	got, err := nodes[0].Propose(t.Context(), 2, commands)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got[:2], outcomes[:2]) {
		t.Errorf("results: got %+v\nwant %+v", got[:2], outcomes[:2])
	}
	if got[2].Err != node.ErrNotLeader {
		t.Errorf("got error %v, want %v", got[2].Err, node.ErrNotLeader)
	}
	// An error that has no code means that nothing is known (trap T49); its words are kept for people.
	if !errors.Is(got[3].Err, node.ErrOutcomeUnknown) || got[3].Err.Error() != "the disk is gone" {
		t.Errorf("got error %v, want the peer's words and outcome unknown", got[3].Err)
	}
}

func TestReadIndexIsTheLeaders(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	var refusal error
	nodes[1].fake.readIndex = func(_ context.Context, from raft.NodeID, term raft.Term) (raft.Index, error) {
		if from != 1 || term != 7 {
			t.Errorf("asked by node %d in term %d, want node 1 in term 7", from, term)
		}
		return math.MaxUint64 - 1, refusal
	}
	start(t, nodes...)
	for _, lease := range []bool{false, true} {
		point, err := nodes[0].ReadIndex(t.Context(), 2, 7, lease)
		if err != nil || point.Index != math.MaxUint64-1 || point.Leased != lease {
			t.Errorf("got %+v, error %v", point, err)
		}
	}
	for _, refusal = range []error{node.ErrNotLeader, node.ErrNotReady, node.ErrOverloaded, node.ErrNoLeader} {
		if _, err := nodes[0].ReadIndex(t.Context(), 2, 7, false); !errors.Is(err, refusal) {
			t.Errorf("got %v, want it to be %q", err, refusal)
		}
	}
}

func TestFingerprintOfAPeer(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	got, err := nodes[0].Fingerprint(t.Context(), 2, divergence.Fingerprint{Index: math.MaxUint64, Term: 7, Digest: 9})
	if want := (divergence.Fingerprint{Index: math.MaxUint64, Term: 8, Digest: 10}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	status, refused := ask(t, nodes[1], http.MethodPost, pathFingerprint, `{"index":-1}`, nil)
	if status != 400 || refused.Code != api.CodeInvalid {
		t.Errorf("got %d %+v, want 400", status, refused)
	}
}

func TestATransferIsTheLeaders(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	var refusal error
	nodes[1].fake.transfer = func(_ context.Context, term raft.Term, to raft.NodeID) error {
		if term != 7 || to != 3 {
			t.Errorf("asked to hand over to node %d in term %d, want node 3 in term 7", to, term)
		}
		return refusal
	}
	start(t, nodes...)
	if err := nodes[0].Transfer(t.Context(), 2, 7, 3); err != nil {
		t.Error(err)
	}
	for _, refusal = range []error{
		node.ErrNotLeader, node.ErrNotReady, node.ErrNoLeader, node.ErrBadTarget, node.ErrTermChanged,
	} {
		if err := nodes[0].Transfer(t.Context(), 2, 7, 3); !errors.Is(err, refusal) ||
			errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("got %v, want it to be %q", err, refusal)
		}
	}
	refusal = errors.New("the leader's own trouble")
	if err := nodes[0].Transfer(t.Context(), 2, 7, 3); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want outcome unknown", err)
	}
	if err := nodes[0].Transfer(t.Context(), 9, 7, 3); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("a leader that is no member: got %v, want not sent", err)
	}
	closeTransport(t, nodes[1].Transport)
	if err := nodes[0].Transfer(t.Context(), 2, 7, 3); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("a dial that is refused: got %v, want not sent", err)
	}
}

func TestStatusOfAPeer(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.status = node.PeerStatus{Status: api.Status{
		ID: 2, ClusterID: testCluster, State: "LEADER", CurrentTerm: math.MaxUint64, CommitIndex: 7,
		MatchIndex: map[uint64]uint64{1: 6}, SeenMembers: []uint64{1, 2},
	}}
	start(t, nodes...)
	got, err := nodes[0].Status(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, nodes[1].fake.status) {
		t.Errorf("got %+v\nwant %+v", got, nodes[1].fake.status)
	}
}

// A node that is stopping has no response for a request; that must be reported to the sender, or it waits without end.
func TestNoResponseMeansUnreachable(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.deliver = func(context.Context, raft.Message) (raft.Message, error) {
		return raft.Message{}, node.ErrNotReady
	}
	start(t, nodes...)
	nodes[0].Send([]raft.Message{{Type: raft.MsgRequestVote, From: 1, To: 2, Term: 1}})
	if peer := next(t, nodes[0].fake.unreachable, "the report"); peer != 2 {
		t.Errorf("node %d is reported, want 2", peer)
	}
}

func TestStrangersAreNoPeers(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	nodes[0].Send([]raft.Message{{Type: raft.MsgTimeoutNow, From: 1, To: 9}, {Type: raft.MsgTimeoutNow, From: 1, To: 1}})
	if depth := nodes[0].QueueDepth(9); depth != 0 {
		t.Errorf("%d messages wait for a node that is no member", depth)
	}
	for _, id := range []raft.NodeID{1, 9} {
		if _, err := nodes[0].Status(t.Context(), id); !errors.Is(err, node.ErrNotSent) {
			t.Errorf("status of node %d: got %v, want %v", id, err, node.ErrNotSent)
		}
	}
}
