package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// head is the header of a request from node 1 to node 2, as anyone can send it.
func head(method, path, length string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n%s: %s\r\n%s: 1\r\n%s: 2\r\n%s: %s\r\n%s\r\n\r\n",
		method, path, headerCluster, testCluster, headerFrom, headerTo, headerProtocol, protocolVersion, length)
}

// sendTo opens a connection to a node, and sends text.
func sendTo(t *testing.T, n *testNode, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestUnfinishedBodiesShareOneBudget(t *testing.T) { // H4
	t.Parallel()
	const size = 4 << 20
	for _, length := range []string{"Content-Length: 4194304", "Transfer-Encoding: chunked"} {
		memory := budget.NewMemory(10 << 20)
		nodes := newCluster(t, 2, func(cfg *Config) { cfg.Memory = memory })
		start(t, nodes...)
		body := strings.Repeat(" ", size-10)
		if strings.HasPrefix(length, "Transfer") {
			body = "400000\r\n" + body
		}
		var conns []net.Conn
		for i := range 2 {
			conns = append(conns, sendTo(t, nodes[1], head("POST", pathAppendEntries, length)+body))
			eventually(t, "the body is charged", func() bool { return memory.Used() > int64(i+1)*(size-budget.Allowance)-100 })
		}
		status, got := ask(t, nodes[1], http.MethodPost, pathAppendEntries, strings.Repeat(" ", size), nil)
		if status != http.StatusTooManyRequests || got.Code != "overloaded" {
			t.Errorf("%s: a third one is answered %d %+v, want 429 overloaded", length, status, got)
		}
		nodes[0].Send([]raft.Message{{Type: raft.MsgAppendEntries, From: 1, To: 2, Term: 1}})
		next(t, nodes[1].fake.delivered, "the heartbeat")
		for _, conn := range conns {
			_ = conn.Close()
		}
		eventually(t, "what they held is free", func() bool { return memory.Used() == 0 })
	}
}

// An answer that the peer does not read is held for a limited time.
func TestUnreadAnswersEnd(t *testing.T) {
	t.Parallel()
	memory := budget.NewMemory(64 << 20)
	nodes := newCluster(t, 2, func(cfg *Config) { cfg.Memory = memory })
	if s := nodes[1].server; s.WriteTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.ReadHeaderTimeout <= 0 {
		t.Fatalf("the server of the peer port lacks a time-out: %+v", s)
	}
	nodes[1].server.WriteTimeout = 50 * time.Millisecond
	charged := make(chan int64, 1)
	large := []byte(`"` + strings.Repeat("v", 32<<20) + `"`)
	nodes[1].fake.propose = func(context.Context, [][]byte) []node.Outcome {
		charged <- memory.Used()
		return []node.Outcome{{Index: 1, Term: 1, Result: kv.Result{Value: large}}}
	}
	start(t, nodes[1])
	body := `{"commands":["` + strings.Repeat("v", 1<<20) + `"]}`
	conn := sendTo(t, nodes[1], head("POST", pathPropose, fmt.Sprintf("Content-Length: %d", len(body)))+body)
	if used := next(t, charged, "the proposal"); used < 1<<19 {
		t.Errorf("%d bytes are charged for the proposal", used)
	}
	eventually(t, "its memory is free", func() bool { return memory.Used() == 0 })
	if err := conn.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := io.Copy(io.Discard, conn); errors.As(err, &late) && late.Timeout() {
		t.Error("the connection is still open")
	}
}

// What the node charges for the values in its answer is released with the answer; start checks that.
func TestTheMemoryOfAnAnswerIsReleased(t *testing.T) {
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.propose = func(ctx context.Context, commands [][]byte) []node.Outcome {
		if !node.AnswerBudgetOf(ctx).Take(1<<20) || nodes[1].cfg.Memory.Used() < 1<<20 {
			t.Errorf("%d bytes are charged for a value of 1 MiB", nodes[1].cfg.Memory.Used())
		}
		return make([]node.Outcome, len(commands))
	}
	start(t, nodes...)
	if _, err := nodes[0].Propose(t.Context(), 2, [][]byte{[]byte(`{}`)}); err != nil {
		t.Error(err)
	}
}

// A command costs what it costs, however short its text.
func TestManyShortCommandsAreRefused(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	nodes[1].fake.propose = func(_ context.Context, commands [][]byte) []node.Outcome {
		return make([]node.Outcome, len(commands))
	}
	start(t, nodes[1])
	for count, want := range map[int]int{maxCommands: 200, maxCommands + 1: 400} {
		body := `{"commands":[` + strings.TrimSuffix(strings.Repeat("1,", count), ",") + `]}`
		if status, got := ask(t, nodes[1], http.MethodPost, pathPropose, body, nil); status != want {
			t.Errorf("%d commands are answered %d %+v, want %d", count, status, got, want)
		}
	}
}

func TestStrangersDoNotKeepPeersOut(t *testing.T) { // attack: silent connections up to the limit of descriptors
	t.Parallel()
	const limit = 6
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Connections = budget.NewConnections(budget.Limits{API: 1, Spare: 1, Peers: limit}, nil, nil)
	})
	start(t, nodes...)
	heartbeat := func() {
		nodes[0].Send([]raft.Message{{Type: raft.MsgAppendEntries, From: 1, To: 2, Term: 1}})
		next(t, nodes[1].fake.delivered, "the heartbeat")
		next(t, nodes[0].fake.received, "the answer to the heartbeat")
	}
	heartbeat()
	for range 4 * limit {
		sendTo(t, nodes[1], "")
		heartbeat()
	}
}
