package objects_test

import (
	"testing"

	"github.com/kontiki-dev/kontiki/controllers/objects"
)

func TestAnAddressIsLookedUpOnce(t *testing.T) { // O20: the name ends with a dot, so the search path is left out
	t.Parallel()
	for domain, want := range map[string]string{
		"cluster.local":  "http://demo-2.demo-peers.prod.svc.cluster.local.:7080",
		"cluster.local.": "http://demo-2.demo-peers.prod.svc.cluster.local.:7080",
		"k8s.example":    "http://demo-2.demo-peers.prod.svc.k8s.example.:7080",
	} {
		if got := objects.PeerURL("demo", "prod", 2, domain); got != want {
			t.Errorf("PeerURL with the domain %s is %s, want %s", domain, got, want)
		}
	}
	if got := objects.APIURL("demo", "prod", 0, "cluster.local"); got !=
		"http://demo-0.demo-peers.prod.svc.cluster.local.:8080" {
		t.Errorf("APIURL is %s", got)
	}
}

func TestTheOrdinalOfAName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int32{
		"a-b-0": 0, "a-b-12": 12, "a-b-2147483647": 2147483647,
		"a-b": -1, "a-b-": -1, "a-b-x": -1, "a-b-01": -1, "a-b-+1": -1, "a-b--1": -1, "a-b-2147483648": -1, "a-c-1": -1,
		"a-b-c-1": -1, "": -1,
	} {
		if got, ok := objects.Ordinal("a-b", name); ok != (want >= 0) || ok && got != want {
			t.Errorf("the ordinal of %q is %d, %t; want %d", name, got, ok, want)
		}
		if got, ok := objects.ClaimOrdinal("a-b", "data-"+name); ok != (want >= 0) || ok && got != want {
			t.Errorf("the ordinal of the claim %q is %d, %t; want %d", "data-"+name, got, ok, want)
		}
	}
	if _, ok := objects.ClaimOrdinal("a-b", "a-b-0"); ok {
		t.Error("a-b-0 is taken for the name of a claim")
	}
	if claim := objects.ClaimName("a-b", 3); claim != "data-a-b-3" {
		t.Errorf("the claim of a-b-3 is %s", claim)
	}
}
