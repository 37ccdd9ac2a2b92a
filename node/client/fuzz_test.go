package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// roundTrip answers every request of an http.Client.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzAnswer lets a program at an endpoint answer with any bytes. Every failure is an *api.Error with a code; what is
// taken for an answer had the status of one, and Retry-After never asks for a wait that has no end.
func FuzzAnswer(f *testing.F) {
	answer := func(head, body string) []byte { return []byte("HTTP/1.1 " + head + "\r\n\r\n" + body) }
	f.Add(answer("200 OK\r\nX-Raft-Term: 3", `{"cluster_id":"c","node_id":1,"config":{"members":[{}]}}`))
	f.Add(answer("200 OK", `{"nodes":[{"id":1,"match_index":{"2":5},"latency":{"write":{"p50":1e400}}}],"health":null}`))
	f.Add(answer("200 OK", `{"first_index":1,"entries":[{"index":1,"term":1,"command":{"op":"noop"},"timestamp":1.5}]}`))
	f.Add(answer("429 Too Many Requests\r\nRetry-After: 1", `{"error":{"code":"overloaded","message":"m"}}`))
	f.Add(answer("429 Too Many Requests\r\nRetry-After: 9223372036", `{"error":{}}`))
	f.Add(answer("412 Precondition Failed", `{"error":{"code":"precondition_failed","revision":18446744073709551615}}`))
	f.Add(answer("301 Moved Permanently\r\nLocation: http://other/", ""))
	f.Add(answer("502 Bad Gateway\r\nContent-Length: 9", "<html>"))
	f.Add(answer("999 \r\nTransfer-Encoding: chunked", "1\r\n{\r\nffffffffffffffff\r\n"))
	e, err := parseEndpoint("http://h:8080/prefix")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		status := 0
		h := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), r)
			if err == nil {
				status = response.StatusCode
			}
			return response, err
		}), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		for _, into := range []any{
			new(api.ClusterView), new(api.ClusterStatus), new(api.LogPage), new(api.TransferResponse), nil,
		} {
			const most = 1 << 16
			_, err := exchange(t.Context(), h, e, httpRequest{method: http.MethodGet, path: api.PathCluster, most: most}, into)
			if err == nil {
				if status != http.StatusOK {
					t.Fatalf("an answer with status %d was taken", status)
				}
				continue
			}
			failed, ok := errors.AsType[*api.Error](err)
			if !ok || failed.Code == "" || failed.RetryAfter < 0 || failed.RetryAfter > maxRetryAfter {
				t.Fatalf("%q leads to %#v", text, err)
			}
			if failed = settled(t.Context(), failed, true); failed.Code == api.CodeOutcomeUnknown || failed.Code == "" {
				t.Fatalf("%q leads a read to %#v", text, failed)
			}
		}
	})
}

// FuzzBatchAnswer hands an answer to a batch of several calls, some of one line and some of two. Each caller is
// answered exactly once, and of each line what stands in its place, or that nothing is known of it.
func FuzzBatchAnswer(f *testing.F) {
	f.Add([]byte(`{"index":1,"term":1,"result":{"revision":1,"created":true}}`+"\n"+`{"error":{"code":"no"}}`), true)
	f.Add([]byte("{\"index\":2,\"term\":1,\"result\":{\"deleted\":true}}\n\n\n{}\n[]\nnull\n7"), true)
	f.Add([]byte("{\"error\":{\"code\":\"not_ready\"}}\n{\"error\":{\"code\":\"not_ready\"}}"), false)
	f.Add(bytes.Repeat([]byte("{\"index\":1,\"term\":1,\"result\":5}\n"), 9), true)
	groups := [][]string{{api.OpPut}, {api.OpDelete, api.OpGet}, {api.OpCas}, {api.OpIncr, api.OpSet}}
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		pool, b := newCalls(), new(batch)
		var calls []*call
		for _, ops := range groups {
			k := pool.Get().(*call)
			k.answers = make([]answer, len(ops))
			k.request.Op = ops[0]
			if len(ops) > 1 {
				k.lines = make([]request, len(ops))
				for i, op := range ops {
					k.lines[i].Op = op
				}
			}
			k.state.Store(callSent)
			calls, b.calls = append(calls, k), append(b.calls, k)
		}
		b.resolve(text, whole)
		unanswered := &api.Error{Code: api.CodeOutcomeUnknown, Message: "cut off"}
		b.fail(unanswered)
		lines := bytes.SplitAfter(text, []byte{'\n'})
		for _, k := range calls {
			if len(k.done) != 1 || k.state.Load() != callDone {
				t.Fatalf("a call was answered %d times", len(k.done))
			}
			for i := range k.answers {
				line := lines[0]
				isWhole := bytes.HasSuffix(line, []byte{'\n'}) || whole && len(line) > 0
				if len(lines) > 1 {
					lines = lines[1:]
				} else {
					lines = [][]byte{nil}
				}
				want := answer{err: unanswered}
				if isWhole {
					want = decodeLine(k.op(i), bytes.TrimSuffix(line, []byte{'\n'}), false)
				}
				if got := k.answers[i]; !sameAnswer(got, want) {
					t.Fatalf("line %q of %s: got %+v, want %+v", line, k.op(i), got, want)
				}
			}
		}
	})
}

// sameAnswer compares answers, and of errors what a caller sees.
func sameAnswer(a, b answer) bool {
	if a.err != nil && b.err != nil {
		return a.err.Code == b.err.Code && a.err.Message == b.err.Message && a.err.Revision == b.err.Revision
	}
	return reflect.DeepEqual(a, b)
}

// FuzzEvents reads the messages of a stream as events. One that is read is written and read as the same event.
func FuzzEvents(f *testing.F) {
	f.Add("id: 1\nevent: raft\ndata: {\"cursor\":1,\"seq\":9,\"kind\":\"vote\",\"votes\":[1,2]}\n\n")
	f.Add("event: status\ndata: {\"nodes\":[{\"id\":1,\ndata: \"rates\":{\"writes\":1e9}}]}\n\nevent: other\ndata: {\n\n")
	f.Add("event: raft\ndata: [\n\nevent:status\ndata:null\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		messages, _ := messagesOf(stream, func(r io.Reader) io.Reader { return r })
		for _, m := range messages {
			event, known, err := decodeEvent(m)
			if err != nil {
				if api.ErrorCode(err) != api.CodeOutcomeUnknown {
					t.Fatalf("%q: %v", m.data, err)
				}
				continue
			}
			if !known {
				continue
			}
			if (event.Raft == nil) == (event.Status == nil) {
				t.Fatalf("%+v became %+v", m, event)
			}
			var value any = event.Raft
			if event.Raft == nil {
				value = event.Status
			}
			if m.data, err = json.Marshal(value); err != nil {
				t.Fatal(err)
			}
			if again, _, err := decodeEvent(m); err != nil || !sameJSON(again, event) {
				t.Fatalf("%+v became %+v, %v", event, again, err)
			}
		}
	})
}

// sameJSON compares values by what they are written as: an empty list may have become none.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// headConn keeps nothing and answers nothing.
type headConn struct{ net.Conn }

// FuzzEndpoint reads the addresses that users configure and members send. One that is taken leads to requests that a
// server reads as they are meant: one request, for the endpoint's host and under its path.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{
		"127.0.0.1:8080", "http://h:8080/", "https://h/prefix/", "http://[::1]:80", "http://[fe80::1%25en0]:80",
		"http://h:8080/a%20b%2Fc", "http://h\r\nX: y", "http://user@h", "ftp://h", "http://h:99999",
		"http://h/%0d%0aX:y", "://",
	} {
		f.Add(text)
	}
	config := Config{DialContext: func(context.Context, string, string) (net.Conn, error) { return headConn{}, nil }}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEndpoint(text)
		if err != nil {
			return
		}
		if _, err := (httpRequest{method: http.MethodGet, path: api.KeyPath("a/b")}).to(t.Context(), e); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if e.url.Scheme == "https" {
			return
		}
		topology := newTopology(config.withDefaults())
		defer topology.cancel()
		c, err := dialConnection(t.Context(), newLane(topology, "?x=1", true, 1), e)
		if err != nil {
			t.Fatal(err)
		}
		head := c.head.Append(nil, http.MethodPost, c.path, 0)
		reader := bufio.NewReader(bytes.NewReader(head))
		r, err := http.ReadRequest(reader)
		if err != nil || reader.Buffered() > 0 {
			t.Fatalf("%q leads to the request %q: %v", text, head, err)
		}
		path, err := url.PathUnescape(e.url.EscapedPath())
		if err != nil || r.Host != e.url.Host || r.URL.Path != path+api.PathBatch || r.URL.RawQuery != "x=1" {
			t.Fatalf("%q leads to a request for %q and %q", text, r.Host, r.URL)
		}
	})
}

func TestRetryAfterHasAnEnd(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "-1": 0, "soon": 0, "2": 2 * time.Second, "9223372036": maxRetryAfter, "9223372036854775807": maxRetryAfter,
	} {
		r := &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {text}}}
		if got := errorOf(r, nil).RetryAfter; got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
