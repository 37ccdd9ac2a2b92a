package identity

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// saved returns what the disk has of an identity once it was taken.
func saved(t *testing.T, who *Assignment, in *Seating) map[string]string {
	t.Helper()
	facts, err := who.Facts(in)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// FuzzFacts reads the node_state table as any hand may have changed it. It is refused, or it is an identity: one that
// is written and read as the same.
func FuzzFacts(f *testing.F) {
	members := `[{"ID":1,"Address":"http://h1:7080","APIAddress":""},{"ID":2,"Address":"http://h2:7080"}]`
	f.Add("1", "cluster", members, "7", "12", `[{"member":1,"incarnation":5}]`, "5")
	f.Add("", "", "", "", "", "", "")
	f.Add("18446744073709551616", "c", "null", "-1", "1e3", "{}", "x")
	f.Add("1", "c", `[{"ID":1},{"ID":1},{"ID":0}]`, "", "", "", "")
	f.Add("1", "c", members, "", "", `[{"member":2,"incarnation":5},{"member":1,"incarnation":5}]`, "-1")
	f.Fuzz(func(t *testing.T, id, cluster, members, term, commit, founders, incarnation string) {
		facts := map[string]string{
			FactNodeID: id, FactClusterID: cluster, factMembers: members, factTerm: term, factCommit: commit,
			factFounders: founders, factIncarnation: incarnation,
		}
		who, err := Read(facts)
		if err != nil || who == nil {
			if err == nil && id != "" {
				t.Fatalf("%v is the identity %+v, %v", facts, who, err)
			}
			return
		}
		if CheckMembers(who.ID, SortedMembers(who.Members)) != nil {
			return // New refuses it
		}
		saved := saved(t, &who.Assignment, who.Seating)
		saved[factTerm], saved[factCommit] = term, commit
		again, err := Read(saved)
		if err != nil || again.ID != who.ID || again.Term != who.Term || again.Commit != who.Commit ||
			!slices.Equal(again.Members, who.Members) || !slices.Equal(again.Seating.Founders, who.Seating.Founders) ||
			again.Seating.Incarnation != who.Seating.Incarnation {
			t.Fatalf("%+v was written, and read as %+v, %v", who, again, err)
		}
	})
}

// FuzzBootstrap bootstraps a node as anything. What is taken can stand in a header and be connected to, and the node
// takes it for its own when it starts again: a bootstrap that succeeds must not lead to a node that never starts.
func FuzzBootstrap(f *testing.F) {
	f.Add("demo-1.x_Y", uint64(1), "http://h1:7080", "http://h2:7080", "https://h1:8080", uint64(2), "http://h1:7080")
	f.Add("demo", uint64(1), "http://H.:80/", "http://h", "", uint64(2), "")
	f.Add("é\r\n", uint64(0), "http://[fe80::1%25a b]:1", "http://h:0", "ftp://h", uint64(1), "")
	f.Add("c", uint64(1<<64-1), "http://h:1?x#y", "http://u@h", "//h", uint64(3), "")
	f.Fuzz(func(t *testing.T, cluster string, id uint64, own, other, api string, otherID uint64, address string) {
		who := &Assignment{Identity{raft.NodeID(id), cluster}, SortedMembers([]Member{
			{ID: raft.NodeID(id), Address: own, APIAddress: api}, {ID: raft.NodeID(otherID), Address: other},
		})}
		if who.Check(address) != nil {
			return
		}
		read, err := Read(saved(t, who, nil))
		if err != nil || read.CheckSame(who) != nil {
			t.Fatalf("%+v was taken, and is %+v, %v, after a new start", who, read, err)
		}
		if err := read.CheckStart(0); err != nil {
			t.Fatalf("%+v was taken, and does not start: %v", who, err)
		}
		for _, m := range who.Members {
			wantRequestTo(t, m.Address, cluster)
		}
	})
}

// wantRequestTo wants that a request to an address, with a cluster's id in its header, is read as it was meant.
func wantRequestTo(t *testing.T, address, cluster string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	text := "GET / HTTP/1.1\r\nHost: " + u.Host + "\r\nX-Kontiki-Cluster: " + cluster + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || r.Host != u.Host || r.Header.Get("X-Kontiki-Cluster") != cluster || len(r.Header) != 1 {
		t.Fatalf("%q is read as %+v, %v", text, r, err)
	}
}
