package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// chunkOf returns a chunk of node 1, in the middle of a snapshot.
func chunkOf(data []byte) snapshot.Chunk {
	const before = 1 << 40
	start := raft.LogStart{Index: 1 << 60, Term: 3, Digest: 7, Seats: []raft.Seat{{Member: 1, Incarnation: 11}}}
	return snapshot.Chunk{
		Description: snapshot.Description{
			ID: "0000000000000007-a1b2", Size: before + int64(len(data)) + 1, Sum: [32]byte{0xab, 31: 0xcd}, Start: start,
		},
		Term: 5, From: 1, Offset: before, Data: data,
	}
}

// bodyOf returns the body that carries a chunk.
func bodyOf(tb testing.TB, c snapshot.Chunk) []byte {
	tb.Helper()
	body, err := appendChunk(nil, &c)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// noise returns bytes of every value, line ends and quotes among them.
func noise(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// takesChunks makes a node take every chunk, and returns those that it took.
func takesChunks(n *testNode) <-chan snapshot.Chunk {
	taken := make(chan snapshot.Chunk, 100)
	n.fake.snapshot = func(_ context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
		taken <- c
		return snapshot.Answer{Term: c.Term + 1, Offset: c.Offset + int64(len(c.Data)), Installed: c.Last()}, nil
	}
	return taken
}

func TestAChunkArrivesByteExact(t *testing.T) { // H5
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	taken := takesChunks(nodes[1])
	start(t, nodes...)
	whole := chunkOf(noise(snapshot.MaxChunkBytes))
	last, empty, founded := chunkOf(noise(1000)), chunkOf(nil), chunkOf([]byte("\n"))
	last.Size--
	founded.Start.Seats, founded.Start.Digest = nil, 0
	for range identity.MaxMembers { // the longest header
		whole.Start.Seats = append(whole.Start.Seats, raft.Seat{Member: 1<<64 - 1, Incarnation: 1<<64 - 1})
	}
	whole.Start.Seats = whole.Start.Seats[1:]
	for name, c := range map[string]snapshot.Chunk{"whole": whole, "last": last, "empty": empty, "founded": founded} {
		answer, err := nodes[0].Snapshot(t.Context(), 2, c)
		want := snapshot.Answer{Term: 6, Offset: c.Offset + int64(len(c.Data)), Installed: name == "last"}
		if err != nil || answer != want {
			t.Fatalf("%s: answered %+v, %v; want %+v", name, answer, err, want)
		}
		got := next(t, taken, "the chunk")
		if !bytes.Equal(got.Data, c.Data) {
			t.Errorf("%s: other data arrived", name)
		}
		got.Data, c.Data = nil, nil
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v arrived as %+v", name, c, got)
		}
	}
}

// A packet capture shows a line with the paper's names, and the data behind it as it is.
func TestPacketsOfChunksHaveALineOfJSON(t *testing.T) { // H5
	t.Parallel()
	nodes, p := tapped(t)
	takesChunks(nodes[1])
	start(t, nodes...)
	c := chunkOf([]byte("\x00\n\"\xff"))
	if _, err := nodes[0].Snapshot(t.Context(), 2, c); err != nil {
		t.Fatal(err)
	}
	request, response := p.packets(t)
	if request.path != "/raft/v1/install-snapshot" || request.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("the path is %s, and the header %v", request.path, request.header)
	}
	line, data, _ := bytes.Cut(request.body, []byte("\n"))
	decoded, names := fields(t, line)
	if names != "digest done last_included_index last_included_term leader_id offset seats sha256 size snapshot_id term" {
		t.Errorf("the line has %q", names)
	}
	if want := "ab" + strings.Repeat("0", 60) + "cd"; decoded["sha256"] != want || decoded["snapshot_id"] != c.ID {
		t.Errorf("the line is %s", line)
	}
	if !bytes.Equal(data, c.Data) {
		t.Errorf("the data is %q", data)
	}
	if _, names := fields(t, response.body); names != "installed offset term" {
		t.Errorf("the answer has %q", names)
	}
}

// A receiver whose disk is slow over a chunk still receives heartbeats, entries and calls. There is no second chunk
// behind the first.
func TestHeartbeatsPassAHangingChunk(t *testing.T) { // H1
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	taken, release := make(chan struct{}, 100), make(chan struct{})
	nodes[1].fake.snapshot = func(_ context.Context, c snapshot.Chunk) (snapshot.Answer, error) {
		taken <- struct{}{}
		<-release
		return snapshot.Answer{Term: c.Term, Offset: c.Size}, nil
	}
	start(t, nodes...)
	c := chunkOf(noise(snapshot.MaxChunkBytes))
	sent := make(chan error, 1)
	go func() {
		_, err := nodes[0].Snapshot(context.Background(), 2, c)
		sent <- err
	}()
	next(t, taken, "the chunk")
	for id := uint64(1); id <= 10; id++ {
		nodes[0].Send([]raft.Message{heartbeat(2, id)})
		if got := next(t, nodes[0].fake.received, "a heartbeat's answer"); got.RequestID != id {
			t.Fatalf("answer %d arrived, want %d", got.RequestID, id)
		}
	}
	nodes[0].Send([]raft.Message{bulkAppend(2, 11)})
	next(t, nodes[0].fake.received, "the entries' answer")
	if _, err := nodes[0].Status(t.Context(), 2); err != nil {
		t.Error(err)
	}
	if _, err := nodes[0].Snapshot(t.Context(), 2, c); !errors.Is(err, node.ErrNotSent) || !errors.Is(err, errBusy) {
		t.Errorf("a second chunk: got %v, want %v", err, errBusy)
	}
	close(release)
	if err := next(t, sent, "the end of the call"); err != nil {
		t.Error(err)
	}
	if _, err := nodes[0].Snapshot(t.Context(), 2, c); err != nil || len(taken) != 1 {
		t.Errorf("after it: %v, and %d chunks arrived, want 1", err, len(taken))
	}
}

// A peer that stops reading in the middle of a chunk holds up nothing, and the end of the call ends it.
func TestHeartbeatsPassAChunkThatIsNotRead(t *testing.T) { // H1, H2
	t.Parallel()
	reached := make(chan struct{})
	n := sender(t, portOf(t, func(conn net.Conn, requests *bufio.Reader) {
		for {
			r, err := http.ReadRequest(requests)
			if err != nil {
				return
			}
			if r.URL.Path == pathSnapshot {
				close(reached)
				<-t.Context().Done()
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(conn, ok(success))
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		_, err := n.Snapshot(ctx, 2, chunkOf(noise(snapshot.MaxChunkBytes)))
		sent <- err
	}()
	next(t, reached, "the chunk")
	for id := uint64(1); id <= 3; id++ {
		n.Send([]raft.Message{heartbeat(2, id)})
		next(t, n.fake.received, "a heartbeat's answer")
	}
	cancel()
	if err := next(t, sent, "the end of the call"); !errors.Is(err, context.Canceled) || errors.Is(err, node.ErrNotSent) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// portOf is a port that serves each connection with the same script.
func portOf(t *testing.T, script func(conn net.Conn, requests *bufio.Reader)) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				script(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// The sender of a chunk whose connection is cut gets an error, wherever that happens.
func TestAChunkThatIsCutIsAnError(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(net.Conn, *bufio.Reader){
		"in the body":      func(_ net.Conn, requests *bufio.Reader) { _, _ = io.CopyN(io.Discard, requests, 300<<10) },
		"before an answer": func(_ net.Conn, requests *bufio.Reader) { takeRequest(requests) },
		"in the answer":    answerWith(strings.Replace(ok(`{"term":5,"offset":7,"installed":`), ": ", ": 1", 1)),
	} {
		n := sender(t, scripted(t, cut))
		_, err := n.Snapshot(t.Context(), 2, chunkOf(noise(snapshot.MaxChunkBytes)))
		if err == nil || errors.Is(err, node.ErrNotSent) {
			t.Errorf("%s: got %v, want that it may have arrived", name, err)
		}
		if used := n.cfg.Memory.Used(); used != 0 {
			t.Errorf("%s: %d bytes are still charged", name, used)
		}
	}
}

// Of a chunk that was cut the receiver gets nothing, and its memory is free again.
func TestHalfAChunkIsNoChunk(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"Content-Length: %d", "Transfer-Encoding: chunked\r\nX-Length: %d"} {
		memory := budget.NewMemory(10 << 20)
		nodes := newCluster(t, 2, func(cfg *Config) { cfg.Memory = memory })
		taken := takesChunks(nodes[1])
		start(t, nodes[1])
		body := string(bodyOf(t, chunkOf(noise(snapshot.MaxChunkBytes))))
		half := body[:len(body)/2]
		if strings.HasPrefix(length, "Transfer") {
			half = fmt.Sprintf("%x\r\n%s", len(body), half)
		}
		conn := sendTo(t, nodes[1], head("POST", pathSnapshot, fmt.Sprintf(length, len(body)))+half)
		eventually(t, "the half is charged", func() bool { return memory.Used() > int64(len(half))/2 })
		_ = conn.Close()
		eventually(t, "its memory is free", func() bool { return memory.Used() == 0 })
		if len(taken) > 0 {
			t.Error("the node got a chunk")
		}
	}
}

// refused are the bodies that no correct leader sends.
func refused(t *testing.T) map[string]string {
	t.Helper()
	bodies := map[string]string{
		"empty":        "",
		"no line":      `{"term":5}`,
		"no JSON":      "x\n",
		"another list": "[]\n",
		"null":         "null\n",
		"long header":  strings.Repeat(" ", maxChunkHeader) + string(bodyOf(t, chunkOf(nil))),
	}
	for name, change := range map[string]func(*snapshot.Chunk){
		"from another":       func(c *snapshot.Chunk) { c.From = 3 },
		"of node 0":          func(c *snapshot.Chunk) { c.From = 0 },
		"no term":            func(c *snapshot.Chunk) { c.Term = 0 },
		"of a later term":    func(c *snapshot.Chunk) { c.Start.Term = c.Term + 1 },
		"no position":        func(c *snapshot.Chunk) { c.Start.Index = 0 },
		"no id":              func(c *snapshot.Chunk) { c.ID = "" },
		"a path":             func(c *snapshot.Chunk) { c.ID = "../7" },
		"a hidden file":      func(c *snapshot.Chunk) { c.ID = "." },
		"a line end":         func(c *snapshot.Chunk) { c.ID = "7\n" },
		"a long id":          func(c *snapshot.Chunk) { c.ID = strings.Repeat("7", 129) },
		"before the first":   func(c *snapshot.Chunk) { c.Offset = -1 },
		"behind the end":     func(c *snapshot.Chunk) { c.Size = c.Offset },
		"nothing":            func(c *snapshot.Chunk) { c.Size, c.Offset, c.Data = 0, 0, nil },
		"a hundred seats":    func(c *snapshot.Chunk) { c.Start.Seats = make([]raft.Seat, identity.MaxMembers+1) },
		"a byte too many":    func(c *snapshot.Chunk) { c.Data = make([]byte, snapshot.MaxChunkBytes+1); c.Size *= 2 },
		"data behind it all": func(c *snapshot.Chunk) { c.Data = append(c.Data, "two more"...) },
	} {
		c := chunkOf([]byte("data"))
		change(&c)
		bodies[name] = string(bodyOf(t, c))
	}
	good := string(bodyOf(t, chunkOf([]byte("data"))))
	for name, change := range map[string][2]string{
		"done too early":       {`"done":false`, `"done":true`},
		"a short sum":          {`00cd"`, `cd"`},
		"half a byte of a sum": {`00cd"`, `00cd0"`},
		"a long sum":           {`00cd"`, `00cd00"`},
		"a sum of letters":     {`00cd"`, `00xy"`},
		"an offset of a float": {`"offset":1099511627776`, `"offset":1099511627776.0`},
		"a large term":         {`"term":5`, `"term":18446744073709551616`},
		"seats that are none":  {`"seats":[`, `"seats":[7,`},
	} {
		if bodies[name] = strings.Replace(good, change[0], change[1], 1); bodies[name] == good {
			t.Fatalf("%s: %q is not in %q", name, change[0], good)
		}
	}
	return bodies
}

func TestChunksThatAreRefused(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 3, nil)
	taken := takesChunks(nodes[1])
	start(t, nodes[1])
	for name, body := range refused(t) {
		status, got := ask(t, nodes[1], http.MethodPost, pathSnapshot, body, nil)
		if status != 400 || got.Code != api.CodeInvalid || got.Message == "" {
			t.Errorf("%s: got %d %+v, want 400 %s", name, status, got, api.CodeInvalid)
		}
	}
	if len(taken) > 0 {
		t.Errorf("the node got %+v", <-taken)
	}
}

// A chunk passes the same doors as every request between nodes.
func TestMisdirectedChunksAreRefused(t *testing.T) { // H3, H4
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	taken := takesChunks(nodes[1])
	start(t, nodes[1])
	body := string(bodyOf(t, chunkOf([]byte("data"))))
	for _, c := range []struct {
		method, header, value string
		status                int
		code                  api.Code
	}{
		{"POST", headerCluster, "another", 412, api.CodeClusterMismatch},
		{"POST", headerTo, "3", 412, api.CodeTargetMismatch},
		{"POST", headerProtocol, "2", 412, api.CodeProtocolMismatch},
		{"POST", headerFrom, "3", 400, api.CodeInvalid}, // the body is from another node
		{"POST", "Origin", "http://evil", 403, api.CodeForbidden},
		{"PUT", headerFrom, "1", 405, api.CodeMethodNotAllowed},
	} {
		status, got := ask(t, nodes[1], c.method, pathSnapshot, body, map[string]string{c.header: c.value})
		if status != c.status || got.Code != c.code {
			t.Errorf("%s %s %q: got %d %+v, want %d %s", c.method, c.header, c.value, status, got, c.status, c.code)
		}
	}
	if len(taken) > 0 {
		t.Errorf("the node got %+v", <-taken)
	}
}

func TestTheBodiesOfChunksAreBounded(t *testing.T) { // H4
	t.Parallel()
	nodes := newCluster(t, 2, nil)
	start(t, nodes[1])
	conn := sendTo(t, nodes[1], head("POST", pathSnapshot, fmt.Sprintf("Content-Length: %d", maxChunkRequest+1)))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != api.CodeTooLarge.Status() {
		t.Errorf("a body of a byte too many is answered %d, want %d", response.StatusCode, api.CodeTooLarge.Status())
	}
}

// What the other node answers arrives as the error of package node that it had, also if it did not read the data.
func TestRefusedChunksHaveTheErrorOfTheirReceiver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error // of the receiver
		adjust func(*Config)
		want   error
	}{
		"not ready":       {err: node.ErrNotReady, want: node.ErrNotReady},
		"overloaded":      {err: node.ErrOverloaded, want: node.ErrOverloaded},
		"not its leader":  {err: node.ErrNotLeader, want: node.ErrNotLeader},
		"diverged":        {err: raft.ErrDiverged, want: raft.ErrDiverged},
		"bad":             {err: fmt.Errorf("%w: a term of 0", raft.ErrBadMessage), want: node.ErrNotSent},
		"a full disk":     {err: errors.New("no space left on device"), want: node.ErrOutcomeUnknown},
		"no memory":       {adjust: func(c *Config) { c.Memory = budget.NewMemory(100 << 10) }, want: node.ErrOverloaded},
		"another cluster": {adjust: func(c *Config) { c.ClusterID = "another" }, want: node.ErrNotSent},
		"no identity":     {adjust: func(c *Config) { c.ID, c.Members = 0, nil }, want: node.ErrNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := newCluster(t, 2, func(cfg *Config) {
				if cfg.ID == 2 && c.adjust != nil {
					c.adjust(cfg)
				}
			})
			nodes[1].fake.snapshot = func(context.Context, snapshot.Chunk) (snapshot.Answer, error) {
				return snapshot.Answer{}, c.err
			}
			start(t, nodes...)
			_, err := nodes[0].Snapshot(t.Context(), 2, chunkOf(noise(snapshot.MaxChunkBytes)))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestChunksThatAreNotSent(t *testing.T) { // T49
	t.Parallel()
	noWay := &net.OpError{Op: "dial", Err: errors.New("no route to host")}
	nodes := newCluster(t, 2, func(cfg *Config) {
		cfg.Memory = budget.NewMemory(3 << 20)
		cfg.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, noWay }
	})
	start(t, nodes[0])
	c := chunkOf(noise(snapshot.MaxChunkBytes))
	want := func(what string, peer raft.NodeID, want error) {
		if _, err := nodes[0].Snapshot(t.Context(), peer, c); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	want("to no member", 7, node.ErrNotSent)
	want("to a node that is gone", 2, node.ErrNotSent)
	nodes[0].SetBlocked(map[raft.NodeID]bool{2: true})
	want("through a cut network", 2, errBlocked)
	others := nodes[0].cfg.Memory.NewAccount(budget.Peers, 0)
	defer others.Close()
	if !others.Take(5 << 19) {
		t.Fatal("there is no memory")
	}
	want("without memory", 2, node.ErrOverloaded)
}

func TestUnreadableAnswersToChunksAreErrors(t *testing.T) {
	t.Parallel()
	c := chunkOf([]byte("data"))
	for _, answer := range []string{
		`{}`, `{"term":0,"offset":4,"installed":false}`, `{"term":5,"offset":-1}`, `{"term":5,"offset":"4"}`, `{"term":5`,
		fmt.Sprintf(`{"term":5,"offset":%d}`, c.Size+1),
	} {
		n := sender(t, scripted(t, answerWith(ok(answer))))
		if got, err := n.Snapshot(t.Context(), 2, c); err == nil {
			t.Errorf("%s was read as %+v", answer, got)
		}
	}
}

// FuzzDecodeChunk reads bodies. What is read is what a correct leader can send, its data is what follows the first
// line, and it is read again as it is written.
func FuzzDecodeChunk(f *testing.F) {
	last := chunkOf([]byte("\n\n{}"))
	last.Size--
	for _, c := range []snapshot.Chunk{last, chunkOf(nil), chunkOf(noise(100))} {
		f.Add(bodyOf(f, c))
	}
	twice := []byte(`"seats":null,"Seats":[{},{"Member":7}],"seats":[`)
	f.Add(bytes.Replace(bodyOf(f, last), []byte(`"seats":[`), twice, 1))
	f.Add([]byte("{}\n"))
	f.Add([]byte(" null \n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeChunk(body)
		if err != nil {
			return
		}
		_, data, _ := bytes.Cut(body, []byte("\n"))
		if err := c.Check(); err != nil || !bytes.Equal(c.Data, data) || len(c.Start.Seats) > identity.MaxMembers {
			t.Fatalf("%.1000q is read as %+v, %v", body, c, err)
		}
		if strings.ContainsAny(c.ID, "/\\\x00\n") || strings.HasPrefix(c.ID, ".") {
			t.Fatalf("the snapshot is called %q", c.ID)
		}
		if again, err := decodeChunk(bodyOf(t, c)); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v is written and read as %+v, %v", c, again, err)
		}
	})
}
