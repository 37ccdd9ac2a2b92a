package identity

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// The id of a recovered cluster differs from that of every other cluster, also from that of another recovery from the
// same data, and counts the recoveries.
func TestARecoveredClusterHasAnIDOfItsOwn(t *testing.T) { // H3
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	end, member := raft.LogStart{Index: 7, Term: 3, Digest: 9}, Member{ID: 4, Address: "http://h4:7080"}
	seen, old := map[string]bool{}, "c"
	for want := uint64(1); want <= 3; want++ {
		first, second := Recover(old, end, member, rng), Recover(old, end, member, rng)
		for _, r := range []Recovered{first, second} {
			if r.Epoch != want || seen[r.ClusterID] || checkClusterID(r.ClusterID) != nil {
				t.Errorf("recovery %d from %s is of epoch %d and has the id %s", want, old, r.Epoch, r.ClusterID)
			}
			seen[r.ClusterID] = true
		}
		old = first.ClusterID
	}
	if r := Recover("recovered-by-hand", end, member, rng); r.Epoch != 1 {
		t.Errorf("an id that a person chose is of epoch %d", r.Epoch-1)
	}
}

// The disk of a recovered member is its founder's, so it is seated, and needs no other member.
func TestARecoveredMemberIsTheOnlyFounder(t *testing.T) { // T28
	t.Parallel()
	r := Recover("c", raft.LogStart{Index: 7}, Member{ID: 4, Address: "http://h4:7080"}, rand.New(rand.NewPCG(1, 2)))
	facts, cluster, err := r.Facts()
	if err != nil {
		t.Fatal(err)
	}
	who, err := Read(facts)
	if err != nil || who.ID != 4 || who.ClusterID != r.ClusterID || who.Seating == nil || len(who.Members) != 1 {
		t.Fatalf("read %+v, %v", who, err)
	}
	if !HoldsSeat(facts) || cluster[FactClusterID] != r.ClusterID || cluster[factFounders] != facts[factFounders] {
		t.Errorf("the facts are %v, and of the cluster %v", facts, cluster)
	}
	if err := who.Check(""); err == nil || !strings.Contains(err.Error(), "recovered") {
		t.Errorf("an empty node is bootstrapped into it: %v", err)
	}
}
