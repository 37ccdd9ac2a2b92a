package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// fakeNode is a cluster of one that commits at once, with the real state machine. Its fields make it fail; they are set
// before the server starts, or under the lock.
type fakeNode struct {
	staleness func() func() (time.Duration, bool) // nil: as in status
	lease     func() bool                         // whether the lease holds after a read; nil: there is none
	afterGet  func()                              // what happens after a record was read; nil: nothing
	scan      func(kv.Query) (kv.Page, error)     // nil: of the store
	onPropose func()                              // what happens after commands were applied, under the lock; nil: nothing
	onAwait   func()                              // what happens in AwaitApplied, under the lock; nil: nothing

	mu     sync.Mutex
	store  *kv.Store
	log    []raft.Entry
	status api.Status
	config api.Membership
	events []api.ObservedEvent
	more   chan struct{}

	soundErr, proposeErr, barrierErr, awaitErr, logErr, transferErr, bootstrapErr error

	full        error  // of commands that may add data; nil: there is room
	address2    string // the API address of member 2, which Observe learns
	panics      bool   // in Propose
	batches     []int  // number of commands of each Propose
	barriers    int    // number of ReadBarrier calls
	awaited     uint64 // argument of the last AwaitApplied
	transferred []raft.NodeID

	backupErr error
	sources   atomic.Int32 // backups that are not released
	opened    atomic.Int32 // backups
	padding   int          // bytes that each backup has in addition

	bootstrapped []identity.Member
	changes      []api.MemberChange // that ChangeMembers took
	changeErr    error
	peers        []api.NodeStatus // that Observe reports beside its own two
	stalled      bool
}

var (
	_ Node        = (*node.Node)(nil)
	_ Observation = (*observation.Observation)(nil)
	_ Node        = (*fakeNode)(nil)
)

func newFakeNode() *fakeNode {
	return &fakeNode{
		store: kv.New(), more: make(chan struct{}),
		status: api.Status{
			ID: 1, ClusterID: "demo", Address: "http://h1:7080", APIAddress: "http://h1:8080", Version: "test",
			LifeCycle: api.StateMember, State: "LEADER", CurrentTerm: 3, VotedFor: 1, LeaderID: 1, FirstIndex: 1,
			MatchIndex:  map[uint64]uint64{1: 7, 2: 5},
			NextIndex:   map[uint64]uint64{2: 6},
			Progress:    map[uint64]api.Progress{2: {State: "replicate", Inflight: 1, RTTMs: 0.5, AckAgeMs: 3}},
			Latency:     api.LatencySummary{Write: api.Quantiles{P50: 1, P99: 2, Count: 3, Buckets: []uint64{1, 2}}},
			SeenMembers: []uint64{1, 2},
		},
		config: api.Membership{Index: 0, Members: []api.ConfigMember{
			{ID: 1, Address: "http://h1:7080", APIAddress: "http://h1:8080", Role: "voter"},
			{ID: 2, Address: "http://h2:7080", APIAddress: "http://h2:8080", Role: "voter"},
			{ID: 3, Address: "http://h3:7080", Role: "learner"},
		}},
	}
}

func (f *fakeNode) Propose(ctx context.Context, commands [][]byte) []node.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics {
		panic("planted: secret of the inside")
	}
	f.batches = append(f.batches, len(commands))
	outcomes := make([]node.Outcome, len(commands))
	for i, command := range commands {
		if f.proposeErr != nil {
			outcomes[i].Err = f.proposeErr
			continue
		}
		if f.full != nil && kv.MayGrow(command) {
			outcomes[i].Err = f.full
			continue
		}
		index := raft.Index(len(f.log) + 1)
		entry := kv.Entry{Revision: uint64(index), Timestamp: 1700000000000001, Command: command}
		f.log = append(f.log, raft.Entry{Index: index, Term: 3, Timestamp: entry.Timestamp, Command: command})
		outcomes[i] = node.Outcome{Index: index, Term: 3, Result: f.store.Apply(entry)}
		if b := node.AnswerBudgetOf(ctx); b != nil && !b.Take(outcomes[i].Result.JSONSize()) {
			outcomes[i] = node.Outcome{Err: node.ErrOverloaded}
		}
	}
	if f.onPropose != nil {
		f.onPropose()
	}
	return outcomes
}

// OpenBackup returns the state in the form of package snapshottest. The copy is as old as it may be.
func (f *fakeNode) OpenBackup(_ context.Context, including raft.Index) (snapshot.Source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened.Add(1)
	if f.backupErr != nil {
		return nil, f.backupErr
	}
	start := raft.LogStart{Index: raft.Index(f.store.Applied()), Term: 3, Digest: 1}
	if including > start.Index {
		return nil, errors.New("the index is not applied")
	}
	file := (&snapshottest.File{}).With(&snapshot.Checkpoint{Delta: f.store.Delta(0)}, start)
	return snapshottest.NewSource(append(file.Encode(), make([]byte, f.padding)...), start, &f.sources), nil
}

func (f *fakeNode) ReadBarrier(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.barriers++
	return f.barrierErr
}

// BeginLeaseRead begins a read under a lease, or makes a barrier if there is none.
func (f *fakeNode) BeginLeaseRead(ctx context.Context) (node.LeaseRead, error) {
	if f.lease == nil {
		return node.LeaseRead{Consistency: api.Linearizable, Holds: func() bool { return true }}, f.ReadBarrier(ctx)
	}
	return node.LeaseRead{Consistency: api.Lease, Holds: f.lease}, nil
}

func (f *fakeNode) AwaitApplied(_ context.Context, index raft.Index) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited = uint64(index)
	if f.onAwait != nil {
		f.onAwait()
	}
	return f.awaitErr
}

// apply applies a command as the next entry. The node must be locked.
func (f *fakeNode) apply(command string) {
	revision := f.store.Applied() + 1
	f.store.Apply(kv.Entry{Revision: revision, Timestamp: 1700000000000001, Command: []byte(command)})
}

func (f *fakeNode) Get(key string) (kv.Record, bool) {
	if f.afterGet != nil {
		defer f.afterGet()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.Get(key)
}

func (f *fakeNode) GetAt(key string, revision uint64) (kv.Record, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.GetAt(key, revision)
}

func (f *fakeNode) Scan(q kv.Query) (kv.Page, error) {
	if f.scan != nil {
		return f.scan(q)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.Scan(q)
}

func (f *fakeNode) Count(from, to string, revision uint64, maxVisits int) (node.Counted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	keys, next, err := f.store.Count(from, to, revision, maxVisits)
	return node.Counted{Keys: keys, Next: next, Revision: cmp.Or(revision, f.store.Applied())}, err
}

func (f *fakeNode) History(key string, before uint64, limit int) node.History {
	f.mu.Lock()
	defer f.mu.Unlock()
	return node.History{
		Changes: f.store.History(key, before, limit), Compacted: f.store.Compacted(), Revision: f.store.Applied(),
	}
}

func (f *fakeNode) Sound() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.soundErr
}

func (f *fakeNode) Revision() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.store.Applied()
}

func (f *fakeNode) Staleness() func() (time.Duration, bool) {
	if f.staleness != nil {
		return f.staleness()
	}
	ms := f.Status().StalenessMs
	return func() (time.Duration, bool) { return time.Duration(ms) * time.Millisecond, ms >= 0 }
}

func (f *fakeNode) Status() api.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.LastLogIndex = uint64(len(f.log))
	return s
}

func (f *fakeNode) Observe(context.Context) api.ClusterStatus {
	status := f.Status()
	f.learn()
	return api.ClusterStatus{
		ClusterID: "demo", Observer: 1, LeaderID: status.LeaderID, Term: status.CurrentTerm,
		Health: api.Health{State: api.Degraded, Voters: 2, Reachable: 1, Quorum: 2, Reasons: []string{"node 2 is away"}},
		Config: f.Membership(),
		Nodes: append([]api.NodeStatus{
			{Status: status, Healthy: true},
			{Status: api.Status{ID: 2, SeenMembers: []uint64{}}, AgeMs: -1, Error: "connection refused"},
		}, f.peers...),
		RecentEvents: []api.ObservedEvent{{Cursor: 1, Event: api.Event{
			Seq: 1, Node: 1, AtMs: 1, Kind: api.EventElected, Term: 3, From: 1, To: 2, PreVote: true, Granted: true,
			Role: "LEADER", Votes: []uint64{1, 2}, DurationMs: 9, Reason: "why",
		}}},
	}
}

// learn sets the address that member 2 reports when it is polled.
func (f *fakeNode) learn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.address2 != "" {
		f.config.Members = slices.Clone(f.config.Members)
		f.config.Members[1].APIAddress = f.address2
	}
}

func (f *fakeNode) Membership() api.Membership {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.config
}

func (f *fakeNode) Log(_ context.Context, from raft.Index, limit int) (node.LogPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := node.LogPage{FirstIndex: 1, LastIndex: raft.Index(len(f.log)), CommitIndex: raft.Index(len(f.log))}
	for _, e := range f.log {
		if e.Index >= from && len(page.Entries) < limit {
			page.Entries = append(page.Entries, e)
		}
	}
	return page, f.logErr
}

func (f *fakeNode) Events(since uint64) ([]api.ObservedEvent, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var after []api.ObservedEvent
	for _, e := range f.events {
		if e.Cursor > since {
			after = append(after, e)
		}
	}
	return after, f.more
}

// happen adds an event, as the loop of a node does.
func (f *fakeNode) happen(kind api.EventKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cursor := uint64(len(f.events) + 1)
	f.events = append(f.events, api.ObservedEvent{Cursor: cursor, Event: api.Event{Seq: cursor, Node: 1, Kind: kind}})
	close(f.more)
	f.more = make(chan struct{})
}

func (f *fakeNode) HandOver(_ context.Context, term raft.Term, to raft.NodeID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.transferErr == nil && term != 0 && uint64(term) != f.status.CurrentTerm {
		return node.ErrTermChanged
	}
	if f.transferErr != nil {
		return f.transferErr
	}
	f.transferred = append(f.transferred, to)
	f.status.LeaderID, f.status.CurrentTerm = uint64(max(to, 2)), 4
	return nil
}

func (f *fakeNode) Bootstrap(_ context.Context, clusterID string, id raft.NodeID, members []identity.Member) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bootstrapErr != nil {
		return f.bootstrapErr
	}
	f.status.LifeCycle, f.status.ClusterID, f.status.ID = api.StateMember, clusterID, uint64(id)
	f.bootstrapped = members
	return nil
}

func (f *fakeNode) Members() api.Membership { return f.Membership() }

// ChangeMembers takes every change, and has the configuration of the index 9 afterwards.
func (f *fakeNode) ChangeMembers(_ context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changeErr != nil {
		return api.MemberChangeResponse{}, f.changeErr
	}
	f.changes = append(f.changes, change)
	f.config.Index = 9
	response := api.MemberChangeResponse{Config: f.config}
	for range change.Add {
		response.Added = append(response.Added, uint64(4+len(response.Added)))
	}
	return response, nil
}

func (f *fakeNode) Stalled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stalled
}

// testAPI is a server under test, on a real connection.
type testAPI struct {
	t    *testing.T
	node *fakeNode
	rest *Server
	url  string
	log  *lockedBuffer
}

// serve starts a server for a fake node, after prepare has changed both.
func serve(t *testing.T, prepare ...func(*fakeNode, *Options)) *testAPI {
	t.Helper()
	a := &testAPI{t: t, node: newFakeNode(), log: &lockedBuffer{}}
	options := Options{Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(a.log, nil))}
	for _, p := range prepare {
		p(a.node, &options)
	}
	var err error
	if a.rest, err = New(a.node, a.node, options); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- a.rest.Serve(listener) }()
	t.Cleanup(func() {
		_ = a.rest.http.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		eventually(t, "the requests have released their memory", func() bool { return a.rest.memory.Used() == 0 })
	})
	return a
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request; headers are name, value, name, value.
func (a *testAPI) ask(method, path, body string, headers ...string) answer {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// want sends a request and fails the test unless the status is the expected one.
func (a *testAPI) want(status int, method, path, body string, headers ...string) answer {
	a.t.Helper()
	got := a.ask(method, path, body, headers...)
	if got.status != status {
		a.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got.status, status, got.body)
	}
	return got
}

// decode parses JSON into a type of the API, and fails on a field that the type does not have.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%T from %s: %v", value, text, err)
	}
	return value
}

// lockedBuffer collects the log of a server.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
