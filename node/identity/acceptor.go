package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Bounds of what a peer may send in the founding.
const (
	maxIncarnation = 1 << 53 // every JSON tool reads integers up to here exactly
	maxRoundsAhead = 1 << 20 // a bound on one message; see NextBallot for acceptors that are farther apart
)

// Acceptor is a member's durable part in the founding. Its methods return a changed copy.
type Acceptor struct {
	Cluster     string           `json:"cluster"` // what it accepted counts only there
	Incarnation raft.Incarnation `json:"incarnation"`
	Promised    Ballot           `json:"promised"`
	Accepted    Ballot           `json:"accepted"`
	Founders    []raft.Seat      `json:"founders"`
}

// Handle decides what a request changes: the acceptor afterwards, and whether it must be saved before it is answered.
func (a Acceptor) Handle(r GenesisRequest) (Acceptor, bool) {
	switch {
	case r.Ballot == Ballot{}:
		return a, false
	case len(r.Founders) == 0 && r.Ballot.Compare(a.Promised) > 0:
		a.Promised = r.Ballot
		return a, true
	case len(r.Founders) > 0 && r.Ballot.Compare(a.Promised) >= 0 && r.Ballot != a.Accepted:
		a.Promised, a.Accepted, a.Founders = r.Ballot, r.Ballot, slices.Clone(r.Founders)
		return a, true
	}
	return a, false
}

// Answer returns how the acceptor stands.
func (a Acceptor) Answer() GenesisAnswer {
	return GenesisAnswer{
		Incarnation: a.Incarnation, Promised: a.Promised, Accepted: a.Accepted, Founders: a.Founders,
	}
}

// Check refuses a request that no correct member sends.
func (a Acceptor) Check(r GenesisRequest, members []Member) error {
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

// OpenAcceptor reads the acceptor of a member of a cluster, or makes a new one with an incarnation drawn from rng. What
// it returns as changes must be durable before the acceptor answers anything; nil: nothing changed.
func OpenAcceptor(facts map[string]string, cluster string, rng *rand.Rand) (Acceptor, map[string]string, error) {
	a, err := acceptorFrom(facts[factGenesis])
	if err != nil {
		return Acceptor{}, nil, err
	}
	if a.Cluster == cluster && a.Incarnation != 0 {
		return a, nil, nil
	}
	changes := map[string]string{}
	if a.Incarnation != 0 { // started with other members: what it answered there must hold if it is started there again
		changes[factGenesisOf+a.Cluster] = facts[factGenesis]
	}
	if a, err = acceptorFrom(facts[factGenesisOf+cluster]); err != nil {
		return Acceptor{}, nil, err
	}
	if a.Incarnation == 0 {
		a = Acceptor{Cluster: cluster, Incarnation: newIncarnation(rng)}
	}
	now, err := a.Facts()
	if err != nil {
		return Acceptor{}, nil, err
	}
	maps.Copy(changes, now)
	return a, changes, nil
}

// acceptorFrom reads an acceptor; the zero one if there is none.
func acceptorFrom(text string) (a Acceptor, err error) {
	if text == "" {
		return a, nil
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return a, fmt.Errorf("node: node_state.%s cannot be read: %w", factGenesis, err)
	}
	return a, nil
}

// Facts returns what makes an acceptor durable.
func (a Acceptor) Facts() (map[string]string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("node: cannot write the founding: %w", err)
	}
	return map[string]string{factGenesis: string(text)}, nil
}
