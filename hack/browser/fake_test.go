package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/dashboard"
)

// fakeCluster serves the page and the API from a state that a test writes. It uses the contract's own types, so a
// field that is renamed there breaks this build, not only the page.
type fakeCluster struct {
	server *httptest.Server

	mu       sync.Mutex
	status   any // a api.ClusterStatus, or whatever a fuzz test makes of it
	events   []api.ObservedEvent
	log      []api.LogEntry
	commit   uint64
	keys     map[string]api.Record
	cluster  api.ClusterView
	deaf     bool // sends no response, but keeps its connections
	noStream bool // has no event stream
	answers  map[string]answer
	changed  chan struct{}
	members  []string // further origins that the page may use
}

// answer is a canned answer for one "METHOD /path".
type answer struct {
	status int
	body   string
}

// frozen is the time of the fixtures.
var frozen = time.Date(2026, 11, 3, 12, 4, 11, 0, time.UTC)

// startFake serves a healthy cluster of voters, led by node 2 in term 14.
func startFake(t *testing.T, voters int) *fakeCluster {
	t.Helper()
	c := &fakeCluster{
		keys: map[string]api.Record{}, answers: map[string]answer{}, changed: make(chan struct{}),
		cluster: api.ClusterView{
			ClusterID: "demo", NodeID: 1, State: "member", Role: "FOLLOWER",
			Capabilities: []string{},
		},
	}
	c.server = httptest.NewServer(c.routes())
	t.Cleanup(func() {
		c.server.CloseClientConnections()
		c.server.Close()
	})
	c.status = healthy(voters, c.server.URL)
	c.events = election(14, 2, voters)
	c.fill(40)
	return c
}

// fill writes entries into the log, the last of them committed.
func (c *fakeCluster) fill(count int) {
	for i := 1; i <= count; i++ {
		entry := api.LogEntry{
			Index: uint64(i), Term: uint64(12 + i/15), Type: "command", Timestamp: float64(frozen.Unix() - int64(count-i)),
			Command: json.RawMessage(fmt.Sprintf(`{"op":"set","key":"cfg/%c","value":%d}`, 'a'+i%7, i)),
		}
		if i%15 == 1 {
			entry.Type, entry.Command = "noop", json.RawMessage(`{"op":"noop"}`)
		}
		c.log = append(c.log, entry)
	}
	c.commit = uint64(count)
}

// healthy is node 1's status of a healthy cluster.
func healthy(voters int, origin string) api.ClusterStatus {
	s := api.ClusterStatus{
		ClusterID: "demo", Observer: 1, LeaderID: uint64(min(2, voters)), Term: 14,
		Health: api.Health{
			State: api.Healthy, Voters: voters, Reachable: voters, Quorum: voters/2 + 1,
			Tolerates: voters - voters/2 - 1, Reasons: []string{},
		},
	}
	for i := 1; i <= voters; i++ {
		id := uint64(i)
		url := ""
		if i == 1 {
			url = origin
		}
		s.Config.Members = append(s.Config.Members, api.ConfigMember{
			ID: id, Address: fmt.Sprintf("http://127.0.0.1:%d", 7079+i), APIAddress: url, Role: "voter",
		})
		s.Nodes = append(s.Nodes, api.NodeStatus{Healthy: true, Status: follower(id, s.LeaderID, url)})
	}
	lead(&s)
	return s
}

func follower(id, leader uint64, url string) api.Status {
	return api.Status{
		ID: id, ClusterID: "demo", Version: "0.1.0", LifeCycle: api.StateMember, State: "FOLLOWER", CurrentTerm: 14,
		APIAddress: url, LeaderID: leader, VotedFor: leader, CommitIndex: 40, LastApplied: 40, LastLogIndex: 40,
		FirstIndex:    1,
		UptimeSeconds: 3600, LastContactMs: 38 + int64(id), Disk: api.Disk{LogBytes: 84e6, FreeBytes: 90e9},
		Latency: api.LatencySummary{Fsync: api.Quantiles{
			P50: 1, P99: 3.1, Count: 120,
			Buckets: []uint64{40, 50, 20, 9, 1},
		}},
		Rates: api.Rates{Reads: 120},
	}
}

// lead gives the leader of a status the progress of the others.
func lead(s *api.ClusterStatus) {
	if s.LeaderID == 0 {
		return
	}
	l := &s.Nodes[s.LeaderID-1].Status
	l.State, l.LastContactMs, l.LeaderForSeconds = "LEADER", 0, 3*86400
	l.NextIndex, l.MatchIndex, l.Progress = map[uint64]uint64{}, map[uint64]uint64{},
		map[uint64]api.Progress{}
	l.Latency.Write = api.Quantiles{P50: 2.1, P99: 8.4, Count: 900, Buckets: []uint64{10, 200, 400, 220, 60, 9, 1}}
	l.Rates.Writes = 1204
	for _, n := range s.Nodes {
		if n.ID != s.LeaderID {
			l.NextIndex[n.ID], l.MatchIndex[n.ID] = n.LastLogIndex+1, n.LastLogIndex
			l.Progress[n.ID] = api.Progress{State: "replicate", RTTMs: 0.4 + float64(n.ID)/5, AckAgeMs: 40}
		}
	}
}

// election is the events of an election: requests, responses, elected.
func election(term, leader uint64, voters int) []api.ObservedEvent {
	var events []api.ObservedEvent
	add := func(e api.Event) {
		e.Seq, e.Term, e.AtMs = uint64(term)*100+uint64(len(events)), term, frozen.UnixMilli()
		events = append(events, api.ObservedEvent{Cursor: e.Seq, Event: e})
	}
	votes := []uint64{leader}
	for i := 1; i <= voters; i++ {
		id := uint64(i)
		if id == leader {
			continue
		}
		add(api.Event{Node: leader, Kind: api.EventVoteAsked, From: leader, To: id})
		granted := len(votes) <= voters/2
		add(api.Event{Node: id, Kind: api.EventVote, From: id, To: leader, Granted: granted})
		if granted {
			votes = append(votes, id)
		}
	}
	slices.Sort(votes)
	add(api.Event{Node: leader, Kind: api.EventElected, From: leader, Votes: votes, DurationMs: 214})
	return events
}

// change writes a new state and notifies the streams.
func (c *fakeCluster) change(write func(c *fakeCluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write(c)
	close(c.changed)
	c.changed = make(chan struct{})
}

// alter changes the status of a cluster that still has the contract's shape.
func (c *fakeCluster) alter(write func(s *api.ClusterStatus)) {
	c.change(func(c *fakeCluster) {
		s := c.status.(api.ClusterStatus)
		s.Nodes = slices.Clone(s.Nodes)
		write(&s)
		c.status = s
	})
}

// lose makes members unreachable in node 1's status.
func lose(s *api.ClusterStatus, ids ...int) {
	for _, id := range ids {
		n := &s.Nodes[id-1]
		n.Healthy, n.AgeMs, n.Error = false, 12000, "connection refused"
		s.Health.Reachable--
		s.Health.Reasons = append(s.Health.Reasons, fmt.Sprintf("node %d cannot be reached: connection refused", id))
	}
	s.Health.Tolerates = max(0, s.Health.Reachable-s.Health.Quorum)
	s.Health.State = api.Degraded
	if s.Health.Reachable < s.Health.Quorum {
		s.Health.State, s.LeaderID = api.NoQuorum, 0
	}
}

func (c *fakeCluster) routes() http.Handler {
	mux := http.NewServeMux()
	page := dashboard.Handler(dashboard.Options{MemberOrigins: func() []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return append([]string{c.server.URL}, c.members...)
	}})
	mux.Handle("/", page)
	mux.HandleFunc("GET /api/status", c.getStatus)
	mux.HandleFunc("GET /api/v1/events", c.getEvents)
	mux.HandleFunc("GET /api/logs", c.getLogs)
	mux.HandleFunc("GET /api/v1/cluster", func(w http.ResponseWriter, _ *http.Request) { c.writeJSON(w, c.cluster) })
	mux.HandleFunc("POST /api/command", c.postCommand)
	mux.HandleFunc("/api/v1/kv/{key}", c.key)
	mux.HandleFunc("GET /favicon.ico", http.NotFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		c.mu.Lock()
		deaf := c.deaf
		canned, ok := c.answers[r.Method+" "+r.URL.Path]
		c.mu.Unlock()
		switch {
		case deaf && strings.HasPrefix(r.URL.Path, "/api/"):
			<-r.Context().Done()
		case ok:
			w.WriteHeader(canned.status)
			_, _ = io.WriteString(w, canned.body)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (c *fakeCluster) writeJSON(w http.ResponseWriter, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (c *fakeCluster) getStatus(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	status := c.status
	if s, ok := status.(api.ClusterStatus); ok {
		s.RecentEvents = c.events
		status = s
	}
	c.mu.Unlock()
	c.writeJSON(w, status)
}

// getEvents streams the status twice a second and at each change, and every event once.
func (c *fakeCluster) getEvents(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	refused := c.noStream
	c.mu.Unlock()
	if refused {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	sent := 0
	for {
		c.mu.Lock()
		status, changed, events, deaf := c.status, c.changed, c.events[sent:], c.deaf
		sent += len(events)
		c.mu.Unlock()
		if deaf {
			<-r.Context().Done()
			return
		}
		for _, e := range events {
			raw, _ := json.Marshal(e)
			_, _ = fmt.Fprintf(w, "event: raft\nid: %d\ndata: %s\n\n", e.Cursor, raw)
		}
		raw, _ := json.Marshal(status)
		_, _ = fmt.Fprintf(w, "event: status\ndata: %s\n\n", raw)
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-time.After(500 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

func (c *fakeCluster) getLogs(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	from, _ := strconv.Atoi(r.FormValue("from"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	last := len(c.log)
	if from == 0 {
		from = max(1, last-limit+1)
	}
	page := api.LogPage{FirstIndex: 1, LastIndex: uint64(last), CommitIndex: c.commit, Entries: []api.LogEntry{}}
	if from <= last {
		page.Entries = slices.Clone(c.log[from-1 : min(last, from-1+limit)])
	}
	c.mu.Unlock()
	c.writeJSON(w, page)
}

// postCommand appends the command to the log and returns the result of a set.
func (c *fakeCluster) postCommand(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	index := c.append(body)
	c.writeJSON(w, api.CommandResponse{
		Index: index, Term: 14,
		Result: json.RawMessage(fmt.Sprintf(`{"revision":%d,"created":true}`, index)),
	})
}

// append adds a committed entry, which every node has.
func (c *fakeCluster) append(command []byte) uint64 {
	var index uint64
	c.alter(func(s *api.ClusterStatus) {
		index = uint64(len(c.log)) + 1
		c.log = append(c.log, api.LogEntry{
			Index: index, Term: 14, Type: "command", Command: command, Timestamp: float64(frozen.Unix()),
		})
		c.commit = index
		for i := range s.Nodes {
			n := &s.Nodes[i].Status
			n.LastLogIndex, n.CommitIndex, n.LastApplied = index, index, index
			n.MatchIndex = maps.Clone(n.MatchIndex)
			for id := range n.MatchIndex {
				n.MatchIndex[id] = index
			}
		}
	})
	return index
}

// put stores a text under a key.
func (c *fakeCluster) put(key, text string, revision uint64) {
	value, _ := json.Marshal(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[key] = api.Record{Key: key, Value: value, RecordMeta: api.RecordMeta{
		ContentType: "text/plain; charset=utf-8", CreateRevision: 1, ModRevision: revision, Version: 2,
	}}
}

// key serves GET, PUT and DELETE of one key, with If-Match.
func (c *fakeCluster) key(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	c.mu.Lock()
	record, found := c.keys[key]
	c.mu.Unlock()
	match := r.Header.Get("If-Match")
	switch {
	case r.Method == http.MethodGet && !found:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		c.writeJSON(w, record)
	case match != "" && match != fmt.Sprintf(`"%d"`, record.ModRevision):
		w.WriteHeader(http.StatusPreconditionFailed)
		_, _ = io.WriteString(w, `{"error":{"code":"precondition_failed","message":"the key has another revision"}}`)
	case r.Method == http.MethodPut:
		body, _ := io.ReadAll(r.Body)
		c.put(key, string(body), record.ModRevision+1)
		c.writeJSON(w, api.PutResponse{Revision: record.ModRevision + 1, Created: !found})
	case r.Method == http.MethodDelete:
		c.mu.Lock()
		delete(c.keys, key)
		c.mu.Unlock()
		c.writeJSON(w, api.DeleteResponse{Revision: record.ModRevision + 1, Deleted: found})
	}
}
