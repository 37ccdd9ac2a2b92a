package divergence

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Fingerprint identifies a log up to one entry. Logs with the same fingerprint are the same up to there.
type Fingerprint struct {
	Index  raft.Index  `json:"index"`
	Term   raft.Term   `json:"term"` // of the entry at Index; 0: the log does not hold it
	Digest raft.Digest `json:"digest"`
}

// Error ends a node whose log differs from the one that a majority holds, this node not counted.
type Error struct {
	Node     raft.NodeID // this node
	Index    raft.Index
	Term     raft.Term // of the entry at Index, in both logs
	Ours     raft.Digest
	Majority raft.Digest
	// OtherFounders are the members that belong to another founding of the cluster than this node. Then no log is damaged.
	OtherFounders []raft.NodeID
}

// Error implements error.
func (e *Error) Error() string {
	if len(e.OtherFounders) > 0 {
		return fmt.Sprintf("node: this cluster was founded twice: the founders of %s are not those of node %d, so their "+
			"logs differ. Either log may hold acknowledged writes that the other does not: keep this data directory. To "+
			"read it, stop the other nodes and start this one alone: raftctl get KEY --consistency stale",
			identity.NodeNames(e.OtherFounders), e.Node)
	}
	return fmt.Sprintf("node: the log of node %d is damaged: up to entry %d of term %d its digest is %08x, and a "+
		"majority without it has %08x; keep the directory aside and this node off; the cluster runs on as long as a "+
		"majority of its members do", e.Node, e.Index, e.Term, uint32(e.Ours), uint32(e.Majority))
}

// majorityDigest returns the digest that differs from ours where index and term are the same and that a majority of all
// members has, counting only those that answered. Then ours is the damaged log: an entry that was committed with this
// node's help is held by at least one of them. A minority proves nothing, since its logs may be the damaged ones.
func majorityDigest(members int, ours Fingerprint, answers []Fingerprint) (raft.Digest, bool) {
	holders := map[raft.Digest]int{}
	for _, theirs := range answers {
		if theirs.Index != ours.Index || theirs.Term != ours.Term || theirs.Digest == ours.Digest || theirs.Digest == 0 {
			continue
		}
		holders[theirs.Digest]++
		if holders[theirs.Digest] > members/2 {
			return theirs.Digest, true
		}
	}
	return 0, false
}

// IsDamaged reports whether the answers of the others prove that ours is the fingerprint of a damaged log.
func IsDamaged(members int, ours Fingerprint, answers []Fingerprint) bool {
	_, differs := majorityDigest(members, ours, answers)
	return differs
}
