package rest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// within sets the memory budget of a server.
func within(memory *budget.Memory) func(*fakeNode, *Options) {
	return func(_ *fakeNode, o *Options) { o.Memory = memory }
}

// raw is a connection on which a test sends any bytes, and may stop reading.
type raw struct {
	t *testing.T
	net.Conn
}

func (a *testAPI) dial() *raw {
	a.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return &raw{a.t, conn}
}

func (r *raw) send(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r, text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) answer() (*http.Response, string) {
	r.t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response, string(text)
}

// eventually waits until a condition holds, and fails the test if it does not soon.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for tick, over := time.NewTicker(time.Millisecond), time.After(30*time.Second); !is(); {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("never: %s", what)
		}
	}
}

func wantOverloaded(t *testing.T, got answer) {
	t.Helper()
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" ||
		!strings.Contains(got.body, `"code":"overloaded"`) {
		t.Errorf("answered %d %v %s; want 429, Retry-After and overloaded", got.status, got.header, got.body)
	}
}

func TestUnfinishedUploadsShareOneBudget(t *testing.T) {
	t.Parallel()
	const upload = 1 << 20
	for _, length := range []string{"Content-Length: 1048576\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n100000\r\n"} {
		for _, route := range []string{"PUT /api/v1/kv/a", "POST /api/v1/batch", "POST /api/command"} {
			t.Run(route+strings.Fields(length)[0], func(t *testing.T) {
				t.Parallel()
				memory := budget.NewMemory(4 * upload) // three quarters are for clients
				a := serve(t, within(memory))
				var uploads []*raw
				for range 2 {
					c := a.dial()
					c.send(route + " HTTP/1.1\r\nHost: localhost\r\n" + length + strings.Repeat("\n", upload-10))
					uploads = append(uploads, c)
					eventually(t, "the upload is charged", func() bool {
						return memory.Used() > int64(len(uploads))*(upload/2)
					})
				}
				eventually(t, "both uploads are charged", func() bool { return memory.Used() > upload+upload/2 })
				full := a.memoryFull()
				wantOverloaded(t, a.ask("PUT", "/api/v1/kv/large", strings.Repeat("v", upload)))
				a.want(200, "PUT", "/api/v1/kv/small", "v")
				a.want(200, "GET", "/api/v1/kv/small", "")
				a.want(200, "GET", "/metrics", "")
				full.Close()
				for _, c := range uploads {
					_ = c.Close()
				}
				eventually(t, "what they held is free", func() bool { return memory.Used() == 0 })
				a.want(200, "PUT", "/api/v1/kv/large", strings.Repeat("v", upload))
			})
		}
	}
}

// memoryFull takes the rest of the clients' share of the memory.
func (a *testAPI) memoryFull() *budget.Account {
	account := a.rest.memory.NewAccount(budget.Clients, 0)
	for size := 1 << 30; size > 0; {
		if !account.Take(size) {
			size /= 2
		}
	}
	a.t.Cleanup(account.Close)
	return account
}

// The value that a refused cas returns is charged apart from the request; serve checks that it is released.
func TestTheMemoryOfARefusedCASIsReleased(t *testing.T) {
	t.Parallel()
	a := serve(t)
	value := strconv.Quote(strings.Repeat("v", 100<<10))
	a.want(200, "POST", api.PathCommand, `{"op":"set","key":"a","value":`+value+`}`)
	for _, path := range []string{api.PathCommand, api.PathBatch} {
		refused := a.want(200, "POST", path, `{"op":"cas","key":"a","expected":1,"value":2}`)
		if !strings.Contains(refused.body, value) {
			t.Errorf("%s: the value is missing in %.80s", path, refused.body)
		}
	}
}

func TestEveryLargeAnswerNeedsMemory(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("v", 100<<10)
	quoted := strconv.Quote(large)
	for name, c := range map[string]struct{ method, path, body, accept string }{
		"a value":             {"GET", "/api/v1/kv/large", "", ""},
		"a record":            {"GET", "/api/v1/kv/large", "", "application/json"},
		"a command that gets": {"POST", "/api/command", `{"op":"get","key":"large"}`, ""},
		"a page of the log":   {"GET", "/api/logs", "", ""},
		"a large command":     {"POST", "/api/command", `{"op":"set","key":"b","value":` + quoted + `}`, ""},
		"many lines":          {"POST", "/api/v1/batch", strings.Repeat("{}\n", 4096), ""},
		"a stream":            {"GET", "/api/v1/events", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := serve(t, within(budget.NewMemory(64<<20)))
			a.want(200, "PUT", "/api/v1/kv/large", large)
			for range 200 {
				a.node.happen("elected")
			}
			full := a.memoryFull()
			wantOverloaded(t, a.ask(c.method, c.path, c.body, "Accept", c.accept))
			a.want(200, "GET", "/api/v1/cluster", "")
			full.Close()
			if name != "a stream" {
				a.want(200, c.method, c.path, c.body, "Accept", c.accept)
			}
			eventually(t, "everything is free", func() bool { return a.rest.memory.Used() == 0 })
		})
	}
}

func TestALineOfABatchThatHasNoRoomIsRefusedAlone(t *testing.T) {
	t.Parallel()
	a := serve(t, within(budget.NewMemory(64<<20)))
	a.want(200, "PUT", "/api/v1/kv/large", strings.Repeat("v", 1<<20))
	full := a.memoryFull()
	defer full.Close()
	lines := strings.Split(strings.TrimSpace(a.want(200, "POST", "/api/v1/batch",
		`{"op":"get","key":"large"}`+"\n"+`{"op":"set","key":"small","value":1}`+"\n"+
			`{"op":"get","key":"small"}`+"\n").body), "\n")
	for i, want := range []string{`{"error":{"code":"overloaded"`, `{"index":2`, `{"index":2`} {
		if len(lines) != 3 || !strings.HasPrefix(lines[i], want) {
			t.Fatalf("line %d of %q does not begin with %s", i, lines, want)
		}
	}
}

// Each unread connection once held such a page: 8 MiB and more.
func TestUnreadPagesOfTheLogShareOneBudget(t *testing.T) {
	t.Parallel()
	memory := budget.NewMemory(16 << 20)
	a := serve(t, within(memory))
	for i := range 8 {
		a.want(200, "PUT", fmt.Sprintf("/api/v1/kv/%d", i), strings.Repeat("v", 1<<20))
	}
	const unread = 20
	statuses := make(chan int, unread)
	for range unread {
		c := a.dial()
		if err := c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		c.send("GET /api/logs?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		go func() {
			line := make([]byte, 12)
			_, _ = io.ReadFull(c, line) // and nothing after it
			var status int
			_, _ = fmt.Sscanf(string(line), "HTTP/1.1 %d", &status)
			statuses <- status
		}()
	}
	refused := 0
	for range unread {
		if <-statuses == http.StatusTooManyRequests {
			refused++
		}
		if memory.Used() > memory.Limit()/4*3 {
			t.Errorf("%d bytes are charged", memory.Used())
		}
	}
	if refused == 0 || refused == unread {
		t.Errorf("%d of %d pages are refused", refused, unread)
	}
}

func TestAPageOfTheLogEndsEarlyAndIsComplete(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for i := range 5 {
		a.want(200, "PUT", fmt.Sprintf("/api/v1/kv/%d", i), strings.Repeat("v", 1<<20))
	}
	var seen []uint64
	for from := uint64(1); from <= 5; {
		page := decode[api.LogPage](t, a.want(200, "GET", fmt.Sprintf("/api/logs?from=%d&limit=1000", from), "").body)
		if len(page.Entries) == 0 || page.LastIndex != 5 || page.FirstIndex != 1 {
			t.Fatalf("the page from %d has %d entries of %d to %d", from, len(page.Entries), page.FirstIndex, page.LastIndex)
		}
		for _, e := range page.Entries {
			seen = append(seen, e.Index)
		}
		from = seen[len(seen)-1] + 1
	}
	if fmt.Sprint(seen) != "[1 2 3 4 5]" {
		t.Errorf("the pages have the entries %v", seen)
	}
	page := decode[api.LogPage](t, a.want(200, "GET", "/api/logs?from=6", "").body)
	if len(page.Entries) != 0 {
		t.Errorf("the page behind the end has %d entries", len(page.Entries))
	}
}

func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.rest.events.open.Store(mostStreams - 1)
	last := a.stream("/api/v1/events")
	wantOverloaded(t, a.ask("GET", "/api/v1/events", ""))
	_ = last.response.Body.Close()
	eventually(t, "the stream has ended", func() bool { return a.rest.events.open.Load() == mostStreams-1 })
	a.stream("/api/v1/events")
}

func TestBeyondTheLimitOnlyProbesAndMetricsAreAnswered(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Connections = budget.NewConnections(budget.Limits{API: 2, Spare: 2, Peers: 1}, nil, nil)
	})
	for range 2 {
		idle := a.dial()
		idle.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if response, _ := idle.answer(); response.StatusCode != 200 || response.Close {
			t.Fatalf("within the limit: %s, close %t", response.Status, response.Close)
		}
	}
	for _, path := range []string{api.PathLive, api.PathReady, api.PathStarted, api.PathMetrics} {
		c := a.dial()
		c.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if response, text := c.answer(); response.StatusCode != 200 || !response.Close {
			t.Errorf("%s beyond the limit: %s, close %t: %s", path, response.Status, response.Close, text)
		}
	}
	for _, request := range []string{
		"GET /api/v1/kv/a", "PUT /api/v1/kv/a", "GET /api/status", "GET /", "GET /api/v1/events", "GET /nothing",
	} {
		c := a.dial()
		c.send(request + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nv")
		response, text := c.answer()
		if response.StatusCode != http.StatusServiceUnavailable || !response.Close {
			t.Errorf("%s beyond the limit: %s, close %t", request, response.Status, response.Close)
		}
		if body := decode[api.ErrorBody](t, text); body.Error.Code != api.CodeNotReady {
			t.Errorf("%s beyond the limit: %s", request, text)
		}
	}
	if len(a.node.log) != 0 {
		t.Error("a write was done beyond the limit")
	}
}

func TestSizesAreBounds(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "text", "\x00\x01\x02", "\"\\\n\t", "é\u2028日本", "\xff\xfe", strings.Repeat("\x01", 5000),
		strings.Repeat("\xff", 5000), strings.Repeat("é\n", 5000), strings.Repeat("\"", 5000),
	} {
		for _, kind := range []string{kv.TypeBytes, kv.TypeJSON, "text/plain"} {
			r := &kv.Record{Key: strings.Repeat("\"", 100), Value: []byte(value), ContentType: kind, Version: 1 << 60}
			longest := max(len(appendRecord(nil, r)), len(appendRead(nil, 1<<60, 1<<60, r)))
			if size := recordSize(r); size < longest {
				t.Errorf("%.20q as %s: %d bytes, and recordSize is %d", value, kind, longest, size)
			}
		}
	}
	command := bytes.Repeat([]byte("v"), 5000)
	entry := raft.Entry{Index: 1 << 60, Term: 1 << 60, Timestamp: 1 << 52, Command: command}
	if got := len(entryjson.Append(nil, &entry)) + 1; got > len(command)+logNames {
		t.Errorf("an entry has %d bytes beside its command", got-len(command))
	}
}
