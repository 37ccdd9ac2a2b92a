package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/http1"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// FuzzMessages writes messages and reads them: what arrives is what was sent.
func FuzzMessages(f *testing.F) {
	f.Add(uint8(0), uint64(7), uint64(2), uint64(9), uint64(6), uint64(5), uint64(4), uint8(0xff), "{}", int64(-1))
	f.Add(uint8(1), uint64(7), uint64(2), uint64(9), uint64(6), uint64(5), uint64(4), uint8(1), `{"op":"noop"}`, int64(0))
	f.Add(uint8(1), uint64(1<<53), uint64(1<<64-1), uint64(9), uint64(6), uint64(5), uint64(4), uint8(3),
		`{"op":"set","key":"k","value":[1,"\\"]}`, int64(1_790_000_000_123_456))
	f.Add(uint8(2), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint8(0), "null", int64(1))
	f.Fuzz(func(t *testing.T, kind uint8, term, a, b, c, d, e uint64, flags uint8, command string, micros int64) {
		flag := func(i int) bool { return flags&(1<<i) != 0 }
		requests := []raft.Message{
			{
				Type: raft.MsgRequestVote, LastLogIndex: raft.Index(b), LastLogTerm: raft.Term(c),
				PreVote: flag(0), Transfer: flag(1),
			},
			{
				Type: raft.MsgAppendEntries, PrevLogIndex: raft.Index(b), PrevLogTerm: raft.Term(c),
				LeaderCommit: raft.Index(d), RequestID: e, ReadSeq: a,
			},
			{Type: raft.MsgTimeoutNow},
		}
		m := requests[int(kind)%len(requests)]
		m.Term, m.From = raft.Term(term), raft.NodeID(a)
		if m.Type == raft.MsgAppendEntries && json.Valid([]byte(command)) && strings.TrimSpace(command) == command {
			micros %= 1 << 62 // a later time is refused, as the timestamp column could not hold it
			for i := range 1 + int(flags%3) {
				m.Entries = append(m.Entries, raft.Entry{
					Index: raft.Index(d/2 + 1 + uint64(i)), Term: raft.Term(e), Type: entryjson.TypeOf([]byte(command)),
					Timestamp: micros, Command: []byte(command),
				})
			}
		}
		got, err := decodeRequest(m.Type, appendRequest(nil, &m), nil)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("sent %+v, arrived %+v, %v", m, got, err)
		}
		responses := []raft.Message{
			{Type: raft.MsgRequestVoteResponse, PreVote: flag(0), VoteGranted: flag(1)},
			{
				Type: raft.MsgAppendEntriesResponse, Success: flag(0), MatchIndex: raft.Index(a),
				ConflictIndex: raft.Index(b), ConflictTerm: raft.Term(c), RequestID: d, ReadSeq: e,
			},
			{Type: raft.MsgTimeoutNowResponse},
		}
		r := responses[int(kind)%len(responses)]
		r.Term = raft.Term(term)
		if got, err := decodeResponse(m.Type, appendResponse(nil, &r)); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("answered %+v, arrived %+v, %v", r, got, err)
		}
	})
}

// fuzzReceiver is a node that accepts everything and keeps the last message.
type fuzzReceiver struct {
	fakeNode
	last  *raft.Message
	chunk *snapshot.Chunk
	err   error
}

func (n *fuzzReceiver) Deliver(_ context.Context, m raft.Message) (raft.Message, error) {
	n.last = &m
	return raft.Message{Type: responseTo(m.Type), Term: m.Term, RequestID: m.RequestID}, n.err
}

func (n *fuzzReceiver) HandlePropose(_ context.Context, commands [][]byte) []node.Outcome {
	outcomes := make([]node.Outcome, len(commands))
	for i := range outcomes {
		outcomes[i] = node.Outcome{Index: raft.Index(i + 1), Term: 1, Result: kv.Result{Revision: uint64(i + 1)}}
	}
	return outcomes
}

func (n *fuzzReceiver) HandleGenesis(context.Context, identity.GenesisRequest) (identity.GenesisAnswer, error) {
	return identity.GenesisAnswer{}, node.ErrNotReady
}

func (n *fuzzReceiver) HandleStateDigest(_ context.Context, index raft.Index) (divergence.State, error) {
	return divergence.State{Index: index, Known: true, Digest: 1<<64 - 1}, nil
}

func (n *fuzzReceiver) HandleFingerprint(_ context.Context, _ raft.NodeID, f divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	return f, nil
}

func (n *fuzzReceiver) HandleReadIndex(context.Context, raft.NodeID, raft.Term, bool) (raft.ReadPoint, error) {
	return raft.ReadPoint{Index: 7}, n.err
}

func (n *fuzzReceiver) TransferLeadershipIn(context.Context, raft.Term, raft.NodeID) error {
	return n.err
}

func (n *fuzzReceiver) HandleSnapshot(_ context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
	n.chunk = &c
	return snapshot.Answer{Term: c.Term, Offset: c.Size}, n.err
}

// lonely makes node 2 of three, which serves but never sends.
func lonely(tb testing.TB, r Receiver) *Transport {
	tb.Helper()
	members := []identity.Member{
		{ID: 1, Address: "http://h1:7080"}, {ID: 2, Address: "http://h2:7080"}, {ID: 3, Address: "http://h3:7080"},
	}
	tr := New(Config{ID: 2, ClusterID: testCluster, Members: members, MaxBodyBytes: 1 << 20})
	tb.Cleanup(tr.cancel)
	tr.receiver.Store(&r)
	return tr
}

// FuzzPeerPort sends requests to the port for peers. Whatever comes, it is answered with a status and a code of the
// table and in JSON, a fault of the sender never as a fault of ours; and what the node gets to see came from the peer
// that the headers name, in a body that means the same when it is written again.
func FuzzPeerPort(f *testing.F) {
	paths := []string{
		pathRequestVote, pathAppendEntries, pathTimeoutNow, pathPropose, pathReadIndex, pathTransfer, pathStatus,
		"/raft/v1/other", pathSnapshot,
	}
	body := func(m raft.Message) []byte {
		m.Term, m.From = 3, 1
		return appendRequest(nil, &m)
	}
	good := [][]byte{
		body(raft.Message{Type: raft.MsgRequestVote, PreVote: true}),
		body(raft.Message{Type: raft.MsgAppendEntries, Entries: entries(1, `{"op":"get","key":"k"}`)}),
		body(raft.Message{Type: raft.MsgTimeoutNow}),
		appendCommands([][]byte{[]byte(`{"op":"noop"}`), []byte(`1`)}),
		[]byte(`{"term":3}`), []byte(`{"term":3,"to":1}`), nil, nil, bodyOf(f, chunkOf([]byte("data"))),
	}
	for i, text := range good {
		f.Add(uint8(i), true, testCluster, "1", "2", "1", text)
		f.Add(uint8(i), false, testCluster, "1", "2", "1", text)
		f.Add(uint8(i), true, testCluster, "+1", "2", "", text)
		f.Add(uint8(i), true, "other", "18446744073709551616", "02", "2", []byte(`{"entries":[{}]}`))
		f.Add(uint8(i), true, testCluster, "1", "2", "1", []byte(`{"term":5,"leader_id":1,"candidate_id":1}`))
		f.Add(uint8(i), true, "", "", "", "", []byte(nil))
	}
	n := &fuzzReceiver{}
	handler := lonely(f, n).Handler()
	f.Fuzz(func(t *testing.T, path uint8, post bool, cluster, from, to, protocol string, text []byte) {
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, paths[int(path)%len(paths)], bytes.NewReader(text))
		given := map[string]string{headerCluster: cluster, headerFrom: from, headerTo: to, headerProtocol: protocol}
		for name, value := range given {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		for _, err := range []error{nil, raft.ErrBadMessage, node.ErrNotReady} {
			n.last, n.chunk, n.err = nil, nil, err
			w := httptest.NewRecorder()
			r.Body = io.NopCloser(bytes.NewReader(text))
			handler.ServeHTTP(w, r)
			wantPeerAnswer(t, w)
			if n.last == nil && n.chunk == nil {
				continue
			}
			if from != "1" && from != "3" && strings.TrimLeft(from, "0") != "1" && strings.TrimLeft(from, "0") != "3" ||
				cluster != testCluster || to != "2" || protocol != protocolVersion {
				t.Fatalf("with the headers %v the node got %+v, %+v", given, n.last, n.chunk)
			}
			if n.chunk != nil {
				if sender, err := strconv.ParseUint(from, 10, 64); err != nil || n.chunk.From != raft.NodeID(sender) {
					t.Fatalf("node %q sent a chunk of node %d", from, n.chunk.From)
				}
				continue // FuzzDecodeChunk has the rest
			}
			again, err := decodeRequest(n.last.Type, appendRequest(nil, n.last), nil)
			again.To = n.last.To
			if err != nil || !sameMessage(again, *n.last) {
				t.Fatalf("the node got %+v, which is written and read as %+v, %v", n.last, again, err)
			}
		}
	})
}

// sameMessage is equality that takes white space around a command for nothing: it is not kept.
func sameMessage(a, b raft.Message) bool {
	for _, m := range []*raft.Message{&a, &b} {
		if len(m.Entries) == 0 {
			m.Entries = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

// wantPeerAnswer wants an answer that a peer can read, and no fault of the server.
func wantPeerAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%d: the answer %q is no JSON", w.Code, w.Body)
	}
	if w.Code == http.StatusOK {
		return
	}
	no := readRefusal(w.Code, w.Body.Bytes())
	if !no.code.IsAnsweredOn(api.PeerPort) || no.code.Status() != w.Code {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
}

// cannedConn is a connection on which an answer waits, whatever is sent.
type cannedConn struct {
	net.Conn
	answer io.Reader
}

func (c *cannedConn) Read(b []byte) (int, error)  { return c.answer.Read(b) }
func (c *cannedConn) Write(b []byte) (int, error) { return len(b), nil }
func (c *cannedConn) Close() error                { return nil }
func (c *cannedConn) SetDeadline(time.Time) error { return nil }
func (c *cannedConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7080}
}

// FuzzPeerAnswers lets a peer, or a program at its address, answer with any bytes. The answer is read, or is an error;
// it is never longer than allowed, and nothing in it leads to more outcomes than there were commands.
func FuzzPeerAnswers(f *testing.F) {
	answer := func(status, body string) []byte {
		return []byte("HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n\r\n" + body)
	}
	done := node.Outcome{Index: 1, Term: 2, Result: kv.Result{Revision: 1}}
	f.Add(answer("200 OK", string(appendOutcomes(nil, []node.Outcome{done, {Err: node.ErrNotLeader}}))))
	f.Add(answer("200 OK", `{"outcomes":[{"index":1,"term":1,"result":{"revision":1}},{"error":{}},{}]}`))
	f.Add(answer("200 OK", `{"index":12}`))
	f.Add(answer("200 OK", string(appendResponse(nil, &raft.Message{Type: raft.MsgAppendEntriesResponse, Term: 1}))))
	f.Add(answer("200 OK", `{"id":3,"life_cycle":"member","hosts":{"1":"10.0.0.1","9":"","3":"::1"}}`))
	f.Add(answer("200 OK", `{"term":3,"offset":4,"installed":true}`))
	f.Add(answer("503 Service Unavailable", `{"error":{"code":"not_ready","message":"starts"}}`))
	f.Add(answer("412 Precondition Failed", `{"error":{"code":"cluster_mismatch"}}`))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"))
	f.Add([]byte("<html>"))
	const limit = 4096
	f.Fuzz(func(t *testing.T, text []byte) {
		tr := lonely(t, &fuzzReceiver{})
		tr.cfg.MaxBodyBytes, tr.cfg.RoundTripTimeout = limit, testTimeout
		for _, p := range tr.who.Load().peers {
			p.where.dialer.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return &cannedConn{answer: bytes.NewReader(text)}, nil
			}
		}
		ctx, p := t.Context(), tr.who.Load().peers[1]
		deadline := time.Now().Add(testTimeout)
		body, sent, err := newLink(p.where, p.header).once(ctx, &request{
			Request: http1.Request{Method: http.MethodGet, Path: pathStatus, Deadline: deadline}, limit: limit,
		})
		if !sent || err == nil && (len(body) > limit || !isObject(body)) {
			t.Fatalf("%d bytes, %t, %v", len(body), sent, err)
		}
		if outcomes, err := tr.Propose(ctx, 1, [][]byte{[]byte(`1`), []byte(`2`)}); err == nil && len(outcomes) != 2 {
			t.Fatalf("%d outcomes of 2 commands", len(outcomes))
		}
		if point, err := tr.ReadIndex(ctx, 1, 1, true); err == nil && point.Index == 0 {
			t.Fatal("a read index of 0 was accepted")
		}
		for kind := raft.MsgRequestVote; kind <= raft.MsgTimeoutNow; kind += 2 {
			m, err := p.exchange(newLink(p.where, p.header), kind, []byte(`{}`))
			if err == nil && (m.Type != responseTo(kind) || m.From != 1 || m.To != 2) {
				t.Fatalf("%+v answers message %d of node 2 to node 1", m, kind)
			}
		}
		c := chunkOf([]byte("data"))
		if a, err := tr.Snapshot(ctx, 1, c); err == nil && (a.Term == 0 || a.Offset < 0 || a.Offset > c.Size) {
			t.Fatalf("the answer %+v to a chunk was accepted", a)
		}
		_, _ = tr.Status(ctx, 1) // any answer is right here; the hosts in it must not hide the name
		for id, peer := range tr.who.Load().peers {
			if r := peer.where.route(); !slices.Contains(r.addresses, peer.where.authority) {
				t.Fatalf("node %d is looked for at %q only", id, r.addresses)
			}
		}
	})
}

// A long list of short things must not take much more memory than its text, before it is known to be good for anything.
// Not in parallel, because it measures what is allocated meanwhile.
func TestListsOfNothingCostLittle(t *testing.T) { // H4
	const size = 4 << 20
	long := func(head, element, end string) []byte {
		count := size / (len(element) + 1)
		return []byte(head + strings.TrimSuffix(strings.Repeat(element+",", count), ",") + end)
	}
	outcomes := func(body []byte) error { _, err := decodeOutcomes(body, 2); return err }
	commands := func(body []byte) error { _, err := decodeCommands(body); return err }
	request := func(body []byte) error { _, err := decodeRequest(raft.MsgAppendEntries, body, nil); return err }
	for _, c := range []struct {
		what   string
		body   []byte
		decode func([]byte) error
	}{
		{"empty entries", long(`{"entries":[`, `{}`, `]}`), request},
		{"null entries", long(`{"entries":[`, `null`, `]}`), request},
		{"commands", long(`{"commands":[`, `1`, `]}`), commands},
		{"spaced commands", long(`{"commands": [`, `1`, `]}`), commands},
		{"outcomes", long(`{"outcomes":[`, `{"index":1,"term":1,"result":{"revision":1}}`, `]}`), outcomes},
		{"spaced outcomes", long(`{"outcomes": [`, `{}`, `]}`), outcomes},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.decode(c.body)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: it was taken", c.what)
		}
		if times := (after.TotalAlloc - before.TotalAlloc) / size; times > 12 {
			t.Errorf("%s: takes %d times the memory of its text", c.what, times)
		}
	}
}

// FuzzPeerURL reads the addresses of peers. One that is taken leads to requests that a server reads as they are meant:
// one request, for the peer's host and under its path.
func FuzzPeerURL(f *testing.F) {
	for _, text := range []string{
		"http://h1:7080", "http://h1", "http://[::1]:7080/a%20b/", "http://h.:80", "http://h\r\nX: y", "https://h",
		"http://h%20:1", "http://[fe80::1%25a b]:1", "http://é", "http://h:70801", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		where := newWhereabouts(text, http1.Dialer{}, nil)
		if where.err != nil {
			return
		}
		k := newLink(where, identify(testCluster, 1, 2))
		if k.err != nil {
			return
		}
		head := k.head.Append(nil, http.MethodPost, pathPropose, 0)
		reader := bufio.NewReader(bytes.NewReader(head))
		r, err := http.ReadRequest(reader)
		if err != nil || reader.Buffered() > 0 || r.Host != where.authority || !strings.HasSuffix(r.URL.Path, pathPropose) {
			t.Fatalf("%q leads to %q, which is read as %+v, %v", text, head, r, err)
		}
		if len(r.Header) != len(identify(testCluster, 1, 2))+1 {
			t.Fatalf("%q leads to the header %v", text, r.Header)
		}
	})
}
