package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// mismatched are two nodes with another address of node 3 each.
func mismatched(t *testing.T, log *syncBuffer) []*testNode {
	t.Helper()
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Members = append(cfg.Members[:2:2], identity.Member{ID: 3, Address: fmt.Sprint("http://three:708", cfg.ID)})
		cfg.ClusterID = identity.StaticClusterID(cfg.Members)
		if cfg.ID == 1 {
			cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		}
	})
	start(t, nodes...)
	return nodes
}

const threeDiffers = "member 3 is at http://three:7081 in its own list and at http://three:7082 in the other"

func TestARefusalNamesTheEntryThatDiffers(t *testing.T) { // H3
	t.Parallel()
	for name, send := range map[string]func(*testing.T, *testNode){
		"of a message": func(t *testing.T, n *testNode) {
			n.Send([]raft.Message{heartbeat(2, 1)})
			next(t, n.fake.unreachable, "the report")
		},
		"of a question": func(t *testing.T, n *testNode) {
			_, err := n.Genesis(context.Background(), 2, identity.GenesisRequest{})
			var mismatch *identity.ListMismatchError
			if !errors.As(err, &mismatch) || !errors.Is(err, node.ErrNotSent) || !strings.Contains(err.Error(), threeDiffers) {
				t.Errorf("the error is %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log syncBuffer
			nodes := mismatched(t, &log)
			for range 3 {
				send(t, nodes[0])
			}
			want := "has another list of members than member 2: " + threeDiffers
			eventually(t, "the mismatch is known", func() bool { return nodes[0].Mismatch() == want })
			eventually(t, "the mismatch is logged", func() bool { return strings.Contains(log.String(), threeDiffers) })
			if lines := strings.Count(log.String(), "level=WARN"); lines != 1 {
				t.Errorf("%d warnings, want 1:\n%s", lines, log.String())
			}
		})
	}
}

func TestAMismatchEndsWhenThePeerAnswers(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	p := nodes[0].who.Load().peers[2]
	p.differs = "member 9 is only in the other, at http://nine:1"
	_, _ = nodes[0].ReadIndex(canceled(), 2, 1, false)
	if nodes[0].Mismatch() == "" {
		t.Error("a request that was not answered ends it")
	}
	if _, err := nodes[0].Status(context.Background(), 2); err != nil || nodes[0].Mismatch() != "" {
		t.Errorf("after an answer (%v) it is still %q", err, nodes[0].Mismatch())
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestMembersWithTheSameMismatchAreNamedTogether(t *testing.T) {
	t.Parallel()
	tr := New(Config{ID: 1, ClusterID: "c", Members: []identity.Member{
		{ID: 1, Address: "http://a:1"},
		{ID: 2, Address: "http://b:1"},
		{ID: 3, Address: "http://c:1"},
		{ID: 4, Address: "http://d:1"},
	}})
	t.Cleanup(func() { closeTransport(t, tr) })
	for id, differs := range map[raft.NodeID]string{2: "x", 3: "y", 4: "x"} {
		tr.who.Load().peers[id].differs = differs
	}
	if got := tr.Mismatch(); got != "has another list of members than members 2, 4: x" {
		t.Errorf("it %s", got)
	}
}

// A program at a peer's address writes the list, so nothing that no list holds is shown.
func TestAListThatNoNodeHasIsNotShown(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, identity.MaxMembers+1)
	for id := range identity.MaxMembers + 1 {
		many = append(many, fmt.Sprintf(`{"id":%d,"address":"http://h%d:1"}`, id+1, id))
	}
	list := func(members ...string) string { return "[" + strings.Join(members, ",") + "]" }
	for name, members := range map[string]string{
		"no list":            `"http://a:1"`,
		"not JSON inside":    `[{"id":"one"}]`,
		"no id":              list(`{"address":"http://a:1"}`),
		"an id twice":        list(`{"id":1,"address":"http://a:1"}`, `{"id":1,"address":"http://b:1"}`),
		"an address twice":   list(`{"id":1,"address":"http://a:1"}`, `{"id":2,"address":"http://a:1"}`),
		"too many":           list(many...),
		"no URL":             list(`{"id":1,"address":"now run this command"}`),
		"credentials":        list(`{"id":1,"address":"http://u:p@a:1"}`),
		"a path":             list(`{"id":1,"address":"http://a:1/x"}`),
		"a terminal's codes": list(`{"id":1,"address":"http://[fe80::1%25\u001b[2J]:1"}`),
		"a line break":       list(`{"id":1,"address":"http://a:1\nlevel=ERROR"}`),
		"right to left":      list(`{"id":1,"address":"http://[fe80::1%25\u202e]:1"}`),
		"a long address":     list(`{"id":1,"address":"http://` + strings.Repeat("a.", 200) + `a:1"}`),
	} {
		body := `{"error":{"code":"cluster_mismatch","message":"m","members":` + members + `}}`
		no := readRefusal(http.StatusPreconditionFailed, []byte(body))
		if no.code != api.CodeClusterMismatch || no.members != nil {
			t.Errorf("%s: %s with the members %v", name, no.code, no.members)
		}
	}
	body := `{"error":{"code":"invalid","message":"m","members":[{"id":1,"address":"http://a:1"}]}}`
	if no := readRefusal(http.StatusBadRequest, []byte(body)); no.members != nil {
		t.Errorf("another refusal has the members %v", no.members)
	}
}

// The largest list that a cluster may begin with fits into the answer to a message.
func TestTheLargestListIsRead(t *testing.T) {
	t.Parallel()
	var members []identity.Member
	for id := range raft.NodeID(identity.MaxMembers) {
		label := strings.Repeat("a", 58)
		host := fmt.Sprintf("%s.%s.%s.%s%02d", label, label, label, label, id)
		members = append(members, identity.Member{ID: id + 1, Address: "http://" + host + ":65535"})
	}
	no := (&membership{clusterID: "c", founding: members}).checkCluster(&http.Request{Header: http.Header{}})
	text := appendRefusal(nil, no)
	if len(text) > maxSmallAnswer || !json.Valid(text) {
		t.Fatalf("the refusal has %d bytes, and at most %d are read", len(text), maxSmallAnswer)
	}
	if back := readRefusal(no.status, text); len(back.members) != len(members) || back.message != no.message {
		t.Errorf("of %d members %d arrive", len(members), len(back.members))
	}
}

// A request that the guard turns away learns nothing of the cluster.
func TestAWebPageGetsNoList(t *testing.T) { // DNS rebinding
	t.Parallel()
	nodes := mismatched(t, new(syncBuffer))
	r, err := http.NewRequest(http.MethodGet, nodes[1].url+pathStatus, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(headerCluster, "x")
	r.Header.Set(headerProtocol, protocolVersion)
	r.Header.Set("Origin", "http://evil.example")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := make([]byte, 4096)
	n, _ := response.Body.Read(text)
	if strings.Contains(string(text[:n]), "three") || response.StatusCode != http.StatusForbidden {
		t.Errorf("it gets %d %s", response.StatusCode, text[:n])
	}
}

// A hint is where any program may have called from, so a refusal that comes from there is not the peer's.
func TestAMismatchAtAHintDoesNotCount(t *testing.T) { // O20
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	p := nodes[0].who.Load().peers[2]
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: &refusal{
		status: 412, code: api.CodeClusterMismatch, members: []identity.Member{{ID: 1, Address: "http://evil:1"}},
	}}
	if _ = p.met(dial); nodes[0].Mismatch() != "" {
		t.Errorf("it %s", nodes[0].Mismatch())
	}
}

// afterAWhile makes the last line of a kind as old as it must be before the next one.
func afterAWhile(p *peer, kind string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logged[kind] = time.Now().Add(-lineEvery)
}

// lines counts the lines of a log with a text.
func (b *syncBuffer) lines(text string) int { return strings.Count(b.String(), text) }

// A peer that sends a correct message between two that no correct peer sends causes one line, not one for each pair.
func TestAPeerThatSendsNonsenseDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	tr := nodes[0].Transport
	nonsense := fmt.Errorf("%w: it is from tomorrow", raft.ErrBadMessage)
	alternate := func() {
		for range 100 {
			tr.judge(2, nonsense)
			tr.judge(2, nil)
		}
	}
	const line = "no correct peer"
	if alternate(); log.lines(line) != 1 {
		t.Fatalf("%d lines, want 1", log.lines(line))
	}
	p := tr.who.Load().peers[2]
	afterAWhile(p, lineBad)
	if alternate(); log.lines(line) != 2 {
		t.Errorf("%d lines after a while, want 2", log.lines(line))
	}
	afterAWhile(p, lineBad)
	for range 100 { // without a correct message between them, one row of them is one line
		tr.judge(2, nonsense)
	}
	if log.lines(line) != 3 {
		t.Errorf("%d lines after a row of 100, want 3", log.lines(line))
	}
}

// A peer that refuses in ever other words, answers between two refusals, or takes no connection, is one line of a kind.
func TestRefusalsThatChangeDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	p := nodes[0].who.Load().peers[2]
	change := func() {
		for i := range 100 {
			p.logRefusal(&refusal{status: 412, code: api.Code(fmt.Sprint("code", i))})
			differs := &identity.ListMismatchError{Text: fmt.Sprint(i)}
			p.logRefusal(&refusal{status: 412, code: api.CodeClusterMismatch, mismatch: differs})
			p.logRefusal(&net.OpError{Op: "dial", Err: errors.New("refused")})
			p.answered()
		}
	}
	if change(); log.lines("\n") != 3 {
		t.Errorf("%d lines, want 3:\n%s", log.lines("\n"), log.String())
	}
	afterAWhile(p, lineRefused)
	if change(); log.lines("\n") != 4 {
		t.Errorf("%d lines after a while, want 4:\n%s", log.lines("\n"), log.String())
	}
}
