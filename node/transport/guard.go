package transport

import (
	"net"
	"net/http"
	"slices"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
)

// guard keeps web pages away from the peer port, which has no passwords: no peer sends what a browser adds to the
// requests of a page, and a name that an attacker's DNS leads here is no member's (DNS rebinding). It comes before
// everything else, so that a page learns nothing either.
func (t *Transport) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		no := t.foreign(r)
		if no == nil {
			next.ServeHTTP(w, r)
			return
		}
		writeRefusal(w, no)
	})
}

// foreign returns why a request is not a peer's, nil if it may be.
func (t *Transport) foreign(r *http.Request) *refusal {
	if !t.isOwnHost(r) {
		return refuse(api.CodeForbidden, "the Host %.100q is not a member's; use the address of a member, or localhost",
			r.Host)
	}
	if len(r.Header["Origin"]) > 0 {
		return refuse(api.CodeForbidden, "a web page may not send this request; only members and programs may")
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "none" { // typed into a browser
			return refuse(api.CodeForbidden, "a web page may not send this request; only members and programs may")
		}
	}
	return nil
}

// isOwnHost reports whether the Host header names a member, as the configuration has it, this machine, or the address
// that the connection leads to. It may name another member, because a name may lead to where that one was.
func (t *Transport) isOwnHost(r *http.Request) bool {
	who := t.who.Load()
	if slices.Contains(who.authorities, r.Host) {
		return true
	}
	host := address.HostOf(r.Host)
	if host == "" || address.IsLoopbackHost(host) || slices.Contains(who.hosts, host) || slices.Contains(t.hosts, host) {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.HostOf(local.String()) == host
}
