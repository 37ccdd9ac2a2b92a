package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

// apiRequests has one request that succeeds for every route of the API.
var apiRequests = []struct{ method, path, body string }{
	{"GET", "/api/status", ""},
	{"HEAD", "/api/status", ""},
	{"GET", "/api/logs", ""},
	{"POST", "/api/command", `{"op":"set","key":"k","value":1}`},
	{"PUT", "/api/v1/kv/k", "1"},
	{"GET", "/api/v1/kv/k", ""},
	{"HEAD", "/api/v1/kv/k", ""},
	{"POST", "/api/v1/batch", `{"op":"set","key":"k","value":1}`},
	{"GET", "/api/v1/kv", ""},
	{"HEAD", "/api/v1/kv", ""},
	{"POST", "/api/v1/compact", `{"revision":1}`},
	{"DELETE", "/api/v1/kv/k", ""},
	{"GET", "/api/v1/cluster", ""},
	{"POST", "/api/v1/cluster/bootstrap", bootstrapBody},
	{"POST", "/api/v1/leader/transfer", `{"to":2}`},
	{"POST", "/api/v1/extra", ""},
}

func withExtra(_ *fakeNode, options *Options) {
	options.Extra = func(r gin.IRouter) {
		r.POST("/api/v1/extra", func(c *gin.Context) { c.Status(http.StatusOK) })
	}
}

// refuses sends a request, and fails the test unless it is refused as invalid, with a message that contains a text, and
// nothing is done.
func (a *testAPI) refuses(names, method, path, body string, headers ...string) {
	a.t.Helper()
	before := a.node.Revision()
	got := a.ask(method, path, body, headers...)
	if got.status != http.StatusBadRequest {
		a.t.Errorf("%s %s with %q: status %d, want 400: %s", method, path, headers, got.status, got.body)
		return
	}
	if method == http.MethodHead {
		return
	}
	e := decode[api.ErrorBody](a.t, got.body).Error
	if e.Code != api.CodeInvalid || !strings.Contains(e.Message, names) {
		a.t.Errorf("%s %s with %q: %+v, want a message that names %s", method, path, headers, e, names)
	}
	if a.node.Revision() != before || len(a.node.transferred) > 0 || a.node.bootstrapped != nil {
		a.t.Errorf("%s %s with %q was refused and done", method, path, headers)
	}
}

func TestConditionsThatARouteDoesNotTakeAreRefused(t *testing.T) {
	t.Parallel()
	a := serve(t, withExtra)
	conditions := []string{
		"If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range", "If-Lock", "Idempotency-Key",
		"If-Something-New", "If", "Content-Range", "Content-Encoding",
	}
	for _, r := range apiRequests {
		for _, header := range conditions {
			reads := r.method == "GET" || r.method == "HEAD"
			isKey := strings.HasPrefix(r.path, "/api/v1/kv/")
			switch {
			case header == "If-Match" && isKey && !reads, header == "If-None-Match" && r.method == "PUT",
				reads && (header == "If-None-Match" || header == "If-Modified-Since" || header == "If-Range"):
				continue // supported, or harmless
			}
			a.refuses(header, r.method, r.path, r.body, header, "gzip")
		}
	}
	for header, field := range map[string]string{"If-Match": `"if_revision"`, "If-None-Match": `"if_absent"`} {
		a.refuses(field, "POST", "/api/command", `{"op":"set","key":"k","value":1}`, header, "*")
		a.refuses(field, "POST", "/api/v1/batch", `{"op":"set","key":"k","value":1}`, header, "*")
	}
	a.refuses("it takes If-Match and If-None-Match", "PUT", "/api/v1/kv/k", "1", "If-Lock", "7")
	a.refuses("If-Match and If-None-Match exclude each other", "PUT", "/api/v1/kv/k", "1", "If-Match", `"1"`,
		"If-None-Match", "*")
	a.want(200, "PUT", "/api/v1/kv/k", "1", "Content-Encoding", "identity")
}

func TestUnknownParametersAreRefused(t *testing.T) {
	t.Parallel()
	a := serve(t, withExtra)
	for _, r := range apiRequests {
		for _, query := range []string{"ttl=30s", "form=1", "x", "limit=1&colour=red", "%zz", "a;b"} {
			a.refuses("", r.method, r.path+"?"+query, r.body)
		}
	}
	a.refuses(`unknown parameter "ttl"; this route takes none`, "POST", "/api/command?ttl=30s", `{"op":"get","key":"k"}`)
	a.refuses(`this route takes none`, "POST", "/api/command?consistency=stale", `{"op":"get","key":"k"}`)
	a.refuses(`"form"; this route takes from and limit`, "GET", "/api/logs?form=1", "")
	a.refuses(`this route takes since`, "GET", "/api/v1/events?from=1", "")
}

func TestProbesAndMetricsIgnoreWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("page")) })
	a := serve(t, func(n *fakeNode, options *Options) { options.Dashboard = page })
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics", "/", "/ui/app.js"} {
		a.want(200, "GET", path+"?verbose&exclude=disk&exclude=net", "", "If-Match", `"1"`)
	}
}

func TestWhatCountsOnceIsTakenOnce(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for _, query := range []string{
		"consistency=linearizable&consistency=stale", "consistency=stale&consistency=stale",
		"consistency=stale&max_stale=1ns&max_stale=1h", "min_revision=1&min_revision=0",
	} {
		a.refuses("2 times; give it once", "GET", "/api/v1/kv/k?"+query, "")
		a.refuses("2 times; give it once", "POST", "/api/v1/batch?"+query, `{"op":"get","key":"k"}`)
	}
	a.refuses("limit comes 2 times", "GET", "/api/logs?limit=1&limit=2", "")
	for _, c := range []struct{ method, path, headers, body string }{
		{"PUT", "/api/v1/kv/k", "Content-Type: text/plain\nContent-Type: application/json", "{bad"},
		{"POST", "/api/command", "Content-Type: text/plain\nContent-Type: text/plain", `{"op":"get","key":"k"}`},
		{"GET", "/api/v1/events", "Last-Event-ID: 1\nLast-Event-ID: 2", ""},
		{"PUT", "/api/v1/kv/k", "If-Match: \"1\"\nIf-Match: \"2\"", "1"},
		{"PUT", "/api/v1/kv/k", "If-None-Match: *\nIf-None-Match: *", "1"},
	} {
		d := newDirect(t)
		r, ok := request(c.method, c.path, c.headers, []byte(c.body))
		if !ok {
			t.Fatalf("%+v is no request", c)
		}
		if w := d.do(t, r); w.Code != http.StatusBadRequest || d.node.Revision() != 0 {
			t.Errorf("%s %s with %q: %d %s", c.method, c.path, c.headers, w.Code, w.Body)
		}
	}
}

func TestAParameterThatCannotBeIsQuoted(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for query, names := range map[string]string{
		"consistency=":                                `it is ""`,
		"min_revision=":                               `it is ""`,
		"min_revision=%2B1":                           `it is "+1"`,
		"consistency=stale&max_stale=":                `it is ""`,
		"consistency=stale&max_stale=999999999h":      "at most 2562047h",
		"consistency=stale&max_stale=-1s":             `it is "-1s"`,
		"consistency=" + strings.Repeat("linear", 50): `..."`,
	} {
		a.refuses(names, "GET", "/api/v1/kv/k?"+query, "")
	}
	for _, query := range []string{"limit=0", "limit=", "limit=-1", "from=", "from=x"} {
		a.refuses(strings.Split(query, "=")[0], "GET", "/api/logs?"+query, "")
	}
	a.refuses(fmt.Sprintf("from 1 to %d", api.MaxLogEntries), "GET", "/api/logs?limit=0", "")
}
