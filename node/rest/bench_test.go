package rest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// instantNode answers without doing anything, so that the handler alone is measured.
type instantNode struct {
	*fakeNode
	record kv.Record
	index  atomic.Uint64
}

func (n *instantNode) Propose(_ context.Context, commands [][]byte) []node.Outcome {
	outcomes := make([]node.Outcome, len(commands))
	for i := range outcomes {
		index := n.index.Add(1)
		outcomes[i] = node.Outcome{Index: raft.Index(index), Term: 3, Result: kv.Result{Revision: index}}
	}
	return outcomes
}

func (n *instantNode) ReadBarrier(context.Context) error { return nil }

func (n *instantNode) BeginLeaseRead(context.Context) (node.LeaseRead, error) {
	return node.LeaseRead{Consistency: api.Lease, Holds: func() bool { return true }}, nil
}

func (n *instantNode) Get(string) (kv.Record, bool) { return n.record, true }

func (n *instantNode) Revision() uint64 { return n.index.Load() }

func (n *instantNode) Status() api.Status { return n.status }

func (n *instantNode) Staleness() func() (time.Duration, bool) {
	return func() (time.Duration, bool) { return 0, true }
}

// sink is a response writer that discards everything.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) WriteHeader(status int) { s.status = status }

func newInstantNode() *instantNode {
	return &instantNode{fakeNode: newFakeNode(), record: kv.Record{
		Key: "key-000001", Value: bytes.Repeat([]byte("v"), 256), ContentType: kv.TypeBytes, CreateRevision: 10,
		ModRevision: 1_000_000, Version: 3,
	}}
}

// benchmark sends one request repeatedly through the whole server without net/http.
func benchmark(b *testing.B, method, path string, body []byte, headers ...string) {
	b.Helper()
	benchmarkOn(b, newInstantNode(), method, path, body, headers...)
}

func benchmarkOn(b *testing.B, n *instantNode, method, path string, body []byte, headers ...string) {
	b.Helper()
	s, err := New(n, newFakeNode(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	handler := s.Handler()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		b.Fatal(err)
	}
	reader := bytes.NewReader(body)
	r := &http.Request{
		Method: method, URL: u, Host: "localhost", Header: http.Header{"User-Agent": {"bench"}},
		Body: io.NopCloser(reader), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := &sink{}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		w.header, w.status = http.Header{}, 0 // net/http also makes a new one for each response
		handler.ServeHTTP(w, r)
		if w.status != 200 {
			b.Fatalf("status %d", w.status)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	benchmark(b, "PUT", "/api/v1/kv/key-000001", bytes.Repeat([]byte("v"), 256))
}

func BenchmarkGet(b *testing.B) { benchmark(b, "GET", "/api/v1/kv/key-000001", nil) }

func BenchmarkGetStale(b *testing.B) {
	benchmark(b, "GET", "/api/v1/kv/key-000001?consistency=stale", nil)
}

func BenchmarkGetRecord(b *testing.B) {
	benchmark(b, "GET", "/api/v1/kv/key-000001", nil, "Accept", "application/json")
}

func BenchmarkCommand(b *testing.B) {
	benchmark(b, "POST", "/api/command", []byte(`{"op":"set","key":"key-000001","value":{"a":1,"b":"two"}}`))
}

// One operation of these benchmarks is 128 commands.

func BenchmarkBatchOf128Puts(b *testing.B) {
	var lines strings.Builder
	for i := range 128 {
		fmt.Fprintf(&lines, `{"op":"put","key":"key-%06d","value":"%s"}`+"\n", i, strings.Repeat("v", 256))
	}
	benchmark(b, "POST", "/api/v1/batch", []byte(lines.String()))
}

func BenchmarkBatchOf128Gets(b *testing.B) {
	benchmark(b, "POST", "/api/v1/batch", []byte(strings.Repeat(`{"op":"get","key":"key-000001"}`+"\n", 128)))
}

// One operation of these benchmarks is a list of 10,000 keys.

func BenchmarkListPage(b *testing.B) { benchmarkList(b, "application/json") }

func BenchmarkListLines(b *testing.B) { benchmarkList(b, "application/x-ndjson") }

func benchmarkList(b *testing.B, accept string) {
	b.Helper()
	n := newInstantNode()
	value := bytes.Repeat([]byte("v"), 256)
	for i := range 10_000 {
		put := kv.Put{Key: fmt.Appendf(nil, "list/%027d", i), Value: value}
		n.store.Apply(kv.Entry{
			Revision: n.store.Applied() + 1, Timestamp: 1_790_000_000_123_456, Command: put.AppendJSON(nil),
		})
	}
	benchmarkOn(b, n, "GET", "/api/v1/kv?prefix=list/&limit=10000", nil, "Accept", accept)
}

// These benchmarks use 32 real connections, each with a minimal client.

func BenchmarkPutOverLoopback(b *testing.B) {
	overLoopback(b, "PUT /api/v1/kv/key-000001 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 256\r\n\r\n"+
		strings.Repeat("v", 256))
}

func BenchmarkGetOverLoopback(b *testing.B) {
	overLoopback(b, "GET /api/v1/kv/key-000001 HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

func overLoopback(b *testing.B, request string) {
	b.Helper()
	s, err := New(newInstantNode(), newFakeNode(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		answer := make([]byte, 4096)
		for pb.Next() {
			if _, err = conn.Write([]byte(request)); err == nil {
				_, err = conn.Read(answer) // a response this short arrives in one piece
			}
			if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
				b.Errorf("%v %s", err, answer)
				return
			}
		}
	})
	_ = s.http.Close()
	if err := <-served; err != nil {
		b.Error(err)
	}
}
