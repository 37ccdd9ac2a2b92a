package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ask sends a request with the headers of node 1 to node 2, changed as given ("" removes a header), and gives
// the answer's status and error.
func ask(t *testing.T, n *testNode, method, path, body string, changed map[string]string) (int, errorWire) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = identify(testCluster, 1, 2)
	for name, value := range changed {
		request.Header.Del(name)
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	for tries := 1; errors.Is(err, syscall.ECONNRESET) && tries < 20; tries++ {
		// The node refused before it had the whole body, and the answer was lost with the connection.
		request.Body = io.NopCloser(strings.NewReader(body))
		response, err = client.Do(request)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: the answer is %q", method, path, response.Header.Get("Content-Type"))
	}
	var w outcomeWire
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatalf("%s %s answers %q: %v", method, path, text, err)
	}
	if w.Error == nil {
		return response.StatusCode, errorWire{}
	}
	return response.StatusCode, *w.Error
}

// A reused address must not feed one cluster's log to another, nor one node's to another.
func TestMisdirectedRequestsAreRefused(t *testing.T) { // H3
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	const heartbeat = `{"term":1,"leader_id":1}`
	cases := map[string]struct {
		header, value string
		status        int
		code          api.Code
		says          []string
	}{
		"other cluster":    {headerCluster, "b", 412, api.CodeClusterMismatch, []string{`"b"`, `"kontiki-test"`}},
		"no cluster":       {headerCluster, "", 412, api.CodeClusterMismatch, []string{headerCluster, `"kontiki-test"`}},
		"other target":     {headerTo, "3", 412, api.CodeTargetMismatch, []string{`"3"`, `"2"`}},
		"no target":        {headerTo, "", 412, api.CodeTargetMismatch, []string{headerTo}},
		"other protocol":   {headerProtocol, "2", 412, api.CodeProtocolMismatch, []string{`"2"`, `"1"`}},
		"no protocol":      {headerProtocol, "", 412, api.CodeProtocolMismatch, []string{headerProtocol}},
		"no sender":        {headerFrom, "", 403, api.CodeUnknownSender, []string{headerFrom}},
		"garbled sender":   {headerFrom, "one", 403, api.CodeUnknownSender, []string{`"one"`}},
		"we ourselves":     {headerFrom, "2", 403, api.CodeUnknownSender, []string{`"2"`}},
		"another's letter": {headerFrom, "1", 200, "", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{pathAppendEntries, pathStatus} {
				method, body := http.MethodPost, heartbeat
				if path == pathStatus {
					method, body = http.MethodGet, ""
				}
				status, got := ask(t, nodes[1], method, path, body, map[string]string{c.header: c.value})
				if status != c.status || got.Code != c.code {
					t.Errorf("%s: got %d %q, want %d %q", path, status, got.Code, c.status, c.code)
				}
				for _, word := range c.says {
					if !strings.Contains(got.Message, word) {
						t.Errorf("%s: the message %q does not contain %s", path, got.Message, word)
					}
				}
			}
		})
	}
}

// A cluster that was founded again with the same flags has the same id. Its disk must not vote in the one that runs on.
func TestADiskOfAnotherFoundingIsRefused(t *testing.T) { // H3, T28
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	members := []identity.Member{{ID: 1, Address: nodes[0].url}, {ID: 2, Address: nodes[1].url}}
	for i, digest := range []string{"b", "a"} {
		nodes[i].Founded(digest)
		nodes[i].SetPeers(members)
	}
	start(t, nodes...)
	for theirs, want := range map[string]int{"": 200, "a": 200, "b": 412} {
		header := map[string]string{headerFounders: theirs}
		status, got := ask(t, nodes[1], http.MethodPost, pathAppendEntries, `{"term":1,"leader_id":1}`, header)
		if status != want || want == 412 && got.Code != api.CodeClusterMismatch {
			t.Errorf("founded by %q: got %d %+v, want %d", theirs, status, got, want)
		}
		if status, got = ask(t, nodes[1], http.MethodGet, pathStatus, "", header); status != 200 {
			t.Errorf("the status for one founded by %q: %d %+v", theirs, status, got)
		}
	}
	err := nodes[0].Transfer(t.Context(), 2, 1, 2)
	if !errors.Is(err, node.ErrNotSent) || !strings.Contains(err.Error(), "other disks founded the cluster") {
		t.Errorf("a request of its transport: %v", err)
	}
}

// A founder that was removed and lost its disk learns that the cluster is founded. Else it waits for the others, or
// founds it again.
func TestAFormerFounderLearnsThatTheClusterIsFounded(t *testing.T) { // T28
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes[1])
	founded := identity.GenesisAnswer{
		Founded: true, Founders: []raft.Seat{{Member: 1, Incarnation: 7}, {Member: 3, Incarnation: 8}},
	}
	for name, c := range map[string]struct {
		from   string
		answer identity.GenesisAnswer
		status int
	}{
		"a member":                 {"1", identity.GenesisAnswer{}, 200},
		"a founder":                {"3", founded, 200},
		"a founder before that":    {"3", identity.GenesisAnswer{}, 403},
		"a node that never was it": {"4", founded, 403},
	} {
		nodes[1].fake.genesis = func() (identity.GenesisAnswer, error) { return c.answer, nil }
		status, got := ask(t, nodes[1], http.MethodPost, pathGenesis, `{}`, map[string]string{headerFrom: c.from})
		if status != c.status || status == 403 && got.Code != api.CodeUnknownSender {
			t.Errorf("%s: got %d %+v, want %d", name, status, got, c.status)
		}
	}
}

func TestASenderCannotSpeakForAnother(t *testing.T) { // H3
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	start(t, nodes[1])
	bodies := map[string]string{
		pathAppendEntries: `{"term":1,"leader_id":3}`,
		pathRequestVote:   `{"term":1,"candidate_id":3}`,
		pathTimeoutNow:    `{"term":1,"leader_id":3}`,
	}
	for path, body := range bodies {
		status, got := ask(t, nodes[1], http.MethodPost, path, body, nil)
		if status != 400 || got.Code != api.CodeInvalid {
			t.Errorf("%s: got %d %q, want 400 %q", path, status, got.Code, api.CodeInvalid)
		}
	}
	if len(nodes[1].fake.delivered) > 0 {
		t.Error("the node saw a request in another's name")
	}
}

func TestStatusWithoutHeadersIsForPeople(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes[1])
	none := map[string]string{headerCluster: "", headerFrom: "", headerTo: "", headerProtocol: ""}
	if status, got := ask(t, nodes[1], http.MethodGet, pathStatus, "", none); status != 200 {
		t.Errorf("got %d %+v, want 200", status, got)
	}
}

func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes[1])
	entry := func(e string) string { return `{"term":1,"leader_id":1,"entries":[` + e + `]}` }
	bodies := map[string][]string{
		pathAppendEntries: {
			``, `x`, `[]`, `{"term":1`, `{"term":-1,"leader_id":1}`, `{"term":1.5,"leader_id":1}`,
			`{"term":18446744073709551616,"leader_id":1}`, entry(`null`), entry(`{"index":1,"term":1}`),
			entry(`{"index":1,"term":1,"command":{},"timestamp":1e9}`),
			entry(`{"index":1,"term":1,"command":{},"timestamp":1.0000001}`),
			entry(`{"index":1,"term":1,"type":"noop","command":{},"timestamp":1}`),
			entry(`{"index":1,"term":1,"type":"command","command":{]},"timestamp":1.000000}`),
		},
		pathRequestVote: {``, `{"term":"1"}`, `{"term":1,"candidate_id":1}}`},
		pathTimeoutNow:  {``, `{"term":1,"leader_id":1} x`},
		pathPropose:     {``, `{"commands":[}`, `{"commands":[{"a":1]}}`, `{"commands":[,]}`, `{"commands":3}`},
	}
	for path, texts := range bodies {
		for _, body := range texts {
			status, got := ask(t, nodes[1], http.MethodPost, path, body, nil)
			if status != 400 || got.Code != api.CodeInvalid || got.Message == "" {
				t.Errorf("%s %q: got %d %+v, want 400 %s", path, body, status, got, api.CodeInvalid)
			}
		}
	}
	if len(nodes[1].fake.delivered) > 0 {
		t.Error("the node saw garbage")
	}
}

func TestBodiesAreBounded(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.MaxBodyBytes = 1000 })
	start(t, nodes[1])
	status, got := ask(t, nodes[1], http.MethodPost, pathPropose, strings.Repeat(" ", 1001), nil)
	if status != 413 || got.Code != api.CodeTooLarge || !strings.Contains(got.Message, "1000") {
		t.Errorf("got %d %+v, want 413 with the limit", status, got)
	}
	// Without a length in front, the bytes are counted as they come.
	conn, err := net.Dial("tcp", nodes[1].listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := io.NopCloser(bytes.NewReader(make([]byte, 5000)))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, nodes[1].url+pathPropose, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = identify(testCluster, 1, 2)
	go func() { _ = request.Write(conn) }()
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 413 {
		t.Errorf("got %d, want 413", response.StatusCode)
	}
}

// A request of the greatest size, and one that is larger than the memory that a header alone may claim.
func TestLargeBodiesPass(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes...)
	for _, size := range []int{1<<20 - 500, 1 << 20, 3 * 1 << 20} {
		command := `{"op":"set","value":"` + strings.Repeat("x", size) + `"}`
		m := raft.Message{Type: raft.MsgAppendEntries, From: 1, To: 2, Term: 1, Entries: entries(1, command)}
		nodes[0].Send([]raft.Message{m})
		got := next(t, nodes[1].fake.delivered, "the entry")
		if len(got.Entries) != 1 || string(got.Entries[0].Command) != command {
			t.Errorf("an entry of %d bytes was changed on its way", size)
		}
		next(t, nodes[0].fake.received, "the response")
	}
}

func TestTooManyCommandsAreRefusedBeforeTheyAreSent(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.MaxBodyBytes = 100 })
	start(t, nodes[0])
	_, err := nodes[0].Propose(t.Context(), 2, [][]byte{bytes.Repeat([]byte("1"), 101)})
	if !errors.Is(err, node.ErrOverloaded) {
		t.Errorf("got %v, want %v", err, node.ErrOverloaded)
	}
}

// A connection that never finishes its request header must not be kept.
func TestSlowHeadersAreCutOff(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].server.ReadHeaderTimeout = 20 * time.Millisecond
	start(t, nodes[1])
	conn, err := net.Dial("tcp", nodes[1].listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /raft/v1/propose HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := io.ReadAll(conn); errors.As(err, &late) && late.Timeout() {
		t.Error("the connection is still open")
	}
}

func TestNothingIsAnsweredBeforeStart(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	go func() { _ = nodes[1].Serve(nodes[1].listener) }()
	for _, path := range []string{pathPropose, pathReadIndex, pathTransfer} {
		if status, got := ask(t, nodes[1], http.MethodPost, path, `{"commands":[]}`, nil); status != 503 {
			t.Errorf("%s: got %d %+v, want 503", path, status, got)
		}
	}
	if status, got := ask(t, nodes[1], http.MethodGet, pathStatus, "", nil); status != 503 || got.Code != "not_ready" {
		t.Errorf("got %d %+v, want 503 not_ready", status, got)
	}
}

// What no correct peer sends is the sender's fault, and is one line in the log however often it comes.
func TestBadMessagesAreRefusedAndToldOnce(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	bad := fmt.Errorf("%w: entry 7 is committed", raft.ErrBadMessage)
	nodes[1].fake.deliver = func(_ context.Context, m raft.Message) (raft.Message, error) {
		if m.Term == 1 {
			return raft.Message{}, bad
		}
		return raft.Message{Type: responseTo(m.Type), Term: m.Term}, nil
	}
	start(t, nodes[1])
	told := func() int { return strings.Count(log.String(), "no correct peer") }
	for range 3 {
		status, got := ask(t, nodes[1], http.MethodPost, pathAppendEntries, `{"term":1,"leader_id":1}`, nil)
		if status != 400 || got.Code != api.CodeInvalid || !strings.Contains(got.Message, "entry 7") {
			t.Errorf("got %d %+v", status, got)
		}
	}
	if told() != 1 || !strings.Contains(log.String(), "entry 7") {
		t.Errorf("the log is %s", &log)
	}
	status, got := ask(t, nodes[1], http.MethodPost, pathAppendEntries, `{"term":2,"leader_id":1}`, nil)
	if status != 200 {
		t.Errorf("got %d %+v", status, got)
	}
	for want := 1; want <= 2; want++ {
		_, _ = ask(t, nodes[1], http.MethodPost, pathAppendEntries, `{"term":1,"leader_id":1}`, nil)
		if told() != want {
			t.Errorf("%d lines, want %d", told(), want)
		}
		afterAWhile(nodes[1].who.Load().peers[1], lineBad)
	}
	if told() != 2 {
		t.Errorf("after a good one and another bad one the log is %s", &log)
	}
}
