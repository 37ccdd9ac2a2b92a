package rest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
)

func TestForeignPagesCannotWrite(t *testing.T) { // dashboard design 3.6
	t.Parallel()
	a := serve(t)
	for _, r := range []struct {
		status  int
		headers []string
	}{
		{200, nil}, // curl
		{200, []string{"Sec-Fetch-Site", "same-origin", "Origin", a.url}},
		{200, []string{"Sec-Fetch-Site", "none"}}, // typed into the browser
		{200, []string{"Origin", a.url}},
		{403, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		{403, []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"}},
		{403, []string{"Origin", "https://evil.example"}},
		{403, []string{"Origin", "null"}},
		{403, []string{"Origin", "http://h2:8080"}}, // a member's page may only read
	} {
		for _, w := range writes {
			got := a.want(r.status, w.method, w.path, w.body, r.headers...)
			if r.status == 403 && decode[api.ErrorBody](t, got.body).Error.Code != api.CodeForbidden {
				t.Errorf("%s %s from %v: %s", w.method, w.path, r.headers, got.body)
			}
		}
	}
	a.want(200, "GET", "/api/status", "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
}

func TestTrustedOriginsMayWrite(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) { o.TrustedOrigins = []string{"https://ops.example"} })
	got := a.want(200, "PUT", "/api/v1/kv/a", "1", "Origin", "https://ops.example", "Sec-Fetch-Site", "cross-site")
	if got.header.Get("Access-Control-Allow-Origin") != "https://ops.example" {
		t.Errorf("headers are %v", got.header)
	}
	if _, err := New(newFakeNode(), newFakeNode(), Options{TrustedOrigins: []string{"ops.example"}}); err == nil {
		t.Error("an origin without a scheme was taken")
	}
}

func TestMembersPagesMayReadEachOther(t *testing.T) {
	t.Parallel()
	a := serve(t)
	got := a.want(200, "GET", "/api/status", "", "Origin", "http://h2:8080", "Sec-Fetch-Site", "cross-site")
	if got.header.Get("Access-Control-Allow-Origin") != "http://h2:8080" ||
		!strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "X-Revision") ||
		!strings.Contains(got.header.Get("Vary"), "Origin") {
		t.Errorf("headers are %v", got.header)
	}
	for _, origin := range []string{"http://h2:8081", "https://h2:8080", "http://h3:7080", "null", "http://h2:8080.evil"} {
		got := a.want(200, "GET", "/api/status", "", "Origin", origin)
		if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("%s may read: %s", origin, allowed)
		}
		if vary := got.header.Get("Vary"); !strings.Contains(vary, "Origin") { // or a cache serves it to a page that may
			t.Errorf("what %s gets varies by %q", origin, vary)
		}
	}
	early := a.want(204, "OPTIONS", "/api/v1/events", "", "Origin", "http://h2:8080",
		"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "last-event-id")
	if early.header.Get("Access-Control-Allow-Methods") != "GET, HEAD" {
		t.Errorf("preflight allows %q", early.header.Get("Access-Control-Allow-Methods"))
	}
	if early.header.Get("X-Raft-Term") == "" || early.header.Get("X-Revision") == "" {
		t.Errorf("preflight answered %v", early.header)
	}
	a.want(405, "OPTIONS", "/api/status", "", "Origin", "http://evil", "Access-Control-Request-Method", "GET")
}

func TestALocalClusterTrustsItsMembersPages(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) { o.TrustMemberOrigins = true })
	early := a.want(204, "OPTIONS", "/api/v1/kv/a", "", "Origin", "http://h2:8080",
		"Access-Control-Request-Method", "PUT")
	if !strings.Contains(early.header.Get("Access-Control-Allow-Methods"), "PUT") ||
		!strings.Contains(early.header.Get("Access-Control-Allow-Headers"), "If-Match") {
		t.Errorf("preflight answered %v", early.header)
	}
	a.want(200, "PUT", "/api/v1/kv/a", "1", "Origin", "http://h2:8080", "Sec-Fetch-Site", "same-site")
	a.want(403, "PUT", "/api/v1/kv/a", "1", "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site")
}

func TestOnLoopbackTheHostMustBeLocal(t *testing.T) { // DNS rebinding
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) { o.AllowedHosts = []string{"dev.box", "10.0.0.7"} })
	for host, status := range map[string]int{
		"localhost:8080": 200, "LOCALHOST": 200, "localhost.": 200, "x.localhost": 200, "127.0.0.1": 200,
		"127.8.8.8:80": 200, "[::1]:8080": 200, "[::ffff:127.0.0.1]": 200, "dev.box:8080": 200, "Dev.Box": 200,
		"10.0.0.7": 200, "evil.example": 403, "evil.example:8080": 403, "10.0.0.8": 403, "notlocalhost": 403,
		"127.0.0.1.evil.example": 403,
	} {
		a.want(status, "GET", "/api/v1/cluster", "", "Host", host)
	}
	free := serve(t)                       // without allowed hosts
	free.want(200, "GET", "/livez", "")    // once it serves, it has inspected its listener
	free.rest.guard.checkHost.Store(false) // as when the listener is not on loopback
	free.want(200, "GET", "/api/v1/cluster", "", "Host", "kontiki.example")
}

// A container listens on all addresses and is published on loopback: its allowed hosts count, not where it listens.
func TestAllowedHostsAreEnforcedOnEveryListener(t *testing.T) { // DNS rebinding
	t.Parallel()
	s, err := New(newFakeNode(), newFakeNode(), Options{AllowedHosts: []string{"Dev.Box.", "node1:8080", "192.0.2.7"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, local string
		status      int
	}{
		{"dev.box", "10.0.0.5:8080", 200},
		{"DEV.BOX:99", "10.0.0.5:8080", 200},
		{"node1", "10.0.0.5:8080", 200},
		{"192.0.2.7:8080", "10.0.0.5:8080", 200},
		{"127.0.0.1:8081", "10.0.0.5:8080", 200},
		{"localhost", "[::1]:1", 200},
		{"10.0.0.5:8080", "10.0.0.5:8080", 200},
		{"10.0.0.5", "[::ffff:10.0.0.5]:8080", 200}, // a kubelet's probe
		{"[2001:db8::1]:8080", "[2001:db8::1]:8080", 200},
		{"10.0.0.6", "10.0.0.5:8080", 403},
		{"evil.example", "10.0.0.5:8080", 403},
		{"evil.example:8080", "127.0.0.1:1", 403},
		{"dev.box.evil.example", "10.0.0.5:8080", 403},
		{"node1@evil", "10.0.0.5:8080", 403},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			r := httptest.NewRequest(method, "/api/v1/kv/a", strings.NewReader("1"))
			address, err := net.ResolveTCPAddr("tcp", c.local)
			if err != nil {
				t.Fatal(err)
			}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(address)))
			r.Host = c.host
			r.Header["Origin"] = []string{"http://" + c.host} // as a page of that name sends it
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if (w.Code == http.StatusForbidden) != (c.status == http.StatusForbidden) {
				t.Errorf("%s, Host %s at %s: status %d, want %d", method, c.host, c.local, w.Code, c.status)
			}
		}
	}
}

func TestExtraRoutesStandBehindTheGuard(t *testing.T) {
	t.Parallel()
	a := serve(t, func(_ *fakeNode, o *Options) {
		o.Extra = func(r gin.IRouter) {
			r.POST("/api/v1/chaos/kill", func(c *gin.Context) { c.Status(http.StatusAccepted) })
		}
	})
	got := a.want(202, "POST", "/api/v1/chaos/kill", "")
	if got.header.Get("X-Raft-Term") != "3" || got.header.Get("X-Revision") != "0" {
		t.Errorf("headers are %v", got.header)
	}
	a.want(403, "POST", "/api/v1/chaos/kill", "", "Origin", "https://evil.example")
}

func TestTheServerLearnsWhereTheMembersAre(t *testing.T) {
	t.Parallel()
	// A page may read from here after the node that served it has stopped: its origin must be known before.
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.address2 = n.config.Members[1].APIAddress
		n.config.Members[1].APIAddress = ""
	})
	for a.want(200, "GET", "/livez", "", "Origin", "http://h2:8080").header.Get("Access-Control-Allow-Origin") == "" {
		runtime.Gosched()
	}
}
