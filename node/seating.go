package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// seating is which disk this is, and who founded the cluster. It is known once the cluster is founded, and then does
// not change.
type seating struct {
	incarnation raft.Incarnation // 0 on a disk that is older than seats
	founders    []raft.Seat
	seated      bool // known to hold a seat that the log gave
}

// Facts of the founding in the node_state table.
const (
	factGenesis     = "genesis"
	factIncarnation = "incarnation"
	factFounders    = "founders"
	factSeated      = "seated"
	// factGenesisOf begins the key of the founding of another cluster, in which this disk was started before.
	factGenesisOf = "genesis_of_"
)

// seatingFrom reads the seating of a disk that has an identity; nil if its cluster is not founded as far as it knows.
func seatingFrom(facts map[string]string, members []Member) (*seating, error) {
	if facts[factFounders] == "" {
		if facts[factGenesis] != "" {
			return nil, nil
		}
		// The disk is older than seats: there each member counted with the disk that it had, and has no incarnation.
		old := &seating{}
		for _, m := range sortedMembers(members) {
			old.founders = append(old.founders, raft.Seat{Member: m.ID})
		}
		return old, nil
	}
	s := &seating{seated: facts[factSeated] != ""}
	if err := json.Unmarshal([]byte(facts[factFounders]), &s.founders); err != nil {
		return nil, fmt.Errorf("node: node_state.%s cannot be read: %w", factFounders, err)
	}
	number, err := strconv.ParseUint(facts[factIncarnation], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("node: node_state.%s is %q, not a number: %w", factIncarnation, facts[factIncarnation], err)
	}
	s.incarnation = raft.Incarnation(number)
	return s, checkSeats(s.founders, members)
}

// HoldsSeat reports whether a node_state table is that of a disk which is seated, and knows it.
func HoldsSeat(facts map[string]string) bool {
	who, err := identityFrom(facts)
	if err != nil || who == nil || who.seating == nil {
		return false
	}
	seat := raft.Seat{Member: who.nodeID, Incarnation: who.seating.incarnation}
	return who.seating.seated || slices.Contains(who.seating.founders, seat)
}

// facts returns what makes a seating durable.
func (s *seating) facts() (map[string]string, error) {
	founders, err := json.Marshal(s.founders)
	if err != nil {
		return nil, fmt.Errorf("node: cannot write the founders: %w", err)
	}
	return map[string]string{
		factFounders: string(founders), factIncarnation: strconv.FormatUint(uint64(s.incarnation), 10),
	}, nil
}

// digest names the founders, so that members can compare them.
func (s *seating) digest() string {
	hash := sha256.New()
	for _, seat := range s.founders {
		_, _ = fmt.Fprintf(hash, "%d=%d\n", seat.Member, seat.Incarnation)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// saveSeat makes it durable that this disk is seated, before anything leaves that follows from it (trap T28): after a
// restart the commit index may be behind the seat's entry, and the others may need this node's vote to commit anything.
func (n *Node) saveSeat() error {
	if n.seatSaved || !n.core.Seated() {
		return nil
	}
	n.seatSaved = true
	return n.saveFacts(map[string]string{factSeated: "true"})
}

// seatedMembers returns the ids of seats, ascending.
func seatedMembers(seats []raft.Seat) []uint64 {
	ids := make([]uint64, len(seats))
	for i, s := range seats {
		ids[i] = uint64(s.Member)
	}
	slices.Sort(ids)
	return ids
}

func lostDisk(member raft.NodeID, why string) error {
	return fmt.Errorf("%w: %s. Bring back that very disk: an older copy of it is as bad as an empty one, because node %d "+
		"may vote twice or forget what was committed. Without it, the cluster runs on as long as a majority of its members "+
		"do", ErrDiskLost, why, member)
}
