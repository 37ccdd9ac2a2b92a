package rest

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
)

// guard refuses requests of foreign web pages, because the store has no authentication. It runs before the router, so
// that it covers every route.
type guard struct {
	cluster Observation
	crossed *http.CrossOriginProtection
	trusted []string // origins
	members bool     // pages that members serve may use every method
	hosts   []string // as address.HostOf returns them
	// checkHost: the server listens on loopback, where only loopback names are valid, or has a list of its own names.
	checkHost atomic.Bool
}

func newGuard(o Observation, options Options) (*guard, error) {
	g := &guard{
		cluster: o, crossed: http.NewCrossOriginProtection(), trusted: options.TrustedOrigins,
		members: options.TrustMemberOrigins,
	}
	for _, host := range options.AllowedHosts {
		g.hosts = append(g.hosts, address.HostOf(host))
	}
	g.checkHost.Store(len(g.hosts) > 0)
	for _, origin := range options.TrustedOrigins {
		if err := g.crossed.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// check returns why a request must not reach the router, nil if it may.
func (g *guard) check(r *http.Request) *api.Error {
	if g.checkHost.Load() && !g.knownHost(r) {
		return &api.Error{
			Code: api.CodeForbidden,
			Message: "host " + clip(r.Host) + " is not allowed; use localhost or the address that the server listens on, " +
				"or start the server with --allowed-host",
		}
	}
	origin := r.Header["Origin"]
	if len(origin) == 0 && len(r.Header["Sec-Fetch-Site"]) == 0 {
		return nil // not a browser
	}
	if len(origin) == 1 && g.mayWrite(origin[0]) {
		return nil
	}
	if err := g.crossed.Check(r); err != nil {
		return &api.Error{
			Code:    api.CodeForbidden,
			Message: "a page of another origin may not send this request: " + err.Error(),
		}
	}
	return nil
}

// knownHost reports whether the Host header of a request names this server. A name that an attacker's DNS resolves to
// this server does not (DNS rebinding), and an address does only if the connection leads to it.
func (g *guard) knownHost(r *http.Request) bool {
	host := address.HostOf(r.Host)
	if host == "" || address.IsLoopbackHost(host) || slices.Contains(g.hosts, host) {
		return true // HTTP/1.0 has none; browsers always send one
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.HostOf(local.String()) == host
}

// share sets the CORS headers (https://fetch.spec.whatwg.org/#http-cors-protocol) if a page of that origin may read the
// response. Pages of the members may, so that a page continues when the node that served it stops. It reports whether
// the page may; a preflight is answered by the headers alone.
func (g *guard) share(h http.Header, r *http.Request) bool {
	if len(r.Header["Origin"]) != 1 {
		return false
	}
	origin := r.Header["Origin"][0]
	h["Vary"] = []string{"Origin"}
	if !g.mayRead(origin) {
		return false
	}
	h["Access-Control-Allow-Origin"] = []string{origin}
	if !preflight(r) {
		h["Access-Control-Expose-Headers"] = exposed
		return true
	}
	methods := "GET, HEAD"
	if g.mayWrite(origin) {
		methods = "GET, HEAD, PUT, POST, DELETE"
	}
	h["Access-Control-Allow-Methods"] = []string{methods}
	h["Access-Control-Allow-Headers"] = allowedHeaders
	h["Access-Control-Max-Age"] = []string{"600"}
	return true
}

var (
	exposed = []string{"ETag, Retry-After, X-Raft-Term, X-Raft-Leader, X-Revision, X-Create-Revision, " +
		"X-Version, X-Consistency, X-Staleness-Ms"}
	allowedHeaders = []string{"Accept, Content-Type, If-Match, If-None-Match, Last-Event-ID"}
)

func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) > 0
}

func (g *guard) mayRead(origin string) bool {
	return slices.Contains(g.trusted, origin) || g.isMember(origin)
}

func (g *guard) mayWrite(origin string) bool {
	return slices.Contains(g.trusted, origin) || g.members && g.isMember(origin)
}

// isMember reports whether the origin is the API address of a current member.
func (g *guard) isMember(origin string) bool {
	return slices.ContainsFunc(g.cluster.Membership().Members, func(m api.ConfigMember) bool {
		u, err := url.Parse(m.APIAddress)
		return err == nil && u.Host != "" && strings.EqualFold(u.Scheme+"://"+u.Host, origin)
	})
}
