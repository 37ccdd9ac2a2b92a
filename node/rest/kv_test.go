package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
)

func TestKeysArriveAsTheyAre(t *testing.T) { // design section 7
	t.Parallel()
	a := serve(t)
	for path, key := range map[string]string{
		"plain":                                "plain",
		"app/cfg/db":                           "app/cfg/db",
		"a//b///c":                             "a//b///c",
		"/leading":                             "/leading",
		"trailing/":                            "trailing/",
		"a%2Fb":                                "a/b",
		"a%2F%2Fb":                             "a//b",
		"a%252Fb":                              "a%2Fb",
		"dots/./and/../here":                   "dots/./and/../here",
		"..":                                   "..",
		"%2e%2e":                               "..",
		"with%20space":                         "with space",
		"plus+sign":                            "plus+sign",
		"q%3Fm%23h&x=1;y":                      "q?m#h&x=1;y",
		"%C3%A9t%C3%A9/%F0%9F%9B%B6/%E6%BC%A2": "été/🛶/漢",
		"quote%22back%5Cline%0A":               "quote\"back\\line\n",
		"*key":                                 "*key",
		":id":                                  ":id",
	} {
		value := "value of " + path
		a.raw(200, "PUT", path, value)
		a.node.mu.Lock()
		record, ok := a.node.store.Get(key)
		a.node.mu.Unlock()
		if !ok || string(record.Value) != value {
			t.Errorf("PUT %s did not write the key %q", path, key)
			continue
		}
		if got := a.raw(200, "GET", path, ""); !strings.HasSuffix(got, value) {
			t.Errorf("GET %s gave %q", path, got)
		}
		if got := a.want(200, "GET", api.KeyPath(key), "").body; got != value {
			t.Errorf("KeyPath(%q) led to %q", key, got)
		}
		got := decode[api.Record](t, a.want(200, "GET", api.KeyPath(key), "", "Accept", "application/json").body)
		if got.Key != key {
			t.Errorf("the record of %q has the key %q", key, got.Key)
		}
		a.raw(200, "DELETE", path, "")
	}
}

// raw sends a request whose path no library has changed.
func (a *testAPI) raw(status int, method, path, body string) string {
	a.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "%s /api/v1/kv/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"+
		"Content-Length: %d\r\n\r\n%s", method, path, len(body), body)
	if err != nil {
		a.t.Fatal(err)
	}
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if !strings.HasPrefix(text.String(), fmt.Sprintf("HTTP/1.1 %d ", status)) {
		a.t.Errorf("%s %s: want %d, got %s", method, path, status, text.String())
	}
	return text.String()
}

func TestPutTellsRevisionAndETag(t *testing.T) {
	t.Parallel()
	a := serve(t)
	first := a.want(200, "PUT", "/api/v1/kv/a", "1")
	if put := decode[api.PutResponse](t, first.body); put.Revision != 1 || !put.Created {
		t.Errorf("the first put answered %+v", put)
	}
	second := a.want(200, "PUT", "/api/v1/kv/a", "2")
	if put := decode[api.PutResponse](t, second.body); put.Revision != 2 || put.Created {
		t.Errorf("the second put answered %+v", put)
	}
	if second.header.Get("ETag") != `"2"` || second.header.Get("X-Revision") != "2" {
		t.Errorf("headers are %v", second.header)
	}
	got := a.want(200, "GET", "/api/v1/kv/a", "")
	for name, value := range map[string]string{
		"ETag": `"2"`, "X-Revision": "2", "X-Create-Revision": "1", "X-Version": "2", "X-Consistency": "linearizable",
	} {
		if got.header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), value)
		}
	}
	gone := a.want(200, "DELETE", "/api/v1/kv/a", "")
	if d := decode[api.DeleteResponse](t, gone.body); !d.Deleted || d.Revision != 3 {
		t.Errorf("the delete answered %+v", d)
	}
	again := a.want(200, "DELETE", "/api/v1/kv/a", "")
	if d := decode[api.DeleteResponse](t, again.body); d.Deleted || d.Revision != 0 {
		t.Errorf("deleting again answered %+v", d)
	}
}

func TestPreconditionsOfWrites(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "1", "If-None-Match", "*")
	failed := a.want(412, "PUT", "/api/v1/kv/a", "2", "If-None-Match", "*")
	if e := decode[api.ErrorBody](t, failed.body).Error; e.Code != api.CodePreconditionFailed || e.Revision != 1 {
		t.Errorf("error is %+v", e)
	}
	if failed.header.Get("ETag") != `"1"` {
		t.Errorf("the ETag of what is there is %q", failed.header.Get("ETag"))
	}
	a.want(200, "PUT", "/api/v1/kv/a", "2", "If-Match", `"1"`) // revision 3: the refused put is in the log too
	failed = a.want(412, "PUT", "/api/v1/kv/a", "3", "If-Match", `"1"`)
	if e := decode[api.ErrorBody](t, failed.body).Error; e.Revision != 3 {
		t.Errorf("error is %+v", e)
	}
	a.want(412, "DELETE", "/api/v1/kv/a", "", "If-Match", `"1"`)
	a.want(200, "DELETE", "/api/v1/kv/a", "", "If-Match", `"3"`)
	absent := a.want(412, "PUT", "/api/v1/kv/a", "", "If-Match", `"3"`)
	if !strings.Contains(absent.body, `"revision":0`) || absent.header.Get("ETag") != "" {
		t.Errorf("an absent key is reported as %s, ETag %q", absent.body, absent.header.Get("ETag"))
	}
	for _, match := range []string{"3", `W/"3"`, `"x"`, `"1", "2"`, "*", `"`, `""`} {
		a.want(400, "PUT", "/api/v1/kv/a", "", "If-Match", match)
	}
	a.want(400, "PUT", "/api/v1/kv/a", "", "If-None-Match", `"3"`)
	a.want(400, "DELETE", "/api/v1/kv/a", "", "If-None-Match", "*")
	a.want(400, "PUT", "/api/v1/kv/a", "", "If-None-Match", "*", "If-Match", `"3"`)
}

func TestAPromiseThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(400, "PUT", "/api/v1/kv/a?ttl=30s", "1")
	a.want(400, "PUT", "/api/v1/kv/a", "1", "Idempotency-Key", "x")
	a.want(400, "DELETE", "/api/v1/kv/a", "", "If-Lock", "7")
	a.want(400, "GET", "/api/v1/kv/a?as_of=7", "")
	if len(a.node.log) != 0 {
		t.Error("something was written")
	}
}

func TestGetAnswersNotModified(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	for _, tags := range []string{`"1"`, `W/"1"`, `"7", "1"`, "*"} {
		got := a.want(304, "GET", "/api/v1/kv/a", "", "If-None-Match", tags)
		if got.body != "" || got.header.Get("ETag") != `"1"` {
			t.Errorf("If-None-Match: %s gave %q, ETag %q", tags, got.body, got.header.Get("ETag"))
		}
	}
	a.want(200, "GET", "/api/v1/kv/a", "", "If-None-Match", `"2"`)
	a.want(404, "GET", "/api/v1/kv/b", "", "If-None-Match", "*")
}

func TestValuesKeepTheirBytesAndType(t *testing.T) {
	t.Parallel()
	a := serve(t)
	binary := "\x00\xff\xfe\n"
	for i, c := range []struct{ sent, value, stored, shown, encoding string }{
		{"", "text", "application/octet-stream", `"text"`, ""},
		{"application/x-www-form-urlencoded", "a=1", "application/octet-stream", `"a=1"`, ""},
		{"Application/x-www-form-urlencoded; charset=UTF-8", "a=1", "application/octet-stream", `"a=1"`, ""},
		{"text/plain", "line\n\"q\"\u2028\t\x01", "text/plain", "\"line\\n\\\"q\\\"\u2028\\t\\u0001\"", ""},
		{"image/png", binary, "image/png", `"` + base64.StdEncoding.EncodeToString([]byte(binary)) + `"`, "base64"},
		{"application/json", `{"a": 1}`, "application/json", `{"a": 1}`, ""},
		{"application/json; charset=utf-8", "[1]", "application/json; charset=utf-8", "[1]", ""},
		{"application/json", "{\n \"a\": 1\n}\n", "application/json", `{"a":1}`, ""},
		{"application/json", `"text"`, "application/json", `"text"`, ""},
		{"", strings.Repeat("v", 5000), "application/octet-stream", `"` + strings.Repeat("v", 5000) + `"`, ""},
		{"", "", "application/octet-stream", `""`, ""},
	} {
		path := fmt.Sprintf("/api/v1/kv/%d", i)
		if c.sent == "" {
			a.want(200, "PUT", path, c.value)
		} else {
			a.want(200, "PUT", path, c.value, "Content-Type", c.sent)
		}
		raw := a.want(200, "GET", path, "")
		if raw.body != c.value || raw.header.Get("Content-Type") != c.stored {
			t.Errorf("%d: raw is %q of type %q", i, raw.body, raw.header.Get("Content-Type"))
		}
		record := decode[api.Record](t, a.want(200, "GET", path, "", "Accept", "application/json").body)
		if string(record.Value) != c.shown || record.Encoding != c.encoding || record.ContentType != c.stored ||
			record.Version != 1 || record.ModRevision != record.CreateRevision {
			t.Errorf("%d: record is %s %+v", i, record.Value, record.RecordMeta)
		}
		if head := a.want(200, "HEAD", path, ""); head.header.Get("Content-Length") != fmt.Sprint(len(c.value)) {
			t.Errorf("%d: HEAD has the length %q of %d", i, head.header.Get("Content-Length"), len(c.value))
		}
	}
	a.want(400, "PUT", "/api/v1/kv/x", "{bad", "Content-Type", "application/json")
}

func TestBytesThatOnlyClaimToBeJSONAreShownAsBase64(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { // of an old log: every route refuses it today
		old := []byte(`{"op":"put","key":"a","value":"{bad","content_type":"application/json"}`)
		n.store.Apply(kv.Entry{Revision: 1, Timestamp: 1700000000000001, Command: old})
	})
	record := decode[api.Record](t, a.want(200, "GET", "/api/v1/kv/a", "", "Accept", "application/json").body)
	if record.Encoding != api.EncodingBase64 || string(record.Value) != `"e2JhZA=="` {
		t.Errorf("record is %s %+v", record.Value, record.RecordMeta)
	}
}

func TestRawValuesCannotActInTheNameOfTheOrigin(t *testing.T) { // CVE-2020-25864
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/page", "<script>alert(1)</script>", "Content-Type", "text/html")
	got := a.want(200, "GET", "/api/v1/kv/page", "", "Sec-Fetch-Dest", "document")
	for name, value := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'",
		"Content-Disposition": "attachment", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got.header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), value)
		}
	}
	if plain := a.want(200, "GET", "/api/v1/kv/page", ""); plain.header.Get("Content-Disposition") != "" {
		t.Error("a fetch gets an attachment")
	}
}

func TestReadsAreAsFreshAsAsked(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = node.ErrNoLeader; n.status.StalenessMs = 1500 })
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(503, "GET", "/api/v1/kv/a", "")
	a.want(503, "GET", "/api/v1/kv/a?consistency=linearizable", "")
	a.want(503, "GET", "/api/v1/kv/a?consistency=lease", "")
	got := a.want(200, "GET", "/api/v1/kv/a?consistency=stale", "")
	if got.header.Get("X-Consistency") != "stale" {
		t.Errorf("X-Consistency is %q", got.header.Get("X-Consistency"))
	}
	a.want(200, "GET", "/api/v1/kv/a?consistency=stale&max_stale=2s", "")
	a.want(503, "GET", "/api/v1/kv/a?consistency=stale&max_stale=0s", "")
	late := a.want(503, "GET", "/api/v1/kv/a?consistency=stale&max_stale=1s", "")
	if e := decode[api.ErrorBody](t, late.body).Error; e.Code != api.CodeNotReady {
		t.Errorf("a too stale read is %+v", e)
	}
	a.node.mu.Lock()
	a.node.status.StalenessMs = -1
	a.node.barrierErr = nil
	a.node.mu.Unlock()
	a.want(503, "GET", "/api/v1/kv/a?consistency=stale&max_stale=1h", "")
	lease := a.want(200, "GET", "/api/v1/kv/a?consistency=lease", "")
	if lease.header.Get("X-Consistency") != "linearizable" {
		t.Errorf("without a lease it is served as %q", lease.header.Get("X-Consistency"))
	}
	for _, query := range []string{
		"consistency=strong", "max_stale=2s", "consistency=stale&max_stale=2", "consistency=stale&max_stale=-1s",
		"min_revision=x", "unknown=1", "a;b", "%zz",
	} {
		a.want(400, "GET", "/api/v1/kv/a?"+query, "")
	}
}

// A process is paused between the check of the age and the response. When it answers it has caught up, so its state is
// young; but what it has read is old.
func TestAReadIsAsOldAsTheStateThatItSaw(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.staleness = func() func() (time.Duration, bool) {
			looks := 0
			return func() (time.Duration, bool) {
				looks++
				return time.Duration(looks-1) * 3 * time.Second, true
			}
		}
	})
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(503, "GET", "/api/v1/kv/a?consistency=stale&max_stale=500ms", "")
	a.want(200, "GET", "/api/v1/kv/a?consistency=stale&max_stale=3s", "")
	batch := a.want(200, "POST", "/api/v1/batch?consistency=stale&max_stale=500ms", `{"op":"get","key":"a"}`)
	if !strings.Contains(batch.body, `"not_ready"`) {
		t.Errorf("a batch answers %s", batch.body)
	}
}

// What is written after a record was read is not in the answer, so the revision in the answer does not include it.
func TestAGetReportsTheRevisionBeforeItRead(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.afterGet = func() { n.Propose(context.Background(), [][]byte{[]byte(`{"op":"incr","key":"a","by":1}`)}) }
	})
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	const get = `{"op":"get","key":"a"}`
	for want := uint64(1); want < 3; want++ {
		path := map[uint64]string{1: "/api/command", 2: "/api/v1/batch"}[want]
		r := decode[api.CommandResponse](t, a.want(200, "POST", path, get).body)
		if r.Index != want || r.Record.ModRevision != want {
			t.Errorf("%s: read at %d, and the record is of %d; want %d", path, r.Index, r.Record.ModRevision, want)
		}
	}
}

// A node without a state would answer that every key is absent.
func TestAStaleReadNeedsAMemberThatHasLoadedItsLog(t *testing.T) {
	t.Parallel()
	for what, prepare := range map[string]func(*api.Status){
		"no member": func(s *api.Status) { s.LifeCycle, s.ID = api.StateEmpty, 0 },
		"starting":  func(s *api.Status) { s.LastApplied, s.CommitIndex = 0, 7 },
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { prepare(&n.status) })
		for _, more := range []string{"", "&max_stale=9h", "&min_revision=0"} {
			query := "consistency=stale" + more
			a.wantError(503, api.CodeNotReady, "GET", "/api/v1/kv/k?"+query, "")
			line := a.want(200, "POST", "/api/v1/batch?"+query, `{"op":"get","key":"k"}`).body
			if r := decode[api.BatchResult](t, line); r.Error == nil || r.Error.Code != api.CodeNotReady {
				t.Errorf("%s: a batch with %s answers %s", what, query, line)
			}
		}
	}
}

// The state that a read has waited for is checked by its own age, not by that of the state before the wait.
func TestAReadIsAsOldAsTheRevisionThatItWaitedFor(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		states := 0
		n.staleness = func() func() (time.Duration, bool) {
			states++
			first, looks := states == 1, 0
			return func() (time.Duration, bool) {
				looks++
				if first && looks > 1 {
					return time.Hour, true // the wait is over
				}
				return 0, true
			}
		}
	})
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(200, "GET", "/api/v1/kv/a?consistency=stale&max_stale=500ms&min_revision=9", "")
}

func TestMinRevisionWaits(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "1")
	a.want(200, "GET", "/api/v1/kv/a?min_revision=1", "")
	if a.node.awaited != 0 {
		t.Error("waited for what is there")
	}
	a.want(200, "GET", "/api/v1/kv/a?consistency=stale&min_revision=9", "")
	if a.node.awaited != 9 {
		t.Errorf("waited for %d, want 9", a.node.awaited)
	}
	a.node.mu.Lock()
	a.node.awaitErr = node.ErrNotReady
	a.node.mu.Unlock()
	refused := a.want(503, "GET", "/api/v1/kv/a?min_revision=9", "")
	if e := decode[api.ErrorBody](t, refused.body).Error; !strings.Contains(e.Message, "applied revision 1,") {
		t.Errorf("the message does not state how far the node is: %q", e.Message)
	}
}

func TestHandlersTakeTheKeyFromTheDecodedPath(t *testing.T) {
	t.Parallel()
	// keyOf depends on it that net/url decodes a path without cleaning it.
	for raw, want := range map[string]string{
		"/api/v1/kv/a%2F%2F..%2Fb": "/api/v1/kv/a//../b", "/api/v1/kv//x//": "/api/v1/kv//x//",
	} {
		u, err := url.ParseRequestURI(raw)
		if err != nil || u.Path != want {
			t.Errorf("%s is decoded to %q, %v", raw, u.Path, err)
		}
	}
}

func TestLimitsOfKeysAndValues(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", strings.Repeat("x", kv.MaxValueBytes))
	for _, r := range []answer{
		a.want(413, "PUT", "/api/v1/kv/a", strings.Repeat("x", kv.MaxValueBytes+1)),
		a.want(413, "POST", "/api/command", `{"op":"set","key":"a","value":"`+strings.Repeat("x", kv.MaxValueBytes)+`"}`),
	} {
		e := decode[api.ErrorBody](t, r.body).Error
		if e.Code != api.CodeTooLarge || e.Limit != kv.MaxValueBytes {
			t.Errorf("error is %+v", e)
		}
	}
	long := a.want(413, "PUT", "/api/v1/kv/"+strings.Repeat("k", kv.MaxKeyBytes+1), "x")
	if e := decode[api.ErrorBody](t, long.body).Error; e.Limit != kv.MaxKeyBytes {
		t.Errorf("error is %+v", e)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		a.want(400, method, "/api/v1/kv/", "")
		a.want(400, method, "/api/v1/kv/%ff", "")
	}
	longest := "\x00/" + strings.Repeat("\u0001\"/é%", 4096/7)
	longest += strings.Repeat("k", kv.MaxKeyBytes-len(longest))
	a.want(200, "PUT", api.KeyPath(longest), "x")
	record := decode[api.Record](t, a.want(200, "GET", api.KeyPath(longest), "", "Accept", "application/json").body)
	if record.Key != longest {
		t.Errorf("a key of %d bytes became %q", len(longest), record.Key)
	}
	a.want(200, "DELETE", api.KeyPath(longest), "")
}

// errReader fails within a body.
type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken off") }

func TestABodyIsReadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	server := newResponder(nil, budget.NewMemory(1<<30), nil)
	text := strings.Repeat("0123456789", 20000)
	for name, c := range map[string]struct {
		length int64
		limit  int64
		body   string
		code   api.Code
	}{
		"known length":            {200000, 1 << 20, text, ""},
		"unknown length":          {-1, 1 << 20, text, ""},
		"exactly the limit":       {200000, 200000, text, ""},
		"unknown, exactly":        {-1, 200000, text, ""},
		"one too many":            {200000, 199999, text, api.CodeTooLarge},
		"unknown, one too many":   {-1, 199999, text, api.CodeTooLarge},
		"announced, but not sent": {1 << 40, 1 << 20, "", api.CodeTooLarge},
		"empty":                   {0, 10, "", ""},
		"unknown and empty":       {-1, 10, "", ""},
	} {
		b := server.newBuffer()
		r := &http.Request{ContentLength: c.length, Body: http.NoBody}
		if c.body != "" {
			r.Body = io.NopCloser(strings.NewReader(c.body))
		}
		err := b.read(r, c.limit)
		if api.ErrorCode(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && string(b.b) != c.body {
			t.Errorf("%s: read %d bytes of %d", name, len(b.b), len(c.body))
		}
	}
	broken := &http.Request{ContentLength: -1, Body: io.NopCloser(errReader{})}
	if err := server.newBuffer().read(broken, 100); api.ErrorCode(err) != api.CodeInvalid {
		t.Errorf("a body that breaks off: %v", err)
	}
}
