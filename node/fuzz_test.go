package node

import (
	"bufio"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// factsOnly is a disk of which nothing but the node_state table is used.
type factsOnly struct {
	Storage
	facts map[string]string
}

func (d factsOnly) SaveFacts(facts map[string]string) error {
	maps.Copy(d.facts, facts)
	return nil
}

func (d factsOnly) Facts() (map[string]string, error) { return d.facts, nil }

// saved gives what the disk has of an identity once it was taken.
func saved(t *testing.T, who *self, in *seating) factsOnly {
	t.Helper()
	disk := factsOnly{facts: map[string]string{}}
	n := &Node{cfg: Options{Storage: disk}}
	if err := n.takeIdentity(who, in); err != nil {
		t.Fatal(err)
	}
	return disk
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
		who, err := identityFrom(facts)
		if err != nil || who == nil {
			if err == nil && id != "" {
				t.Fatalf("%v is the identity %+v, %v", facts, who, err)
			}
			return
		}
		if checkMembers(who.nodeID, sortedMembers(who.members)) != nil {
			return // New refuses it
		}
		disk := saved(t, &self{who.nodeID, who.clusterID, who.members}, who.seating)
		disk.facts[factTerm], disk.facts[factCommit] = term, commit
		again, err := identityFrom(disk.facts)
		if err != nil || again.nodeID != who.nodeID || again.term != who.term || again.commit != who.commit ||
			!slices.Equal(again.members, who.members) || !slices.Equal(again.seating.founders, who.seating.founders) ||
			again.seating.incarnation != who.seating.incarnation {
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
		who := &self{raft.NodeID(id), cluster, sortedMembers([]Member{
			{ID: raft.NodeID(id), Address: own, APIAddress: api}, {ID: raft.NodeID(otherID), Address: other},
		})}
		if err := checkIdentity(who, address); err != nil {
			if !errors.Is(err, ErrBadIdentity) {
				t.Fatalf("%+v: %v", who, err)
			}
			return
		}
		disk := saved(t, who, nil)
		gotID, gotCluster, gotMembers, err := KnownIdentity(disk)
		if got := (&self{gotID, gotCluster, gotMembers}); err != nil || got.same(who) != nil {
			t.Fatalf("%+v was taken, and is %+v, %v, after a new start", who, got, err)
		}
		read, err := identityFrom(disk.facts)
		if err == nil {
			err = read.adopt(&Options{})
		}
		if err != nil {
			t.Fatalf("%+v was taken, and does not start: %v", who, err)
		}
		for _, m := range who.members {
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
