// Package address reads and checks the URLs, hosts and addresses that people and members give.
package address

import (
	"net"
	"net/netip"
	"strings"
)

// HostOf returns the host of a Host header or of a URL's authority in one form: in lower case, without port, brackets
// and the dot that may end a name, an IPv4 address as such also if it is written as an IPv6 one.
func HostOf(authority string) string {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsLoopbackHost reports whether a host, as HostOf returns it, means this machine without a name server: a name
// that an attacker's DNS leads here does not (DNS rebinding).
func IsLoopbackHost(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
