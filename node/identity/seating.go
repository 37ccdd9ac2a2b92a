package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Seating is which disk this is, and who founded the cluster. It is known once the cluster is founded, and then does
// not change.
type Seating struct {
	Incarnation raft.Incarnation // 0 on a disk that is older than seats
	Founders    []raft.Seat
	Seated      bool // known to hold a seat that the log gave
}

// seatingFrom reads the seating of a disk that has an identity; nil if its cluster is not known to be founded.
func seatingFrom(facts map[string]string, members []Member) (*Seating, error) {
	if facts[factFounders] == "" {
		if facts[factGenesis] != "" {
			return nil, nil
		}
		// The disk is older than seats: there each member counted with the disk that it had, and has no incarnation.
		old := &Seating{}
		for _, m := range SortedMembers(members) {
			old.Founders = append(old.Founders, raft.Seat{Member: m.ID})
		}
		return old, nil
	}
	s := &Seating{Seated: facts[factSeated] != ""}
	if err := json.Unmarshal([]byte(facts[factFounders]), &s.Founders); err != nil {
		return nil, fmt.Errorf("node: node_state.%s cannot be read: %w", factFounders, err)
	}
	number, err := strconv.ParseUint(facts[factIncarnation], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("node: node_state.%s is %q, not a number: %w", factIncarnation, facts[factIncarnation], err)
	}
	s.Incarnation = raft.Incarnation(number)
	if len(members) == 0 {
		return s, checkSeatOrder(s.Founders)
	}
	return s, checkSeats(s.Founders, members)
}

// HoldsSeat reports whether a node_state table records that its disk is seated.
func HoldsSeat(facts map[string]string) bool {
	who, err := Read(facts)
	if err != nil || who == nil || who.Seating == nil {
		return false
	}
	seat := raft.Seat{Member: who.ID, Incarnation: who.Seating.Incarnation}
	return who.Seating.Seated || slices.Contains(who.Seating.Founders, seat)
}

// SeatedFacts returns what makes it durable that a disk is seated.
func SeatedFacts() map[string]string { return map[string]string{factSeated: "true"} }

// facts returns what makes a seating durable.
func (s *Seating) facts() (map[string]string, error) {
	founders, err := json.Marshal(s.Founders)
	if err != nil {
		return nil, fmt.Errorf("node: cannot write the founders: %w", err)
	}
	return map[string]string{
		factFounders: string(founders), factIncarnation: strconv.FormatUint(uint64(s.Incarnation), 10),
	}, nil
}

// Digest names the founders, so that members can compare them.
func (s *Seating) Digest() string {
	hash := sha256.New()
	for _, seat := range s.Founders {
		_, _ = fmt.Fprintf(hash, "%d=%d\n", seat.Member, seat.Incarnation)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// SeatedMembers returns the ids of seats, ascending.
func SeatedMembers(seats []raft.Seat) []uint64 {
	ids := make([]uint64, len(seats))
	for i, s := range seats {
		ids[i] = uint64(s.Member)
	}
	slices.Sort(ids)
	return ids
}

// DiskLost returns ErrDiskLost for a member, with the reason and what to do.
func DiskLost(member raft.NodeID, why string) error {
	return fmt.Errorf("%w: %s. Bring back that very disk: an older copy of it is as bad as an empty one, because node %d "+
		"may vote twice or forget what was committed. Without it, the cluster runs on as long as a majority of its members "+
		"do", ErrDiskLost, why, member)
}
