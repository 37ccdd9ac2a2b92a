package rest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// writes are the routes that propose; reads those that wait for a barrier.
var (
	writes = []struct{ method, path, body string }{
		{"PUT", "/api/v1/kv/a", "1"},
		{"DELETE", "/api/v1/kv/a", ""},
		{"POST", "/api/command", `{"op":"set","key":"a","value":1}`},
		{"POST", "/api/command", `{"op":"incr","key":"a"}`},
	}
	reads = []struct{ method, path, body string }{
		{"GET", "/api/v1/kv/a", ""},
		{"GET", "/api/v1/kv/a?min_revision=3", ""},
		{"POST", "/api/command", `{"op":"get","key":"a"}`},
	}
)

// failures are the errors of the node with the codes and statuses that clients get.
var failures = []struct {
	err    error
	code   api.Code
	status int
}{
	{node.ErrNoLeader, api.CodeNoLeader, 503},
	{node.ErrNotLeader, api.CodeNoLeader, 503},
	{node.ErrNotSent, api.CodeNoLeader, 503},
	{node.ErrNotReady, api.CodeNotReady, 503},
	{node.ErrOverloaded, api.CodeOverloaded, 429},
	{node.ErrTermChanged, api.CodeConflict, 409},
	{node.ErrOutcomeUnknown, api.CodeOutcomeUnknown, 504}, // T49
	{fmt.Errorf("forward to node 2: %w", node.ErrOutcomeUnknown), api.CodeOutcomeUnknown, 504},
	{errors.New("secret of the inside"), api.CodeInternal, 500},
}

func TestEveryWriteTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr = failure.err })
		for _, r := range writes {
			a.wantError(failure.status, failure.code, r.method, r.path, r.body)
		}
	}
}

func TestEveryReadTellsWhyItFailed(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.barrierErr = failure.err })
		for _, r := range reads {
			a.wantError(failure.status, failure.code, r.method, r.path, r.body)
		}
	}
}

// A load balancer of connections, as a Kubernetes Service, sends all requests of a kept connection to one node: the
// client of a node that cannot serve reaches another one only by a new connection.
func TestOnlyANodeThatCannotServeEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, failure := range append(failures, struct {
		err    error
		code   api.Code
		status int
	}{nil, "", 200}) {
		a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr = failure.err })
		a.want(failure.status, "PUT", "/api/v1/kv/a", "1")
		var reused bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		})
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/livez", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if kept := failure.status != 503; reused != kept {
			t.Errorf("after %d %s the connection was used again: %t, want %t", failure.status, failure.code, reused, kept)
		}
	}
}

// wantError sends a request and checks that the response has the form of every error.
func (a *testAPI) wantError(status int, code api.Code, method, path, body string) {
	a.t.Helper()
	got := a.want(status, method, path, body)
	e := decode[api.ErrorBody](a.t, got.body).Error
	if e.Code != code || e.Message == "" || e.Code.Status() != status {
		a.t.Errorf("%s %s: error is %+v, want %s", method, path, e, code)
	}
	if strings.Contains(e.Message, "secret") {
		a.t.Errorf("%s %s shows what went wrong inside: %s", method, path, e.Message)
	}
	if code == api.CodeOverloaded && got.header.Get("Retry-After") == "" {
		a.t.Errorf("%s %s: no Retry-After", method, path)
	}
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Raft-Term") == "" {
		a.t.Errorf("%s %s: headers are %v", method, path, got.header)
	}
}

func TestTheErrorsOfEachRoute(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "POST", "/api/command", `{"op":"set","key":"text","value":"no number"}`)
	for _, r := range []struct {
		status             int
		code               api.Code
		method, path, body string
	}{
		{400, api.CodeInvalid, "POST", "/api/command", ""},
		{400, api.CodeInvalid, "POST", "/api/command", "{"},
		{400, api.CodeInvalid, "POST", "/api/command", `{"op":"jump","key":"a"}`},
		{400, api.CodeInvalid, "POST", "/api/command", `{"op":"set","key":"a"}`},
		{400, api.CodeInvalid, "POST", "/api/command", `{"op":"get"}`},
		{400, api.CodeInvalid, "POST", "/api/command", `{"op":"get","key":""}`},
		{400, api.CodeInvalid, "POST", "/api/command", `{"op":"get","key":"a"} {"op":"get","key":"b"}`},
		{404, api.CodeNotFound, "POST", "/api/command", `{"op":"get","key":"none"}`},
		{409, api.CodeConflict, "POST", "/api/command", `{"op":"incr","key":"text"}`},
		{412, api.CodePreconditionFailed, "POST", "/api/command", `{"op":"delete","key":"text","if_revision":9}`},
		{413, api.CodeTooLarge, "POST", "/api/command", strings.Repeat(" ", maxCommandBytes+1)},
		{404, api.CodeNotFound, "GET", "/api/v1/kv/none", ""},
		{400, api.CodeInvalid, "GET", "/api/logs?from=x", ""},
		{400, api.CodeInvalid, "GET", "/api/logs?limit=-1", ""},
		{400, api.CodeInvalid, "POST", "/api/v1/batch", ""},
		{400, api.CodeInvalid, "POST", "/api/v1/batch", "\n\n \n"},
		{413, api.CodeTooLarge, "POST", "/api/v1/batch", strings.Repeat("\n", api.MaxBatchBytes+1)},
		{400, api.CodeInvalid, "POST", "/api/v1/leader/transfer", `{"too":2}`},
		{400, api.CodeInvalid, "POST", "/api/v1/leader/transfer", `{"to":-2}`},
		{413, api.CodeTooLarge, "POST", "/api/v1/leader/transfer", strings.Repeat(" ", maxTransferBytes+1)},
		{400, api.CodeInvalid, "GET", "/api/v1/events?since=x", ""},
		{405, api.CodeMethodNotAllowed, "PATCH", "/api/v1/kv", ""},
		{400, api.CodeInvalid, "GET", "/api/v1/kv?limit=0", ""},
		{400, api.CodeInvalid, "GET", "/api/v1/kv?revision=99", ""},
		{413, api.CodeTooLarge, "GET", "/api/v1/kv?prefix=" + strings.Repeat("k", 4097), ""},
		{400, api.CodeInvalid, "GET", "/api/v1/kv/text?revision=99", ""},
		{404, api.CodeNotFound, "GET", "/api/v1/kv/none?history", ""},
		{400, api.CodeInvalid, "POST", "/api/v1/compact", ""},
		{400, api.CodeInvalid, "POST", "/api/v1/compact", `{"revision":0}`},
		{400, api.CodeInvalid, "POST", "/api/v1/compact", `{"revision":99}`},
		{400, api.CodeInvalid, "POST", "/api/v1/compact", `{"revision":1,"x":1}`},
		{413, api.CodeTooLarge, "POST", "/api/v1/compact", strings.Repeat(" ", maxCompactBytes+1)},
		{404, api.CodeNotFound, "GET", "/", ""}, // without a dashboard
		{404, api.CodeNotFound, "POST", "/api/v1/chaos/kill", ""},
		{405, api.CodeMethodNotAllowed, "POST", "/api/v1/kv/a", ""},
		{405, api.CodeMethodNotAllowed, "GET", "/api/command", ""},
		{405, api.CodeMethodNotAllowed, "DELETE", "/api/status", ""},
		{405, api.CodeMethodNotAllowed, "OPTIONS", "/api/status", ""},
	} {
		a.wantError(r.status, r.code, r.method, r.path, r.body)
	}
}

func TestALogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.logErr = errors.New("secret of the disk") })
	a.wantError(500, api.CodeInternal, "GET", "/api/logs", "")
	if !strings.Contains(a.log.String(), "secret of the disk") {
		t.Error("the fault is not in the log")
	}
}

func TestAnUnknownRouteNamesTheNearest(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for path, nearest := range map[string]string{
		"/api/stats": "/api/status", "/api/v1/kvs/a": "/api/v1/kv/{key}", "/health": "/readyz", "/ready": "/readyz",
		"/api/v1/leader": "/api/v1/leader/transfer", "/metric": "/metrics", "/api/log/": "/api/logs",
	} {
		message := decode[api.ErrorBody](t, a.want(404, "GET", path, "").body).Error.Message
		if !strings.Contains(message, "the nearest is "+nearest) {
			t.Errorf("%s: %s", path, message)
		}
	}
	for _, path := range []string{
		"/nosuch", "/foo", "/x", "/", "/api/v1/watching/everything", "/" + strings.Repeat("very/long/", 100),
	} {
		message := decode[api.ErrorBody](t, a.want(404, "GET", path, "").body).Error.Message
		if strings.Contains(message, "nearest") {
			t.Errorf("%.30s: %s", path, message)
		}
	}
	allow := a.want(405, "POST", "/api/v1/kv/a", "").header.Get("Allow")
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		if !strings.Contains(allow, method) {
			t.Errorf("Allow is %q, without %s", allow, method)
		}
	}
}

func TestAPanicEndsOneRequest(t *testing.T) {
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) { n.panics = true })
	a.wantError(500, api.CodeInternal, "PUT", "/api/v1/kv/a", "1")
	if !strings.Contains(a.log.String(), "secret of the inside") || !strings.Contains(a.log.String(), "kv_write.go") {
		t.Error("the panic is not in the log with its stack")
	}
	a.want(200, "GET", "/livez", "")
	if text := a.want(200, "GET", "/metrics", "").body; !strings.Contains(text,
		`kontiki_request_duration_seconds_count{code="500",method="PUT",route="/api/v1/kv/*key"} 1`) {
		t.Error("the failed request was not counted")
	}
}

func TestTheTableKnowsEveryCodeOfTheStateMachine(t *testing.T) {
	t.Parallel()
	for _, code := range []kv.Code{
		kv.CodeInvalid, kv.CodeNotFound, kv.CodeConflict, kv.CodePreconditionFailed, kv.CodeTooLarge,
	} {
		if status := api.Code(code).Status(); status < 400 || status >= 500 {
			t.Errorf("%s is answered with %d", code, status)
		}
	}
}
