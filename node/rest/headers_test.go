package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
)

// Clients accept an error as that of a node only with its term (node/client/answered.go).
func TestEveryErrorCarriesTheTerm(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(_ *fakeNode, o *Options) {
		o.Extra = func(r gin.IRouter) { r.POST("/extra", func(*gin.Context) { panic("secret of the inside") }) }
	})
	full := serve(t, within(budget.NewMemory(64<<20)))
	full.memoryFull()
	large := strings.Repeat("v", 1<<20+1)
	for _, c := range []struct {
		what               string
		a                  *testAPI
		status             int
		method, path, body string
		headers            []string
	}{
		{"no such route", plain, 404, "GET", "/nowhere", "", nil},
		{"no such key", plain, 404, "GET", "/api/v1/kv/none", "", nil},
		{"method not allowed", plain, 405, "POST", "/livez", "", nil},
		{"unknown method", plain, 405, "BREW", "/api/v1/kv/a", "", nil},
		{"bad command", plain, 400, "POST", "/api/command", "{", nil},
		{"bad query", plain, 400, "GET", "/api/v1/kv/a?x=y", "", nil},
		{"precondition", plain, 412, "PUT", "/api/v1/kv/a", "1", []string{"If-Match", `"9"`}},
		{"large value", plain, 413, "PUT", "/api/v1/kv/a", large, nil},
		{"large batch", plain, 413, "POST", "/api/v1/batch", strings.Repeat(" ", api.MaxBatchBytes+1), nil},
		{"foreign host", plain, 403, "PUT", "/api/v1/kv/a", "1", []string{"Host", "evil.example"}},
		{"foreign page", plain, 403, "PUT", "/api/v1/kv/a", "1", []string{"Origin", "http://evil.example"}},
		{"panic of another's route", plain, 500, "POST", "/extra", "", nil},
		{"no memory", full, 429, "PUT", "/api/v1/kv/a", large[:1<<20], nil},
	} {
		wantTerm(t, c.what, c.a.want(c.status, c.method, c.path, c.body, c.headers...))
	}
	for _, failure := range failures {
		a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr, n.barrierErr = failure.err, failure.err })
		for _, r := range append(writes, reads...) {
			wantTerm(t, failure.err.Error(), a.want(failure.status, r.method, r.path, r.body))
		}
	}
	panics := serve(t, func(n *fakeNode, _ *Options) { n.panics = true })
	wantTerm(t, "panic", panics.want(500, "PUT", "/api/v1/kv/a", "1"))
	stopping := serve(t)
	stopping.rest.SetStopping()
	wantTerm(t, "probe", stopping.want(503, "GET", "/readyz", ""))
	empty := serve(t, func(n *fakeNode, _ *Options) { n.status = api.Status{} })
	wantTerm(t, "empty node", empty.want(404, "GET", "/nowhere", ""))
}

func TestTheErrorBeyondTheConnectionLimitCarriesTheTerm(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Connections = budget.NewConnections(budget.Limits{API: 1, Spare: 1, Peers: 1}, nil, nil)
	})
	a.dial().send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for _, host := range []string{"localhost", "evil.example"} {
		c := a.dial()
		c.send("PUT /api/v1/kv/a HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1\r\n\r\nv")
		response, text := c.answer()
		wantTerm(t, host+": "+text, answer{response.StatusCode, response.Header, text})
		_ = c.Close()
	}
}

// A dashboard that fails writes its own response, with the headers of the node.
func TestTheErrorsOfThePageCarryTheTerm(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) { o.Dashboard = http.NotFoundHandler() })
	wantTerm(t, "page", a.want(404, "GET", "/ui/none", ""))
}

func wantTerm(t *testing.T, what string, got answer) {
	t.Helper()
	if got.status < 400 || got.header.Get(api.HeaderTerm) == "" || got.header.Get(api.HeaderLeader) == "" {
		t.Errorf("%s: %d with %v", what, got.status, got.header)
	}
}
