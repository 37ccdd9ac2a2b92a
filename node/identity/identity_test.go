package identity

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// An empty node would found a restored cluster with a log that starts at another index than those of its members, which
// have the state of the backup: with a majority of empty nodes the state would be lost without an error.
func TestAnEmptyNodeCannotBecomeAMemberOfARestoredCluster(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: 1, Address: "http://h1:7080"}}
	id, digest := RestoredClusterID([sha256.Size]byte{1}, 42, members)
	if digest == 0 || checkClusterID(id) != nil {
		t.Errorf("the id is %q and the digest %d", id, digest)
	}
	a := Assignment{Identity: Identity{ID: 1, ClusterID: id}, Members: members}
	if err := a.Check(""); err == nil || !strings.Contains(err.Error(), "raftctl restore") {
		t.Errorf("a bootstrap: %v", err)
	}
	if err := a.CheckRestored(); err != nil {
		t.Errorf("a restore: %v", err)
	}
	a.ClusterID = StaticClusterID(members)
	if err := a.Check(""); err != nil {
		t.Errorf("a bootstrap of another cluster: %v", err)
	}
}

func TestParseMembers(t *testing.T) {
	t.Parallel()
	got, err := ParseMembers("2=http://b:7080/, 1=http://a:7080")
	if err != nil || len(got) != 2 || got[0] != (Member{ID: 2, Address: "http://b:7080"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"": "a comma too many", "1=http://a:7080,": "a comma too many",
		"http://a:7080": "ID=URL", "0=http://a:7080": "ID=URL",
		"1=a": "member 1: ", "1=http://a:7080,1=http://b:7080": "id 1 is listed twice",
		"1=http://a:7080,2=http://a:7080": "the same address",
	} {
		if _, err := ParseMembers(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
