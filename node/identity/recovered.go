package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// recoveredPrefix begins the ids of clusters that were recovered from the data of one member. The epoch follows:
// recovered-1-0123456789abcdef.
const recoveredPrefix = "recovered-"

// Recovered is the only member of a cluster that continues the log of another one, which lost its quorum.
type Recovered struct {
	Epoch       uint64 // 1 after the first recovery
	Member      Member
	ClusterID   string
	Incarnation raft.Incarnation
}

// Recover returns the member that continues the log of a cluster after a position. The id of the new cluster is derived
// from all that is known of both, and from the incarnation, which rng draws: members of the old cluster are refused by
// it (trap H3), and two recoveries from the same data are two clusters.
func Recover(old string, end raft.LogStart, member Member, rng *rand.Rand) Recovered {
	r := Recovered{Epoch: epochOf(old) + 1, Member: member, Incarnation: newIncarnation(rng)}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "recovered %q %d %d %d %d\n", old, r.Epoch, end.Index, end.Term, end.Digest)
	_, _ = fmt.Fprintf(hash, "%d=%s %d\n", member.ID, member.Address, r.Incarnation)
	r.ClusterID = recoveredPrefix + strconv.FormatUint(r.Epoch, 10) + "-" + hex.EncodeToString(hash.Sum(nil)[:8])
	return r
}

// epochOf returns how many recoveries are behind a cluster since it was founded, by its id.
func epochOf(cluster string) uint64 {
	rest, is := strings.CutPrefix(cluster, recoveredPrefix)
	if !is {
		return 0
	}
	number, _, _ := strings.Cut(rest, "-")
	epoch, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0 // an id that a person chose
	}
	return epoch
}

// Facts returns what makes the member durable, and what of that is the same on every member. It is the only founder.
func (r *Recovered) Facts() (node, cluster map[string]string, err error) {
	a := Assignment{
		Identity: Identity{ID: r.Member.ID, ClusterID: r.ClusterID}, Members: []Member{r.Member},
	}
	if err := a.checkMembers(""); err != nil {
		return nil, nil, err
	}
	in := &Seating{
		Incarnation: r.Incarnation, Founders: []raft.Seat{{Member: r.Member.ID, Incarnation: r.Incarnation}},
	}
	if node, err = a.Facts(in); err != nil {
		return nil, nil, err
	}
	cluster, err = a.ClusterFacts(in)
	return node, cluster, err
}
