package address_test

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/address"
)

func TestHostsHaveOneForm(t *testing.T) {
	t.Parallel()
	for authority, want := range map[string]string{
		"h1:7080": "h1", "H1.Example.:80": "h1.example", "h1": "h1", "[::1]:80": "::1", "[::1]": "::1", "::1": "::1",
		"127.0.0.1:1": "127.0.0.1", "[::ffff:127.0.0.1]:80": "127.0.0.1", "": "", "[2001:DB8::0:1]": "2001:db8::1",
	} {
		if got := address.HostOf(authority); got != want {
			t.Errorf("HostOf(%q) = %q, want %q", authority, got, want)
		}
	}
	for host, want := range map[string]bool{
		"localhost": true, "a.localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"": false, "notlocalhost": false, "localhost.example": false, "127.0.0.1.example": false, "10.0.0.1": false,
		"0.0.0.0": false, "::": false,
	} {
		if got := address.IsLoopbackHost(host); got != want {
			t.Errorf("IsLoopbackHost(%q) = %t", host, got)
		}
	}
}
