package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// direct is a server without a network.
type direct struct {
	*Server
	node *fakeNode
	log  *lockedBuffer
}

func newDirect(t testing.TB) *direct {
	t.Helper()
	d := &direct{node: newFakeNode(), log: &lockedBuffer{}}
	var err error
	d.Server, err = New(d.node, d.node, Options{Logger: slog.New(slog.NewTextHandler(d.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// do sends a request, and checks what holds for every response: no fault of the server, also in its log, and for an
// error JSON with a code of the API and its status.
func (d *direct) do(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if r.URL.Path == api.PathEvents {
		cancel() // otherwise the stream does not end
	}
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r.WithContext(ctx))
	if w.Code >= 400 {
		e := errorIn(t, w)
		if e.Code.Status() != w.Code || e.Message == "" {
			t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
		}
	}
	if w.Code == http.StatusInternalServerError || d.log.String() != "" {
		t.Fatalf("%s %s: a fault of the server: %s", r.Method, r.URL, d.log)
	}
	return w
}

// errorIn parses the body of an error response.
func errorIn(t *testing.T, w *httptest.ResponseRecorder) *api.Error {
	t.Helper()
	if w.Body.Len() == 0 { // the response to HEAD is recorded with its body, but that to a probe has another form
		t.Fatalf("%d without a body", w.Code)
	}
	return decode[api.ErrorBody](t, w.Body.String()).Error
}

// request returns a request whose method, target and headers are any text that net/http's own reader accepts.
func request(method, target, headers string, body []byte) (*http.Request, bool) {
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") {
		return nil, false
	}
	r, err := http.NewRequest(method, "http://localhost", bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	u.Scheme, u.Host = "", ""
	r.URL, r.RequestURI, r.Host = u, target, "localhost"
	for line := range strings.Lines(headers) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		printable := func(text string) bool {
			return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
		}
		if name = strings.TrimSpace(name); name != "" && printable(name) && printable(value) {
			r.Header.Add(name, strings.TrimSpace(value))
		}
	}
	return r, true
}

// seedRequests has one valid request for every route, and some that are almost valid.
var seedRequests = []struct{ method, target, headers, body string }{
	{"GET", "/", "", ""},
	{"GET", "/api/status", "", ""},
	{"GET", "/api/logs?from=1&limit=2", "", ""},
	{"GET", "/api/logs?from=18446744073709551615&limit=-1", "", ""},
	{"POST", "/api/command", "Content-Type: application/json", `{"op":"set","key":"x","value":[1,{"a":null}]}`},
	{"POST", "/api/command", "", `{"key":"n","by":1,"op":"incr"}`},
	{"POST", "/api/command", "", `{"op":"cas","key":"x","expected":null,"value":2}`},
	{"POST", "/api/command", "", `{"op":"get","key":"seed"}`},
	{"POST", "/api/command", "", `{"op":"put","key":"b","value":"/w==","encoding":"base64","if_absent":true}`},
	{"POST", "/api/command", "", `{"op":"delete","key":"seed","if_revision":1} {}`},
	{"PUT", "/api/v1/kv/a%2Fb//..", "Content-Type: text/plain\nIf-Match: \"42\"", "value"},
	{"PUT", "/api/v1/kv/k", "If-None-Match: *\nContent-Type: application/json", `{"a":1}`},
	{"PUT", "/api/v1/kv/k?ttl=30s", "Idempotency-Key: 1", ""},
	{"GET", "/api/v1/kv/seed", "Accept: application/json\nIf-None-Match: W/\"1\", \"2\"", ""},
	{"GET", "/api/v1/kv/seed?consistency=stale&max_stale=2s&min_revision=1", "Sec-Fetch-Dest: document", ""},
	{"GET", "/api/v1/kv/seed?consistency=lease&min_revision=18446744073709551616", "", ""},
	{"GET", "/api/v1/kv/%00?%zz", "", ""},
	{"HEAD", "/api/v1/kv/seed", "", ""},
	{"GET", "/api/v1/kv/seed?revision=1", "Accept: application/json", ""},
	{"GET", "/api/v1/kv/seed?history&before=7&limit=2", "", ""},
	{"GET", "/api/v1/kv?prefix=s&from=a&to=t&limit=2&keys_only&delimiter=/&revision=1&min_revision=1", "", ""},
	{"GET", "/api/v1/kv?prefix=s", "Accept: application/x-ndjson", ""},
	{"GET", "/api/v1/kv?count&consistency=stale", "", ""},
	{"GET", "/api/v1/kv?limit=1&cursor=AQFzZWVkAAAAAAAAAAA", "", ""},
	{"POST", "/api/v1/compact", "", `{"revision":1}`},
	{"POST", "/api/v1/compact", "", `{"revision":-1} {}`},
	{"DELETE", "/api/v1/kv/seed", "If-Match: \"1\"", ""},
	{"POST", "/api/v1/batch?consistency=stale", "", "{\"op\":\"get\",\"key\":\"seed\"}\n\n{\"op\":\"jump\"}\r\n{"},
	{"GET", "/api/v1/cluster", "", ""},
	{
		"POST", "/api/v1/cluster/bootstrap", "",
		`{"cluster_id":"c","node_id":1,"members":[{"id":1,"address":"http://h:1","api_address":"","role":"voter"}]}`,
	},
	{"POST", "/api/v1/cluster/bootstrap", "", `{"members":[{"role":"learner"}]} 1`},
	{"POST", "/api/v1/leader/transfer", "", `{"to":2}`},
	{"POST", "/api/v1/leader/transfer", "", `{"to":-1}`},
	{"GET", "/api/v1/members", "", ""},
	{"POST", "/api/v1/members", "", `{"address":"http://h4:7080","id":4,"auto_promote":false,"expected_config_index":0}`},
	{"POST", "/api/v1/members/change", "", `{"add":[{"address":"http://h4:7080"}],"promote":[3],"remove":[2]}`},
	{"POST", "/api/v1/members/change", "", `{"update":[{"id":3,"address":"http://h3:7081","api_address":"x"}]}`},
	{"POST", "/api/v1/members/3/promote", "", ""},
	{"PUT", "/api/v1/members/3", "", `{"address":"http://h3:7081","api_address":"https://h3"}`},
	{"DELETE", "/api/v1/members/3?expected_config_index=0&force", "", ""},
	{"DELETE", "/api/v1/members/03?expected_config_index=-1", "If-Match: \"1\"", ""},
	{"GET", "/api/v1/events?since=1", "Last-Event-ID: 7", ""},
	{"GET", "/livez", "", ""},
	{"GET", "/readyz?verbose", "", ""},
	{"GET", "/startupz", "", ""},
	{"GET", "/metrics", "Accept: application/openmetrics-text", ""},
	{"OPTIONS", "/api/command", "Origin: http://h2:8080\nAccess-Control-Request-Method: PUT", ""},
	{"POST", "/api/command", "Origin: null\nSec-Fetch-Site: cross-site", `{"op":"get","key":"x"}`},
	{"PATCH", "/api/v1/kv", "", ""},
}

// FuzzRequest sends any request. The server has no fault, and an error has a code of the API.
func FuzzRequest(f *testing.F) {
	for _, seed := range seedRequests {
		f.Add(seed.method, seed.target, seed.headers, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		r, ok := request(method, target, headers, body)
		if !ok {
			return
		}
		d := newDirect(t)
		seed := &kv.Put{Key: []byte("seed"), Value: []byte("value"), ContentType: "text/plain"}
		d.node.Propose(t.Context(), [][]byte{seed.AppendJSON(nil)})
		w := d.do(t, r)
		for _, name := range []string{api.HeaderTerm, api.HeaderLeader} {
			if len(w.Header()[name]) != 1 {
				t.Fatalf("%s %s: the answer has no %s", method, target, name)
			}
		}
		for name, values := range w.Header() {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n") {
				t.Fatalf("%s %s: the header %q is %q", method, target, name, values)
			}
		}
	})
}

// A seed that is refused by mistake would give the fuzzer no start.
func TestSeedRequestsReachTheirRoutes(t *testing.T) {
	t.Parallel()
	d := newDirect(t)
	for _, seed := range seedRequests {
		r, ok := request(seed.method, seed.target, seed.headers, []byte(seed.body))
		if !ok {
			t.Errorf("%s %s is no request", seed.method, seed.target)
			continue
		}
		if w := d.do(t, r); w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "no such route") &&
			seed.target != "/" {
			t.Errorf("%s %s: %s", seed.method, seed.target, w.Body)
		}
	}
}

// FuzzBatch sends the same lines as a batch and one by one. Each line that is not empty has one line in the response,
// with a result or an error of the API; and unless one reads, which a batch does at its end, both ways agree.
func FuzzBatch(f *testing.F) {
	for _, lines := range [][]string{
		{`{"op":"incr","key":"a"}`, "\r", " ", `{"op":"cas","key":"a","expected":1,"value":[2]}`},
		{`{"op":"set","key":"a","value":{"b": 1}}`, `{"op":"get","key":"a"}`, `{"op":"delete","key":"a"}`},
		{"{\"op\":\"put\",\"key\":\"a\",\"value\":\"\xff\"}", "null", "[]", `"`, `{"op":"set","key":"","value":1}`},
		{`{"op":"put","key":"a","json":1.0,"if_revision":0}`, `{"op":"incr","key":"a","by":9223372036854775807}`},
	} {
		f.Add([]byte(strings.Join(lines, "\n")))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		lines := slices.DeleteFunc(bytes.Split(body, newLine), func(line []byte) bool {
			return len(bytes.TrimSpace(line)) == 0
		})
		together, apart := newDirect(t), newDirect(t)
		r, _ := request("POST", api.PathBatch, "", body)
		w := together.do(t, r)
		if len(lines) == 0 {
			if w.Code != http.StatusBadRequest {
				t.Fatalf("nothing was answered with %d %s", w.Code, w.Body)
			}
			return
		}
		answers := strings.SplitAfter(w.Body.String(), "\n")
		if w.Code != http.StatusOK || len(answers) != len(lines)+1 || answers[len(lines)] != "" {
			t.Fatalf("%d lines were answered with %d %q", len(lines), w.Code, w.Body)
		}
		reads := false
		for i, line := range lines {
			result := decode[api.BatchResult](t, answers[i])
			if (result.Error == nil) == (result.Result == nil) {
				t.Fatalf("%q was answered with %q", line, answers[i])
			}
			if e := result.Error; e != nil && (e.Code.Status() == http.StatusInternalServerError || e.Message == "") {
				t.Fatalf("%q was answered with %q", line, answers[i])
			}
			r, _ := request("POST", api.PathCommand, "", bytes.TrimSpace(line))
			alone := apart.do(t, r).Body.String()
			command, err := kv.Parse(bytes.TrimSpace(line))
			reads = reads || err == nil && command.Op() == kv.OpGet
			if !reads && alone != answers[i] {
				t.Fatalf("%q is answered with %q in a batch, and with %q alone", line, answers[i], alone)
			}
		}
	})
}

// FuzzKey writes any key and reads it again. Key and value arrive unchanged, or the write was refused because of the
// key or the content type.
func FuzzKey(f *testing.F) {
	f.Add("a//b/../c%2F?#", "text/plain", []byte("value"))
	f.Add("\u00e9\u6f22\n\"\\", "", []byte("\xff\x00"))
	f.Add("\x00", "application/json; charset=utf-8", []byte(`{"a": 1}`))
	f.Add("\xff", "application/json", []byte(`{`))
	f.Add(strings.Repeat("k", kv.MaxKeyBytes+1), "text/html", []byte(nil))
	f.Fuzz(func(t *testing.T, key, contentType string, value []byte) {
		d := newDirect(t)
		r, ok := request("PUT", api.KeyPath(key), "Content-Type: "+contentType, value)
		if !ok {
			t.Fatalf("the path of %q, %q, is none", key, api.KeyPath(key))
		}
		w := d.do(t, r)
		err := validate(&kv.Put{Key: []byte(key), Value: value, ContentType: storedType(r)})
		badJSON := jsontext.IsJSON(storedType(r)) && !json.Valid(value)
		if (w.Code == http.StatusOK) != (err == nil && !badJSON) {
			t.Fatalf("%q of type %q under %q: %d %s, though Validate returns %v", value, contentType, key, w.Code, w.Body, err)
		}
		if w.Code != http.StatusOK {
			return
		}
		read, _ := request("GET", api.KeyPath(key), "", nil)
		if got := d.do(t, read); got.Code != http.StatusOK || !bytes.Equal(got.Body.Bytes(), value) {
			t.Fatalf("%q under %q is read as %d %q", value, key, got.Code, got.Body)
		}
		read, _ = request("GET", api.KeyPath(key), "Accept: application/json", nil)
		if record := decode[api.Record](t, d.do(t, read).Body.String()); record.Key != key {
			t.Fatalf("the record of %q has the key %q", key, record.Key)
		}
	})
}

// FuzzReadQuery parses parameters. An accepted query means the same when it is written again; any other is invalid.
func FuzzReadQuery(f *testing.F) {
	f.Add("consistency=stale&max_stale=1h2m3.5s&min_revision=7")
	f.Add("min_revision=18446744073709551615&consistency=lease")
	f.Add("consistency=stale&max_stale=-1s")
	f.Add("consistency=stale&consistency=linearizable&min_revision=%37")
	f.Add("max_stale=99999999h;%")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseReadQuery(raw)
		if err != nil {
			if e, ok := errors.AsType[*api.Error](err); !ok || e.Code != api.CodeInvalid {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		values := url.Values{api.ParamMinRevision: {decimal(q.minRevision)[0]}}
		if q.stale {
			values.Set(api.ParamConsistency, string(api.Stale))
		}
		if q.lease {
			values.Set(api.ParamConsistency, string(api.Lease))
		}
		if q.maxStale >= 0 {
			values.Set(api.ParamMaxStale, q.maxStale.String())
		}
		if again, err := parseReadQuery(values.Encode()); err != nil || again != q {
			t.Fatalf("%q is %+v, and %q is %+v, %v", raw, q, values.Encode(), again, err)
		}
	})
}

// FuzzConditions parses If-Match and If-None-Match. An accepted revision is the same in the ETag that the server makes
// of it; and only a star means a key that does not exist.
func FuzzConditions(f *testing.F) {
	f.Add(`"42"`, "")
	f.Add(`"042"`, "*")
	f.Add(`W/"1"`, ` * `)
	f.Add(`"18446744073709551616"`, `"1"`)
	condition := func(name, value string) (kv.Condition, error) {
		r := httptest.NewRequest("PUT", api.KeyPath("k"), nil)
		r.Header[name] = []string{value}
		return conditionOf(r)
	}
	f.Fuzz(func(t *testing.T, match, none string) {
		if c, err := condition("If-Match", match); err == nil {
			digits := strings.Trim(match, "\" \t\r\n\v\f\u0085\u00a0")
			revision, err := strconv.ParseUint(digits, 10, 64)
			if err != nil || strings.ContainsFunc(digits, isNoDigit) || c != kv.AtRevision(revision) {
				t.Fatalf("If-Match: %q was taken as %+v", match, c)
			}
			etag, _ := decimals(revision)
			if again, err := condition("If-Match", etag[0]); err != nil || again != c {
				t.Fatalf("If-Match: %s is %+v, and %s is %+v, %v", match, c, etag[0], again, err)
			}
		}
		c, err := condition("If-None-Match", none)
		isStar := strings.TrimSpace(none) == "*"
		if (err == nil) != isStar || (c == kv.Absent()) != isStar {
			t.Fatalf("If-None-Match: %q became %+v, %v", none, c, err)
		}
	})
}

func isNoDigit(c rune) bool { return c < '0' || c > '9' }
