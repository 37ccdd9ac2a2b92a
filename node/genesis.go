package node

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
// but foundingQuorum, because disks may be lost meanwhile, and an acceptor with a new disk has forgotten what it
// promised.

// foundingQuorum returns how many of n members must agree on the founders: so many that any two such groups share more
// members than may lose their disks, which is less than half. Then two founders' lists are never both agreed on,
// whichever minority of the disks is lost, and whenever. 3 of 3, 4 of 5, 6 of 7.
func foundingQuorum(n int) int { return (n+mayBeLost(n))/2 + 1 }

// mayBeLost returns how many of n disks may be lost: less than half.
func mayBeLost(n int) int { return (n - 1) / 2 }

// contradicted reports whether founders that an acceptor tells of cannot have been agreed on, because more of their
// disks than may be lost are not those that answer now. A forged message made the acceptor take them; to propose them
// would found a cluster without a seated member.
func contradicted(founders []raft.Seat, replies map[raft.NodeID]genesisReply) bool {
	others := 0
	for id, r := range replies {
		if r.err == nil && !r.Founded && seatedElsewhere(raft.Seat{Member: id, Incarnation: r.Incarnation}, founders) {
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

func (b Ballot) compare(other Ballot) int {
	return cmp.Or(cmp.Compare(b.Round, other.Round), cmp.Compare(b.By, other.By))
}

// GenesisRequest is a message of the founding. The zero value asks how an acceptor stands; a ballot without founders
// asks for the promise to accept nothing older; one with founders asks to accept them.
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
	// Seats are all seats that the node knows to be given, if Founded is set.
	Seats []raft.Seat `json:"seats,omitempty"`
}

// acceptor is a member's durable part in the founding. Only the goroutine of Run touches it.
type acceptor struct {
	Cluster     string           `json:"cluster"` // what it accepted counts only there
	Incarnation raft.Incarnation `json:"incarnation"`
	Promised    Ballot           `json:"promised"`
	Accepted    Ballot           `json:"accepted"`
	Founders    []raft.Seat      `json:"founders"`
}

// handle decides what a request changes: the acceptor afterwards, and whether it must be saved before it is told.
func (a acceptor) handle(r GenesisRequest) (acceptor, bool) {
	switch {
	case r.Ballot == Ballot{}:
		return a, false
	case len(r.Founders) == 0 && r.Ballot.compare(a.Promised) > 0:
		a.Promised = r.Ballot
		return a, true
	case len(r.Founders) > 0 && r.Ballot.compare(a.Promised) >= 0 && r.Ballot != a.Accepted:
		a.Promised, a.Accepted, a.Founders = r.Ballot, r.Ballot, slices.Clone(r.Founders)
		return a, true
	}
	return a, false
}

func (a acceptor) answer() GenesisAnswer {
	return GenesisAnswer{
		Incarnation: a.Incarnation, Promised: a.Promised, Accepted: a.Accepted, Founders: a.Founders,
	}
}

// Bounds of what a peer may say in the founding.
const (
	maxIncarnation = 1 << 53 // every JSON tool reads integers up to here exactly
	maxRoundsAhead = 1 << 20 // a bound on one message; see nextBallot for acceptors that are farther apart
)

// check refuses a request that no correct member sends.
func (a acceptor) check(r GenesisRequest, members []Member) error {
	switch {
	case r.Ballot == Ballot{} && len(r.Founders) == 0:
		return nil
	case r.Ballot.Round < 1 || r.Ballot.Round > a.Promised.Round+maxRoundsAhead:
		return fmt.Errorf("%w: ballot round %d is not between 1 and %d", raft.ErrBadMessage, r.Ballot.Round,
			a.Promised.Round+maxRoundsAhead)
	case r.Ballot.By < 1 || r.Ballot.By > maxIncarnation:
		return fmt.Errorf("%w: ballot incarnation %d is not between 1 and 2^53", raft.ErrBadMessage, r.Ballot.By)
	}
	if len(r.Founders) == 0 {
		return nil
	}
	return checkFounders(r.Founders, members)
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

// listed returns the ids of members for a message.
func listed(members []Member) string {
	ids := make([]string, len(members))
	for i, m := range sortedMembers(members) {
		ids[i] = idText(m.ID)
	}
	return strings.Join(ids, ", ")
}

// nextBallot returns the ballot of the next attempt of a member, newer than all that the others have promised. If some
// are so far behind that they would refuse it, because a false message raised the others, it returns one that raises
// those as far as they allow, and false: nothing may be proposed with it, since it need not be new.
func nextBallot(by raft.Incarnation, replies map[raft.NodeID]genesisReply) (Ballot, bool) {
	highest, lowest := uint64(0), uint64(math.MaxUint64)
	for _, r := range replies {
		if r.err == nil && !r.Founded {
			highest, lowest = max(highest, r.Promised.Round), min(lowest, r.Promised.Round)
		}
	}
	if highest >= lowest+maxRoundsAhead {
		return Ballot{Round: lowest + maxRoundsAhead, By: by}, false
	}
	return Ballot{Round: highest + 1, By: by}, true
}

// outcome is where the founding stands for a member.
type outcome int

const (
	mustWait outcome = iota
	mayPropose
	founded
	diskLost
)

// genesisReply is what a member answered, or why it did not.
type genesisReply struct {
	GenesisAnswer
	err error
}

// judgeGenesis decides where the founding stands for an empty disk, from what all members answered, itself among them.
// quorum is how many must agree. If the outcome is founded, it returns the founders.
func judgeGenesis(self raft.Seat, quorum int, replies map[raft.NodeID]genesisReply) (outcome, []raft.Seat, string) {
	var founders []raft.Seat
	var silent []string
	open := 0
	accepted := map[Ballot]int{}
	for _, id := range slices.Sorted(maps.Keys(replies)) {
		r := replies[id]
		switch {
		case r.err != nil:
			silent = append(silent, absence(id, r.err))
		case r.Founded:
			if known := slices.Concat(r.Seats, r.Founders); seatedElsewhere(self, known) {
				return diskLost, nil, fmt.Sprintf("node %d says that another disk has the seat of node %d", id,
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
	case seatedElsewhere(self, founders):
		return diskLost, nil, fmt.Sprintf("another disk founded the cluster as node %d", self.Member)
	case founders != nil:
		return founded, founders, ""
	case open >= quorum:
		return mayPropose, nil, ""
	}
	return mustWait, nil, fmt.Sprintf("the disk is empty: a new cluster needs %d of its %d members at once, and these "+
		"do not take part: %s", quorum, len(replies), strings.Join(silent, ", "))
}

// absence says which member takes no part in the founding, and why.
func absence(id raft.NodeID, err error) string {
	var mismatch *ListMismatchError
	if errors.As(err, &mismatch) {
		return fmt.Sprintf("node %d (%s)", id, mismatch.Text)
	}
	return fmt.Sprintf("node %d (%v)", id, err)
}

// seatedElsewhere reports whether the seat of a member is given to another disk than self's.
func seatedElsewhere(self raft.Seat, seats []raft.Seat) bool {
	return slices.ContainsFunc(seats, func(s raft.Seat) bool {
		return s.Member == self.Member && s.Incarnation != self.Incarnation
	})
}
