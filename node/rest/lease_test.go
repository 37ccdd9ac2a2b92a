package rest

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
)

// leaseReads are the reads that may be served under a lease, each with the start of its answer.
var leaseReads = []struct{ path, accept string }{
	{"/api/v1/kv/a?consistency=lease", ""},
	{"/api/v1/kv/a?consistency=lease&history", ""},
	{"/api/v1/kv?consistency=lease", ""},
	{"/api/v1/kv?consistency=lease&count", ""},
	{"/api/v1/kv?consistency=lease", typeNDJSON[0]},
	{api.PathBackup + "?consistency=lease", ""},
	{api.PathMembers + "?consistency=lease", ""},
}

// A read under a lease asks no other node, and its answer reports that.
func TestAReadUnderALease(t *testing.T) { // T42
	t.Parallel()
	for _, r := range leaseReads {
		a := serve(t, func(n *fakeNode, _ *Options) { n.lease = func() bool { return true } })
		a.node.apply(`{"op":"set","key":"a","value":1}`)
		got := a.want(200, "GET", r.path, "", "Accept", r.accept)
		if c, s := got.header.Get("X-Consistency"), got.header.Get("X-Staleness-Ms"); c != "lease" || s != "0" ||
			a.node.barriers != 0 {
			t.Errorf("%s: consistency %q, staleness %q, %d barriers", r.path, c, s, a.node.barriers)
		}
	}
}

// If the lease ended before the state was read, what was read is thrown away, and the read is confirmed by a round. The
// answer reports that.
func TestAReadWhoseLeaseEndedIsReadAgain(t *testing.T) { // T42
	t.Parallel()
	for _, r := range leaseReads {
		a := serve(t, func(n *fakeNode, _ *Options) {
			n.lease = func() bool { return false }
		})
		a.node.apply(`{"op":"set","key":"a","value":1}`)
		got := a.want(200, "GET", r.path, "", "Accept", r.accept)
		if c := got.header.Get("X-Consistency"); c != "linearizable" || a.node.barriers != 1 {
			t.Errorf("%s: consistency %q, %d barriers", r.path, c, a.node.barriers)
		}
		a.node.barrierErr = node.ErrNoLeader
		a.want(503, "GET", r.path, "", "Accept", r.accept)
	}
	b := serve(t, func(n *fakeNode, _ *Options) { n.lease = func() bool { return false } })
	line := `{"op":"get","key":"a"}`
	b.want(200, "POST", "/api/v1/batch?consistency=lease", line+"\n"+line)
	if b.node.barriers != 1 {
		t.Errorf("%d barriers for the gets of a batch whose lease ended", b.node.barriers)
	}
}

// The answer reports how old the state may be, which is asked after the read.
func TestAStaleReadReportsItsAge(t *testing.T) { // T42
	t.Parallel()
	a := serve(t, func(n *fakeNode, _ *Options) {
		n.staleness = func() func() (time.Duration, bool) {
			return func() (time.Duration, bool) { return 1234567 * time.Microsecond, true }
		}
	})
	a.node.apply(`{"op":"set","key":"a","value":1}`)
	for path, want := range map[string]string{
		"/api/v1/kv/a?consistency=stale":            "1235",
		"/api/v1/kv?consistency=stale":              "1235",
		"/api/v1/kv/a":                              "0",
		"/api/v1/kv?count":                          "0",
		"/api/v1/kv/a?revision=1":                   "",
		"/api/v1/kv/a?revision=1&consistency=stale": "",
	} {
		if got := a.want(200, "GET", path, "").header.Get("X-Staleness-Ms"); got != want {
			t.Errorf("%s: X-Staleness-Ms is %q, want %q", path, got, want)
		}
	}
	a.node.staleness = func() func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return 0, false }
	}
	if h := a.want(200, "GET", "/api/v1/kv/a?consistency=stale", "").header; len(h["X-Staleness-Ms"]) != 0 {
		t.Errorf("of an unknown age it is %q", h.Get("X-Staleness-Ms"))
	}
}
