package rest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// instantNode answers without doing anything, so that what is measured is the handler.
type instantNode struct {
	*fakeNode
	record kv.Record
	index  raft.Index
}

func (n *instantNode) Propose(_ context.Context, commands [][]byte) []node.Outcome {
	outcomes := make([]node.Outcome, len(commands))
	for i := range outcomes {
		n.index++
		outcomes[i] = node.Outcome{Index: n.index, Term: 3, Result: kv.Result{Revision: uint64(n.index)}}
	}
	return outcomes
}

func (n *instantNode) ReadBarrier(context.Context) error { return nil }

func (n *instantNode) Get(string) (kv.Record, bool) { return n.record, true }

func (n *instantNode) Revision() uint64 { return uint64(n.index) }

func (n *instantNode) Status() node.Status { return n.status }

// sink is a response writer that keeps nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) WriteHeader(status int) { s.status = status }

// benchmark sends one request again and again through the whole server but net/http.
func benchmark(b *testing.B, method, path string, body []byte, headers ...string) {
	b.Helper()
	value := bytes.Repeat([]byte("v"), 256)
	n := &instantNode{fakeNode: newFakeNode(), index: 1_000_000, record: kv.Record{
		Key: "key-000001", Value: value, ContentType: kv.TypeBytes, CreateRevision: 10, ModRevision: 1_000_000, Version: 3,
	}}
	s, err := New(n, Options{})
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
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		clear(w.header)
		w.status = 0
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

// One operation of these is 128 commands.

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
