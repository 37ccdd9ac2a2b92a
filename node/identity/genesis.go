package identity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// A cluster is founded once, by the agreement of its empty members on the founders' seats: single-decree Paxos
// (Lamport, Paxos Made Simple, 2001), in which each member is an acceptor and may propose. Its quorum is not a majority
// but FoundingQuorum, because disks may be lost meanwhile, and an acceptor with a new disk has forgotten what it
// accepted.

// FoundingQuorum returns how many of n members must agree on the founders: so many that any two such groups share more
// members than may lose their disks, which is less than half. Then two founders' lists are never both agreed on,
// whichever minority of the disks is lost, and whenever. 3 of 3, 4 of 5, 6 of 7.
func FoundingQuorum(n int) int { return (n+mayBeLost(n))/2 + 1 }

// mayBeLost returns how many of n disks may be lost: less than half.
func mayBeLost(n int) int { return (n - 1) / 2 }

// contradicted reports whether founders that an acceptor reports cannot have been agreed on, because more of their
// disks than may be lost are not those that answer now. A forged message made the acceptor take them; to propose them
// would found a cluster without a seated member.
func contradicted(founders []raft.Seat, replies map[raft.NodeID]GenesisReply) bool {
	others := 0
	for id, r := range replies {
		if r.Err == nil && !r.Founded && SeatedElsewhere(raft.Seat{Member: id, Incarnation: r.Incarnation}, founders) {
			others++
		}
	}
	return others > mayBeLost(len(replies))
}

// Ballot numbers a proposal of founders. A disk that proposes never uses one twice.
type Ballot struct {
	Round uint64           `json:"round"` // positive; 0 in the zero Ballot, which is before all others
	By    raft.Incarnation `json:"by"`    // the proposer's
}

// Compare returns a negative number if b is before the other ballot, a positive one if it is after it, else 0.
func (b Ballot) Compare(other Ballot) int {
	return cmp.Or(cmp.Compare(b.Round, other.Round), cmp.Compare(b.By, other.By))
}

// GenesisRequest is a message of the founding. The zero value asks how an acceptor stands; a ballot without founders
// asks an acceptor to accept nothing older from now on; one with founders asks to accept them.
type GenesisRequest struct {
	Ballot   Ballot      `json:"ballot"`
	Founders []raft.Seat `json:"founders,omitempty"`
}

// GenesisAnswer is how an acceptor stands after a request, or that the cluster is founded.
type GenesisAnswer struct {
	Incarnation raft.Incarnation `json:"incarnation"`
	Promised    Ballot           `json:"promised"`
	Accepted    Ballot           `json:"accepted"` // zero: it has accepted nothing
	// Founders are those of Accepted; if Founded is set, those of the cluster.
	Founders []raft.Seat `json:"founders,omitempty"`
	Founded  bool        `json:"founded,omitempty"`
	// Seats are all seats that are given as far as the node has learned, if Founded is set.
	Seats []raft.Seat `json:"seats,omitempty"`
}

// checkFounders refuses founders that no correct member proposes: fewer than a majority could never commit an entry.
func checkFounders(founders []raft.Seat, members []Member) error {
	if least := len(members)/2 + 1; len(founders) < least {
		return fmt.Errorf("%w: %d founders of %d members, and at least %d are needed", raft.ErrBadMessage, len(founders),
			len(members), least)
	}
	return checkSeats(founders, members)
}

// checkSeats refuses seats that are not of distinct members in the order of their ids.
func checkSeats(seats []raft.Seat, members []Member) error {
	for i, s := range seats {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.ID == s.Member }) {
			return fmt.Errorf("%w: seat %d is of node %d, which is not in this node's list of members: %s",
				raft.ErrBadMessage, i, s.Member, listed(members))
		}
	}
	return checkSeatOrder(seats)
}

// checkSeatOrder refuses seats that are not of distinct nodes in the order of their ids.
func checkSeatOrder(seats []raft.Seat) error {
	for i, s := range seats {
		if s.Member == 0 {
			return fmt.Errorf("%w: seat %d is of node 0, and ids are positive", raft.ErrBadMessage, i)
		}
		if i > 0 && seats[i-1].Member >= s.Member {
			return fmt.Errorf("%w: seat %d is of node %d and follows that of node %d", raft.ErrBadMessage, i, s.Member,
				seats[i-1].Member)
		}
		if s.Incarnation > maxIncarnation {
			return fmt.Errorf("%w: seat %d has incarnation %d, more than 2^53", raft.ErrBadMessage, i, s.Incarnation)
		}
	}
	return nil
}

// NextBallot returns the ballot of the next attempt of a member, newer than all that the others have taken. If some
// are so far behind that they would refuse it, because a false message raised the others, it returns one that raises
// those as far as they allow, and false: nothing may be proposed with it, since it need not be new.
func NextBallot(by raft.Incarnation, replies map[raft.NodeID]GenesisReply) (Ballot, bool) {
	highest, lowest := uint64(0), uint64(math.MaxUint64)
	for _, r := range replies {
		if r.Err == nil && !r.Founded {
			highest, lowest = max(highest, r.Promised.Round), min(lowest, r.Promised.Round)
		}
	}
	if highest >= lowest+maxRoundsAhead {
		return Ballot{Round: lowest + maxRoundsAhead, By: by}, false
	}
	return Ballot{Round: highest + 1, By: by}, true
}

// Stage is where the founding stands for a member.
type Stage int

// Where a founding may stand.
const (
	MustWait   Stage = iota
	MayPropose       // a quorum is open, and no founders are agreed on
	IsFounded
	DiskIsLost // another disk has the seat of the member
)

// GenesisReply is what a member answered, or why it did not.
type GenesisReply struct {
	GenesisAnswer
	Err error
}

// Judge decides where the founding stands for an empty disk, from what all members answered, itself among them.
// quorum is how many must agree. If the result is IsFounded, it returns the founders.
func Judge(self raft.Seat, quorum int, replies map[raft.NodeID]GenesisReply) (Stage, []raft.Seat, string) {
	var founders []raft.Seat
	var silent []string
	open := 0
	accepted := map[Ballot]int{}
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		switch {
		case r.Err != nil:
			silent = append(silent, Absence(id, r.Err))
		case r.Founded:
			if known := slices.Concat(r.Seats, r.Founders); SeatedElsewhere(self, known) {
				return DiskIsLost, nil, fmt.Sprintf("node %d reports that another disk has the seat of node %d", id,
					self.Member)
			}
			founders = r.Founders
		default:
			open++
			if r.Accepted != (Ballot{}) && !contradicted(r.Founders, replies) {
				accepted[r.Accepted]++
			}
			if founders == nil && accepted[r.Accepted] >= quorum {
				founders = r.Founders
			}
		}
	}
	switch {
	case SeatedElsewhere(self, founders):
		return DiskIsLost, nil, fmt.Sprintf("another disk founded the cluster as node %d", self.Member)
	case founders != nil:
		return IsFounded, founders, ""
	case open >= quorum:
		return MayPropose, nil, ""
	}
	return MustWait, nil, fmt.Sprintf("the disk is empty: a new cluster needs %d of its %d members at once, and these "+
		"do not take part: %s", quorum, len(replies), strings.Join(silent, ", "))
}

// Candidates returns the founders to propose, by the answers of all members to a ballot without founders; nil if too
// few took it. The proposer itself must be among them: then the ballot is on its disk, and is never used again, not
// even after a crash.
func Candidates(self raft.Seat, quorum int, ballot Ballot, replies map[raft.NodeID]GenesisReply) []raft.Seat {
	var accepted Ballot
	var founders, promised []raft.Seat
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		if r.Err != nil || r.Founded || r.Promised != ballot {
			continue
		}
		promised = append(promised, raft.Seat{Member: id, Incarnation: r.Incarnation})
		if r.Accepted.Compare(accepted) > 0 && !contradicted(r.Founders, replies) {
			accepted, founders = r.Accepted, r.Founders
		}
	}
	if len(promised) < quorum || !slices.Contains(promised, self) {
		return nil
	}
	if founders == nil {
		return promised
	}
	return founders
}

// Absence returns which member takes no part in the founding, and why.
func Absence(id raft.NodeID, err error) string {
	var mismatch *ListMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Sprintf("node %d (%s)", id, mismatch.Text)
	}
	return fmt.Sprintf("node %d (%v)", id, err)
}

// SeatedElsewhere reports whether the seat of a member is given to another disk than self's.
func SeatedElsewhere(self raft.Seat, seats []raft.Seat) bool {
	return slices.ContainsFunc(seats, func(s raft.Seat) bool {
		return s.Member == self.Member && s.Incarnation != self.Incarnation
	})
}

// Check refuses an answer that no correct member gives.
func (r *GenesisReply) Check(members []Member) error {
	if !r.Founded && (r.Incarnation < 1 || r.Incarnation > maxIncarnation) {
		return fmt.Errorf("%w: incarnation %d is not between 1 and 2^53", raft.ErrBadMessage, r.Incarnation)
	}
	if max(r.Promised.Round, r.Accepted.Round) > maxIncarnation {
		return fmt.Errorf("%w: ballot rounds %d and %d are not both below 2^53", raft.ErrBadMessage, r.Promised.Round,
			r.Accepted.Round)
	}
	if err := r.checkGiven(members); err != nil {
		return err
	}
	if !r.Founded && r.Accepted == (Ballot{}) {
		return checkSeats(r.Founders, members)
	}
	return checkFounders(r.Founders, members)
}

// checkGiven refuses seats that are not of distinct nodes, each with the disk that the founders have if it is one of
// them: one false seat of this member would end this node (ErrDiskLost). They stand in the order in which they were
// given. Some may be of members that were added later.
func (r *GenesisReply) checkGiven(members []Member) error {
	switch {
	case len(r.Seats) > 0 && !r.Founded:
		return fmt.Errorf("%w: %d seats are given in a cluster that is not founded", raft.ErrBadMessage, len(r.Seats))
	case len(r.Seats) > len(members)+raft.MaxMembers:
		return fmt.Errorf("%w: %d seats of %d founding members and at most %d others", raft.ErrBadMessage, len(r.Seats),
			len(members), raft.MaxMembers)
	}
	given := slices.Clone(r.Seats)
	slices.SortFunc(given, func(a, b raft.Seat) int { return cmp.Compare(a.Member, b.Member) })
	for _, s := range given {
		if SeatedElsewhere(s, r.Founders) {
			return fmt.Errorf("%w: the seat of node %d is not the one that it has as a founder", raft.ErrBadMessage, s.Member)
		}
	}
	return checkSeatOrder(given)
}
