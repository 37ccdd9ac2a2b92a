package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// standIn answers the routes that the load generator uses, from a map. It can lose or refuse writes.
type standIn struct {
	mu       sync.Mutex
	revision uint64
	keys     map[string]record
	lose     bool // acknowledges writes without storing them
	refuse   api.Code
}

func newStandIn(t *testing.T) (*standIn, string) {
	t.Helper()
	s := &standIn{keys: map[string]record{}}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+api.PathKV+"{key}", s.put)
	mux.HandleFunc("GET "+api.PathKV+"{key}", s.get)
	mux.HandleFunc("GET "+api.PathList, s.list)
	mux.HandleFunc("POST "+api.PathBatch, s.batch)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return s, server.Listener.Addr().String()
}

func (s *standIn) write(key string, value []byte) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if !s.lose {
		s.keys[key] = record{true, s.revision, s.keys[key].version + 1, value}
	}
	return s.revision
}

func (s *standIn) put(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || s.refuse != "" {
		fail(w, s.refuse)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, s.write(r.PathValue("key"), body)))
	fmt.Fprintln(w, `{"revision":1,"created":false}`)
}

func (s *standIn) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.keys[r.PathValue("key")]
	if !ok {
		fail(w, api.CodeNotFound)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, got.revision))
	w.Header().Set(api.HeaderVersion, fmt.Sprint(got.version))
	_, _ = w.Write(got.value) // the test checks what is missing
}

func (s *standIn) batch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	lines := json.NewDecoder(bytes.NewReader(body))
	for {
		var command api.Command
		var text string
		if err := lines.Decode(&command); err != nil {
			return
		}
		if err := json.Unmarshal(command.Value, &text); err != nil {
			fmt.Fprintln(w, `{"error":{"code":"invalid","message":"no text"}}`)
			continue
		}
		fmt.Fprintf(w, `{"index":%d,"term":1,"result":{"created":true}}`+"\n", s.write(command.Key, []byte(text)))
		w.(http.Flusher).Flush() // so that the response is chunked
	}
}

func fail(w http.ResponseWriter, code api.Code) {
	w.WriteHeader(code.Status())
	text, _ := json.Marshal(api.ErrorBody{Error: &api.Error{Code: code, Message: "for the test"}})
	_, _ = w.Write(text)
}

// driveStandIn lets eight clients run a task ten times each, as the benchmark does.
func driveStandIn(t *testing.T, address string, task task) *cluster {
	t.Helper()
	c := &cluster{system: kontiki{}, account: newAccount(keyCount), members: []*member{{number: 1, api: address}}}
	sessions, closeAll, err := leanDriver([]string{address}).open(t.Context(), 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	var wg sync.WaitGroup
	for i, s := range sessions {
		w := newWorker(c, s, 1, i)
		wg.Go(func() {
			for ; w.count < 10; w.count++ {
				if _, err := task(t.Context(), w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return c
}

func TestLeanClientLosesNothing(t *testing.T) {
	t.Parallel()
	for name, task := range map[string]task{"puts": put, "batches": putBatch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, address := newStandIn(t)
			c := driveStandIn(t, address, task)
			if err := c.verify(t.Context()); err != nil {
				t.Error(err)
			}
			if server.revision < 80 {
				t.Errorf("only %d writes were made", server.revision)
			}
		})
	}
}

func TestALoadStopsAndItsWritesAreAllKnown(t *testing.T) {
	t.Parallel()
	_, address := newStandIn(t)
	c := driveStandIn(t, address, put)
	sessions, closeAll, err := leanDriver([]string{address}).open(t.Context(), 8, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	l := load{cell: 2, task: put, measure: 20 * time.Millisecond, cpu: func() time.Duration { return 0 }}
	r, err := l.run(t.Context(), c, sessions)
	if err != nil || r.failures.String() != "" {
		t.Errorf("%v, failed: %s", err, r.failures)
	}
	if int64(r.operations) != r.latency.TotalCount() {
		t.Errorf("%d operations but %d latencies", r.operations, r.latency.TotalCount())
	}
	if err := c.verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestALostWriteIsFound(t *testing.T) {
	t.Parallel()
	server, address := newStandIn(t)
	c := driveStandIn(t, address, put)
	server.mu.Lock()
	server.lose = true
	server.mu.Unlock()
	session := newLeanSession(t.Context(), []string{address}, 0)
	w := newWorker(c, session, 2, 0)
	if _, err := put(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := c.verify(t.Context()); err == nil || !strings.Contains(err.Error(), "LOST") {
		t.Errorf("a write was acknowledged but not stored, and the verdict is %v", err)
	}
}

func TestReadsAreChecked(t *testing.T) {
	t.Parallel()
	server, address := newStandIn(t)
	ctx := t.Context()
	session := newLeanSession(ctx, []string{address}, 0)
	if _, err := session.put(ctx, 5, 1); err != nil {
		t.Fatal(err)
	}
	for _, local := range []bool{false, true} {
		if err := session.get(ctx, 5, local); err != nil {
			t.Error(err)
		}
	}
	server.mu.Lock()
	server.keys[keyName(6)] = server.keys[keyName(5)]
	server.mu.Unlock()
	if err := session.get(ctx, 6, false); err == nil {
		t.Error("a read that returned the value of another key passed")
	}
}

func TestFailuresKeepTheirReason(t *testing.T) {
	t.Parallel()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	refusing, address := newStandIn(t)
	refusing.refuse = api.CodeNoLeader
	rude := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		panic(http.ErrAbortHandler) // closes the connection without a response
	}))
	t.Cleanup(rude.Close)
	for name, c := range map[string]struct {
		address   string
		want      failureKind
		maybeDone bool
	}{
		"an error response":       {address, noLeader, false},
		"no listener":             {gone.Addr().String(), connectionRefused, false},
		"the connection is ended": {rude.Listener.Addr().String(), connectionLost, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newLeanSession(t.Context(), []string{c.address}, 0).put(t.Context(), 1, 1)
			if kind, maybeDone := classify(err); kind != c.want || maybeDone != c.maybeDone {
				t.Errorf("%v is %q, maybe done: %t; want %q, %t", err, kind, maybeDone, c.want, c.maybeDone)
			}
		})
	}
}

func TestOnlyWhatHappenedExplainsAFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind               failureKind
		election, nodeDied bool
		explained          bool
	}{
		{kind: noLeader},
		{kind: noLeader, election: true, explained: true},
		{kind: outcomeUnknown, election: true, explained: true},
		{kind: connectionLost, election: true},
		{kind: connectionLost, nodeDied: true, explained: true},
		{kind: overloaded, explained: true},
		{kind: unexplained, election: true, nodeDied: true},
	} {
		var f failures
		f.add(c.kind, errors.New("example"))
		if err := f.judge(c.election, c.nodeDied); (err == nil) != c.explained {
			t.Errorf("%q with election %t and stopped node %t: %v", c.kind, c.election, c.nodeDied, err)
		}
	}
}

func TestAnswersOfAnyShapeAreRead(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for text, want := range map[string]answer{
		ok + "Etag: \"43\"\r\nX-Version: 2\r\nContent-Length: 3\r\n\r\nabc": {
			status: 200, etag: 43, version: 2, body: []byte("abc"),
		},
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n": {
			status: 200, body: []byte("abcde"),
		},
		"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n": {status: 204, close: true},
	} {
		var got answer
		if err := got.read(bufio.NewReader(strings.NewReader(text))); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got.status != want.status || got.etag != want.etag || got.version != want.version ||
			got.close != want.close || string(got.body) != string(want.body) {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
	for _, text := range []string{
		"", "HTTP/2 200\r\n", ok + "Content-Length: x\r\n\r\n", ok + "Content-Length: 5\r\n\r\nabc",
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n",
	} {
		var got answer
		if err := got.read(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%q was read without an error", text)
		}
	}
}
