package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

var oneCommand = [][]byte{[]byte(`{"op":"incr","key":"n"}`)}

// sender makes node 1 of two, whose peer listens at the given URL.
func sender(t *testing.T, url string) *testNode {
	t.Helper()
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Members = append([]identity.Member(nil), cfg.Members...)
		cfg.Members[1].Address = url
	})
	start(t, nodes[0])
	return nodes[0]
}

// Where no program listens nothing can have been done, and the proposal may be sent elsewhere.
func TestRefusedConnectionMeansNotSent(t *testing.T) { // T49
	t.Parallel()
	l := listen(t)
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n := sender(t, url)
	_, err := n.Propose(t.Context(), 2, oneCommand)
	if !errors.Is(err, node.ErrNotSent) || errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("propose: got %v, want only %v", err, node.ErrNotSent)
	}
	if _, err := n.ReadIndex(t.Context(), 2, 1, false); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("read index: got %v, want %v", err, node.ErrNotSent)
	}
	if _, err := n.Status(t.Context(), 2); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("status: got %v, want %v", err, node.ErrNotSent)
	}
}

// A connection that is cut after the leader has read the request leaves it open what became of it.
func TestCutConnectionMeansUnknown(t *testing.T) { // T49
	t.Parallel()
	var requests atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	})}
	l := listen(t)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	n := sender(t, "http://"+l.Addr().String())
	_, err := n.Propose(t.Context(), 2, oneCommand)
	if !errors.Is(err, node.ErrOutcomeUnknown) || errors.Is(err, node.ErrNotSent) {
		t.Errorf("got %v, want only %v", err, node.ErrOutcomeUnknown)
	}
	if requests.Load() != 1 {
		t.Errorf("the proposal was sent %d times", requests.Load())
	}
}

// Giving up is not failing: the command may be done a moment later.
func TestGivingUpMeansUnknown(t *testing.T) { // T49
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	arrived := make(chan struct{})
	nodes[1].fake.propose = func(ctx context.Context, _ [][]byte) []node.Outcome {
		close(arrived)
		<-ctx.Done()
		return []node.Outcome{{Err: node.ErrOutcomeUnknown}}
	}
	start(t, nodes...)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		<-arrived
		giveUp()
	}()
	_, err := nodes[0].Propose(ctx, 2, oneCommand)
	if !errors.Is(err, node.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v because the context was cancelled", err, node.ErrOutcomeUnknown)
	}
}

func TestGivingUpBeforeThereIsAConnectionMeansNotSent(t *testing.T) { // T49
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodes[0].Propose(ctx, 2, oneCommand); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("got %v, want %v", err, node.ErrNotSent)
	}
}

// A node that refuses a request by its headers has not read its body.
func TestRefusedByAnotherNodeMeansNotSent(t *testing.T) { // H3, T49
	t.Parallel()
	nodes := newCluster(t, 3, func(cfg *Config) {
		if cfg.ID == 1 { // node 1 has the address of node 3 for node 2
			cfg.Members = append([]identity.Member(nil), cfg.Members...)
			cfg.Members[1].Address = cfg.Members[2].Address
		}
	})
	start(t, nodes[0], nodes[2])
	_, err := nodes[0].Propose(t.Context(), 2, oneCommand)
	if !errors.Is(err, node.ErrNotSent) {
		t.Errorf("got %v, want %v", err, node.ErrNotSent)
	}
}

// From an answer that is no node's the outcome of the command is unknown.
func TestUnreadableAnswerMeansUnknown(t *testing.T) { // T49
	t.Parallel()
	answers := map[string]func(w http.ResponseWriter){
		"not found":        func(w http.ResponseWriter) { http.Error(w, "404 page not found", 404) },
		"no JSON":          func(w http.ResponseWriter) { write(w, 200, []byte(`<html>`)) },
		"too few outcomes": func(w http.ResponseWriter) { write(w, 200, []byte(`{"outcomes":[]}`)) },
		"no outcomes":      func(w http.ResponseWriter) { write(w, 200, []byte(`{}`)) },
		"no result":        func(w http.ResponseWriter) { write(w, 200, []byte(`{"outcomes":[{"index":1,"term":1}]}`)) },
		"not done":         func(w http.ResponseWriter) { write(w, 200, []byte(`{"done":false,"index":0}`)) },
		"null error":       func(w http.ResponseWriter) { write(w, 200, []byte(`{"outcomes":[{"error":null}]}`)) },
		"done and refused": func(w http.ResponseWriter) { write(w, 200, []byte(`{"response":{},"refused":{}}`)) },
		"unknown code":     func(w http.ResponseWriter) { writeRefusal(w, refuse("new_one", "what")) },
		"redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
			l := listen(t)
			go func() { _ = server.Serve(l) }()
			t.Cleanup(func() { _ = server.Close() })
			n := sender(t, "http://"+l.Addr().String())
			_, err := n.Propose(t.Context(), 2, oneCommand)
			if !errors.Is(err, node.ErrOutcomeUnknown) || errors.Is(err, node.ErrNotSent) {
				t.Errorf("propose: got %v, want %v", err, node.ErrOutcomeUnknown)
			}
			err = n.Transfer(t.Context(), 2, 1, 1)
			if !errors.Is(err, node.ErrOutcomeUnknown) || errors.Is(err, node.ErrNotSent) {
				t.Errorf("transfer: got %v, want %v", err, node.ErrOutcomeUnknown)
			}
			_, err = n.ChangeMembers(t.Context(), 2, api.MemberChange{Remove: []uint64{3}})
			if !errors.Is(err, node.ErrOutcomeUnknown) || errors.Is(err, node.ErrNotSent) {
				t.Errorf("change of members: got %v, want %v", err, node.ErrOutcomeUnknown)
			}
			if _, err := n.ReadIndex(t.Context(), 2, 1, false); node.PeerCode(err) != "no_leader" {
				t.Errorf("read index: got %v, want %v, as a read does nothing", err, node.ErrNoLeader)
			}
		})
	}
}

// So many calls may be unanswered. Another one is not sent, and one more may be once they have ended.
func TestCallsToAPeerAreBounded(t *testing.T) { // H4, T49
	t.Parallel()
	silent := newSilentPeer(t)
	n := sender(t, silent.url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, maxCallConns)
	for range maxCallConns {
		go func() {
			_, err := n.Propose(ctx, 2, oneCommand)
			failed <- err
		}()
	}
	eventually(t, "all proposals arrive", func() bool { return silent.proposals.Load() == maxCallConns })
	if _, err := n.Propose(t.Context(), 2, oneCommand); !errors.Is(err, node.ErrNotSent) || !errors.Is(err, errBusy) {
		t.Errorf("one call too many: got %v, want %v", err, errBusy)
	}
	cancel()
	for range maxCallConns {
		if err := next(t, failed, "the end of a call"); !errors.Is(err, node.ErrOutcomeUnknown) {
			t.Errorf("got %v, want %v", err, node.ErrOutcomeUnknown)
		}
	}
	again, end := context.WithCancel(t.Context())
	go func() {
		_, err := n.Propose(again, 2, oneCommand)
		failed <- err
	}()
	eventually(t, "another one arrives", func() bool { return silent.proposals.Load() == maxCallConns+1 })
	end()
	if err := next(t, failed, "its end"); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want %v", err, node.ErrOutcomeUnknown)
	}
}

// What a peer answers after the network to it was cut did not arrive.
func TestAnAnswerAfterTheCutMeansUnknown(t *testing.T) { // T49
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.propose = func(_ context.Context, commands [][]byte) []node.Outcome {
		nodes[0].SetBlocked(map[raft.NodeID]bool{2: true})
		return make([]node.Outcome, len(commands))
	}
	start(t, nodes...)
	if _, err := nodes[0].Propose(t.Context(), 2, oneCommand); !errors.Is(err, node.ErrOutcomeUnknown) {
		t.Errorf("got %v, want %v", err, node.ErrOutcomeUnknown)
	}
	if _, err := nodes[0].Propose(t.Context(), 2, oneCommand); !errors.Is(err, node.ErrNotSent) {
		t.Errorf("after the cut: got %v, want %v", err, node.ErrNotSent)
	}
}

// Lists of small values would take many times the memory of their text.
func TestTheListsInAnswersAreBounded(t *testing.T) { // H4
	t.Parallel()
	list := strings.TrimSuffix(strings.Repeat("{},", maxValues+1), ",")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathGenesis {
			write(w, 200, []byte(`{"founders":[`+list+`]}`))
			return
		}
		write(w, 200, []byte(`{"id":2,"seen_members":[`+strings.ReplaceAll(list, "{}", "2")+`]}`))
	})}
	l := listen(t)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	n := sender(t, "http://"+l.Addr().String())
	if answer, err := n.Genesis(t.Context(), 2, identity.GenesisRequest{}); err == nil {
		t.Errorf("an answer has %d founders", len(answer.Founders))
	}
	if status, err := n.Status(t.Context(), 2); err == nil {
		t.Errorf("a status has %d members with a seat", len(status.SeenMembers))
	}
}

// A leader that restarts closes its idle connections. The next proposal must find that out by itself.
func TestProposalsSurviveARestartOfTheLeader(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	first := nodes[1]
	propose := func(context.Context, [][]byte) []node.Outcome { return []node.Outcome{{Err: node.ErrNotLeader}} }
	first.fake.propose = propose
	start(t, nodes...)
	if _, err := nodes[0].Propose(t.Context(), 2, oneCommand); err != nil {
		t.Fatal(err)
	}
	closeTransport(t, first.Transport)
	l, err := net.Listen("tcp", first.listener.Addr().String())
	if err != nil {
		t.Skipf("another program took the port: %v", err)
	}
	again := &testNode{fake: newFakeNode(), listener: l, Transport: New(Config{
		ID: 2, ClusterID: testCluster, Members: []identity.Member{{ID: raft.NodeID(1)}},
	})}
	again.fake.propose = propose
	start(t, again)
	eventually(t, "a proposal arrives", func() bool {
		_, err := nodes[0].Propose(t.Context(), 2, oneCommand)
		return err == nil
	})
}
