package clienttest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
)

// members gives the membership. The cluster must be locked.
func (c *Cluster) members() api.Membership {
	var m api.Membership
	for _, n := range c.Nodes {
		m.Members = append(m.Members, api.ConfigMember{
			ID: n.ID, Address: n.URL, APIAddress: n.URL, Role: "voter",
		})
	}
	return m
}

func (n *Node) role() string {
	if _, leader := n.sees(); leader == n.ID {
		return "LEADER"
	}
	return "FOLLOWER"
}

func (n *Node) getCluster(w http.ResponseWriter, _ *http.Request) {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	answer(w, n.view())
}

// view is how the node sees the cluster, which must be locked.
func (n *Node) view() api.ClusterView {
	c := n.cluster
	term, leader := n.sees()
	v := api.ClusterView{
		ClusterID: c.ID, NodeID: n.ID, State: api.StateMember, Role: n.role(), Term: term, LeaderID: leader,
		CommitIndex: c.index, LastApplied: c.index, LastLogIndex: c.index, Config: c.members(), Version: "test",
		Ready: leader != 0, SeenMembers: []uint64{}, Capabilities: []string{},
	}
	for _, each := range c.Nodes {
		v.SeenMembers = append(v.SeenMembers, each.ID)
	}
	return v
}

// postBootstrap answers as a node that was bootstrapped long ago: it is what it is.
func (n *Node) postBootstrap(w http.ResponseWriter, r *http.Request) {
	var request api.BootstrapRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		Fail(w, &api.Error{Code: api.CodeInvalid, Message: err.Error()})
		return
	}
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	same := request.ClusterID == c.ID && request.NodeID == n.ID &&
		slices.Equal(request.Members, c.members().Members)
	if !same {
		Fail(w, &api.Error{Code: api.CodeConflict, Message: "this node belongs to cluster " + c.ID})
		return
	}
	answer(w, n.view())
}

func (n *Node) getStatus(w http.ResponseWriter, _ *http.Request) {
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	voters := len(c.Nodes)
	s := api.ClusterStatus{
		ClusterID: c.ID, Observer: n.ID, LeaderID: c.leader, Term: c.term, Config: c.members(),
		Health: api.Health{
			State: api.Healthy, Voters: voters, Reachable: voters, Quorum: voters/2 + 1, Tolerates: (voters - 1) / 2,
		},
	}
	for _, each := range c.Nodes {
		s.Nodes = append(s.Nodes, api.NodeStatus{Healthy: true, Status: api.Status{
			ID: each.ID, ClusterID: c.ID, Address: each.URL, APIAddress: each.URL, Version: "test",
			LifeCycle: "member", State: each.role(), CurrentTerm: c.term, LeaderID: c.leader, CommitIndex: c.index,
			LastApplied: c.index, LastLogIndex: c.index, FirstIndex: 1,
		}})
	}
	answer(w, s)
}

func (n *Node) getLogs(w http.ResponseWriter, r *http.Request) {
	limit := api.DefaultLogEntries
	if text := r.URL.Query().Get("limit"); text != "" {
		limit, _ = strconv.Atoi(text)
	}
	from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	page := api.LogPage{FirstIndex: 1, LastIndex: c.index, CommitIndex: c.index}
	first := max(int(from)-1, 0)
	if from == 0 {
		first = max(len(c.log)-limit, 0)
	}
	if first < len(c.log) {
		page.Entries = c.log[first:min(first+limit, len(c.log))]
	}
	answer(w, page)
}

func (n *Node) getKey(w http.ResponseWriter, r *http.Request) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), api.PathKV))
	if err != nil {
		Fail(w, &api.Error{Code: api.CodeInvalid, Message: err.Error()})
		return
	}
	n.cluster.mu.Lock()
	record, ok := n.cluster.records[key]
	n.cluster.mu.Unlock()
	w.Header().Set(api.HeaderConsistency, string(api.Linearizable))
	if !ok {
		Fail(w, &api.Error{Code: api.CodeNotFound, Message: "no such key"})
		return
	}
	answer(w, record)
}

func (n *Node) postTransfer(w http.ResponseWriter, r *http.Request) {
	var request api.TransferRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		Fail(w, &api.Error{Code: api.CodeInvalid, Message: err.Error()})
		return
	}
	c := n.cluster
	c.mu.Lock()
	if request.ExpectedTerm != 0 && request.ExpectedTerm != c.term {
		c.mu.Unlock()
		Fail(w, &api.Error{Code: api.CodeConflict, Message: "the term is not the expected one"})
		return
	}
	to := request.To
	if to == 0 {
		to = c.leader%uint64(len(c.Nodes)) + 1
	}
	known := to <= uint64(len(c.Nodes))
	c.mu.Unlock()
	if !known {
		Fail(w, &api.Error{Code: api.CodeInvalid, Message: "the target is not another voting member"})
		return
	}
	c.Elect(to)
	c.mu.Lock()
	defer c.mu.Unlock()
	answer(w, api.TransferResponse{LeaderID: c.leader, Term: c.term})
}

func (n *Node) postBatch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	c := n.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	stale := r.URL.Query().Get(api.ParamConsistency) == string(api.Stale) // the clients send these without writes
	if c.leader == 0 && !stale {
		Fail(w, &api.Error{Code: api.CodeNoLeader, Message: "the cluster has none right now"})
		return
	}
	var out bytes.Buffer
	lines := 0
	for line := range bytes.Lines(body) {
		lines++
		if n.aloneIn > 0 && !stale {
			// Like a real node, which tells per line.
			out.Write(mustJSON(api.ErrorBody{Error: &api.Error{Code: api.CodeNoLeader, Message: "cut off"}}))
		} else {
			out.Write(c.run(line))
		}
		out.WriteByte('\n')
	}
	n.batches = append(n.batches, lines)
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = w.Write(out.Bytes())
}

// run does one command and gives its line of the answer. The cluster must be locked.
func (c *Cluster) run(line []byte) []byte {
	var command api.Command
	result, record, failure := any(nil), (*api.RecordMeta)(nil), (*api.Error)(nil)
	if err := json.Unmarshal(line, &command); err != nil {
		failure = &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	} else {
		result, record, failure = c.apply(command)
	}
	if failure != nil {
		return mustJSON(api.ErrorBody{Error: failure})
	}
	return mustJSON(api.CommandResponse{Index: c.index, Term: c.term, Result: mustJSON(result), Record: record})
}

func (c *Cluster) apply(command api.Command) (any, *api.RecordMeta, *api.Error) {
	old, exists := c.records[command.Key]
	if command.Op == api.OpGet {
		if !exists {
			return nil, nil, &api.Error{Code: api.CodeNotFound, Message: "no such key"}
		}
		return old.Value, &old.RecordMeta, nil
	}
	c.index++
	c.log = append(c.log, api.LogEntry{Index: c.index, Term: c.term, Type: "command", Command: mustJSON(command)})
	differs := command.IfRevision != nil && *command.IfRevision != old.ModRevision
	if differs || command.IfAbsent && exists {
		return nil, nil, &api.Error{
			Code: api.CodePreconditionFailed, Revision: old.ModRevision,
			Message: "the key has another revision",
		}
	}
	switch command.Op {
	case api.OpDelete:
		delete(c.records, command.Key)
		return api.DeleteResult{Deleted: exists}, nil, nil
	case api.OpIncr:
		var n, by int64
		if exists && json.Unmarshal(old.Value, &n) != nil {
			return nil, nil, &api.Error{Code: api.CodeConflict, Message: "the value is not a whole number"}
		}
		by, _ = command.By.Int64()
		c.store(command.Key, mustJSON(n+by), api.RecordMeta{ContentType: "application/json"})
		return n + by, nil, nil
	case api.OpCas:
		current := json.RawMessage("null")
		if exists {
			current = old.Value
		}
		if !bytes.Equal(current, command.Expected) {
			return api.CasResult{Value: current}, nil, nil
		}
		c.store(command.Key, command.Value, api.RecordMeta{ContentType: "application/json"})
		return api.CasResult{Swapped: true}, nil, nil
	}
	c.put(command)
	return api.PutResponse{Revision: c.index, Created: !exists}, nil, nil
}

// put stores the value of a put or set.
func (c *Cluster) put(command api.Command) {
	meta := api.RecordMeta{ContentType: command.ContentType, Encoding: command.Encoding}
	value := command.Value
	switch {
	case command.Op == api.OpSet:
		meta.ContentType = "application/json"
	case len(command.JSON) > 0:
		value, meta.ContentType = command.JSON, "application/json"
	case meta.ContentType == "":
		meta.ContentType = "application/octet-stream"
	case strings.HasPrefix(meta.ContentType, "application/json") && meta.Encoding == "":
		value, meta.Encoding = textAsJSON(value)
	}
	c.store(command.Key, value, meta)
}

// textAsJSON turns a put's string, whose text is said to be JSON, into what a read shows.
func textAsJSON(value json.RawMessage) (json.RawMessage, string) {
	var text string
	if json.Unmarshal(value, &text) == nil && json.Valid([]byte(text)) {
		return json.RawMessage(text), ""
	}
	return mustJSON(base64.StdEncoding.EncodeToString([]byte(text))), api.EncodingBase64
}

func (c *Cluster) store(key string, value json.RawMessage, meta api.RecordMeta) {
	if !utf8.Valid(value) {
		panic("clienttest: a value that is not JSON was stored")
	}
	old := c.records[key]
	meta.CreateRevision, meta.ModRevision, meta.Version = old.CreateRevision, c.index, old.Version+1
	if old.Version == 0 {
		meta.CreateRevision = c.index
	}
	c.records[key] = api.Record{Key: key, Value: value, RecordMeta: meta}
}

func mustJSON(value any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("clienttest: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'})
}
