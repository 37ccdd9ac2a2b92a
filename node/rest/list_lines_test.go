package rest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// linesReader reads a streamed list line by line.
type linesReader struct {
	t        *testing.T
	response *http.Response
	scanner  *bufio.Scanner
}

func (a *testAPI) readLines(ctx context.Context, query string) *linesReader {
	a.t.Helper()
	request, err := http.NewRequestWithContext(ctx, "GET", a.url+api.PathList+"?"+query, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Accept", "application/x-ndjson")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = response.Body.Close() })
	r := &linesReader{a.t, response, bufio.NewScanner(response.Body)}
	r.scanner.Buffer(nil, 8<<20)
	return r
}

// next returns the next line; false at the end of the body.
func (r *linesReader) next() (api.ListLine, bool) {
	r.t.Helper()
	if !r.scanner.Scan() {
		return api.ListLine{}, false
	}
	return decode[api.ListLine](r.t, r.scanner.Text()), true
}

func TestAMillionKeysAreStreamedInConstantMemory(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	memory := budget.NewMemory(1 << 20) // all that the server may hold for clients, and the list has 250 MB
	most := int64(0)
	a := serve(t, within(memory), func(f *fakeNode, _ *Options) {
		keys := manyKeys(n, 100)
		f.scan = func(q kv.Query) (kv.Page, error) {
			most = max(most, memory.Used())
			if q.Limit > chunkKeys || q.Limit < 1 || q.MaxBytes != chunkBytes || q.MaxVisits != chunkVisits {
				t.Errorf("a chunk has no bound: %+v", q)
			}
			return keys(q)
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), "GET", a.url+api.PathList, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/x-ndjson")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	scanner := bufio.NewScanner(response.Body)
	count := 0
	var last string
	for scanner.Scan() {
		if line := scanner.Bytes(); count < n && !strings.HasPrefix(string(line), fmt.Sprintf(`{"key":"key-%07d",`, count)) {
			t.Fatalf("line %d is %s", count, line)
		}
		count++
		last = scanner.Text()
	}
	if count != n+1 || last != `{"end":true,"revision":1,"count":1000000}` {
		t.Errorf("after %d lines the last one is %s", count, last)
	}
	if most == 0 || most > 256<<10 {
		t.Errorf("the stream held up to %d bytes", most)
	}
	eventually(t, "the stream holds nothing", func() bool { return memory.Used() == 0 && a.rest.lists.open.Load() == 0 })
}

func TestAStreamShowsOneRevision(t *testing.T) {
	t.Parallel()
	a := serve(t, func(f *fakeNode, _ *Options) {
		for i := range 2 * chunkKeys {
			f.apply(fmt.Sprintf(`{"op":"set","key":"k%05d","value":%d}`, i, i))
		}
		chunk := 0
		f.scan = func(q kv.Query) (kv.Page, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if chunk++; chunk == 2 { // the client has the first half
				f.apply(`{"op":"set","key":"k00900","value":"new"}`)
				f.apply(`{"op":"delete","key":"k00901"}`)
				f.apply(`{"op":"set","key":"k00901a","value":"new"}`)
			}
			return f.store.Scan(q)
		}
	})
	lines := a.lines("")
	for i, line := range lines[:len(lines)-1] {
		if string(line.Value) != fmt.Sprint(i) {
			t.Errorf("line %d is %s = %s", i, line.Key, line.Value)
		}
	}
	if end := lines[len(lines)-1]; !end.End || end.Count != 2*chunkKeys || end.Revision != 2*chunkKeys {
		t.Errorf("the last line is %+v", end)
	}
}

func TestAStreamWithALimitIsContinued(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a", "b", "c/1", "c/2", "d")
	lines := a.lines("limit=3&delimiter=/")
	end := lines[3]
	if lines[2].Folder != "c/" || !end.End || end.Count != 3 || end.Cursor == "" {
		t.Fatalf("lines are %+v", lines)
	}
	rest := a.lines("delimiter=/&cursor=" + end.Cursor)
	if len(rest) != 2 || rest[0].Key != "d" || rest[1].Cursor != "" || rest[1].Revision != 5 {
		t.Errorf("it continues with %+v", rest)
	}
}

// The history is compacted beyond the revision of a stream while a client reads it.
func TestACompactionInMidStreamIsTheLastLine(t *testing.T) {
	t.Parallel()
	a := serve(t, func(f *fakeNode, _ *Options) {
		for i := range 2 * chunkKeys {
			f.apply(fmt.Sprintf(`{"op":"set","key":"k%05d","value":%d}`, i, i))
		}
		chunk := 0
		f.scan = func(q kv.Query) (kv.Page, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if chunk++; chunk == 2 {
				f.apply(`{"op":"set","key":"x","value":1}`)
				f.apply(fmt.Sprintf(`{"op":"compact","revision":%d}`, 2*chunkKeys+1))
			}
			return f.store.Scan(q)
		}
	})
	lines := a.lines("")
	last := lines[len(lines)-1]
	if len(lines) != chunkKeys+1 || last.Error == nil || last.End {
		t.Fatalf("after %d lines the last one is %+v", len(lines), last)
	}
	if last.Error.Code != api.CodeCompacted || last.Error.OldestRevision != 2*chunkKeys+1 {
		t.Errorf("error is %+v", last.Error)
	}
	a.wantCode(api.CodeCompacted, api.PathList+"?revision=7", "Accept", "application/x-ndjson") // nothing was sent before
}

func TestAStreamThatFindsNoMemoryEndsWithAnError(t *testing.T) {
	t.Parallel()
	memory := budget.NewMemory(4 << 20)
	var a *testAPI
	var full *budget.Account
	a = serve(t, within(memory), func(f *fakeNode, _ *Options) {
		small, large := manyKeys(1_000_000, 10), manyKeys(1_000_000, 1<<20)
		f.scan = func(q kv.Query) (kv.Page, error) {
			if q.From == "" {
				return small(q)
			}
			if full == nil {
				full = a.memoryFull()
			}
			q.Limit = 1
			return large(q)
		}
	})
	lines := a.lines("")
	last := lines[len(lines)-1]
	if len(lines) != chunkKeys+1 || last.Error == nil || last.Error.Code != api.CodeOverloaded {
		t.Errorf("after %d lines the last one is %+v", len(lines), last)
	}
	full.Close()
}

// endless is a server whose range has no end.
func endless(t *testing.T) *testAPI {
	t.Helper()
	return serve(t, func(f *fakeNode, _ *Options) { f.scan = manyKeys(1<<40, 1024) })
}

func TestAClientThatDisconnectsEndsItsStream(t *testing.T) {
	t.Parallel()
	a := endless(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := a.readLines(ctx, "")
	if line, ok := r.next(); !ok || line.Key != "key-0000000" {
		t.Fatalf("the first line is %+v", line)
	}
	if a.rest.lists.open.Load() != 1 {
		t.Error("the stream does not count")
	}
	cancel()
	eventually(t, "the stream has ended", func() bool { return a.rest.lists.open.Load() == 0 })
}

func TestAClientThatDoesNotReadEndsItsStream(t *testing.T) {
	t.Parallel()
	a := endless(t)
	a.rest.lists.patience = time.Millisecond
	c := a.dial()
	c.send("GET /api/v1/kv HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
	eventually(t, "the stream has begun", func() bool { return a.rest.memory.Used() > 0 || a.rest.lists.open.Load() == 0 })
	eventually(t, "the stream has ended", func() bool { return a.rest.lists.open.Load() == 0 })
	text, _ := io.ReadAll(c)
	if strings.Contains(string(text), `"end":true`) || strings.Contains(string(text), `"error"`) {
		t.Error("a stream that was cut has a last line")
	}
}

func TestStreamsAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	a := endless(t)
	for range mostLists {
		r := a.readLines(t.Context(), "")
		if _, ok := r.next(); !ok {
			t.Fatal("a stream does not begin")
		}
	}
	for _, headers := range [][]string{{"Accept", "application/x-ndjson"}, nil} {
		query := "?count"
		if headers != nil {
			query = ""
		}
		wantOverloaded(t, a.ask("GET", api.PathList+query, "", headers...))
	}
	a.want(200, "GET", api.PathList+"?limit=1", "") // a page is no stream
}

func TestAStreamEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	a := endless(t)
	r := a.readLines(t.Context(), "")
	if _, ok := r.next(); !ok {
		t.Fatal("the stream does not begin")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- a.rest.Shutdown(ctx) }()
	var last api.ListLine
	for line, ok := r.next(); ok; line, ok = r.next() {
		last = line
	}
	if last.Error == nil || last.Error.Code != api.CodeNotReady {
		t.Errorf("the last line is %+v", last)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// How long a stream takes depends on its client, so it is no request time.
func TestStreamsAreNotMeasured(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a")
	a.lines("")
	a.list("")
	a.wantCode(api.CodeInvalid, api.PathList+"?limit=0", "Accept", "application/x-ndjson")
	text := a.want(200, "GET", "/metrics", "").body
	for _, line := range []string{
		`kontiki_request_duration_seconds_count{code="200",method="GET",route="/api/v1/kv"} 1`,
		`kontiki_request_duration_seconds_count{code="400",method="GET",route="/api/v1/kv"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

func TestAStreamHasTheHeadersOfTheNode(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.put("a", "b")
	h := a.readLines(t.Context(), "").response.Header
	for name, want := range map[string]string{
		"X-Raft-Term": "3", "X-Raft-Leader": "1", "X-Revision": "2", "X-Consistency": "linearizable",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Vary": "Accept, Origin",
	} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
}
