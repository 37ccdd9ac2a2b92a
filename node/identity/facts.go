package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Keys of the node_state table that this package keeps. Storage keeps current_term, voted_for and commit_index there as
// well.
const (
	FactClusterID = "cluster_id"
	FactNodeID    = "node_id"
	factMembers   = "members" // of a static start, or of a bootstrap; none on a node that was added later
	factTerm      = "current_term"
	factCommit    = "commit_index"

	factGenesis     = "genesis"
	factIncarnation = "incarnation"
	factFounders    = "founders"
	factSeated      = "seated"
	factRemoved     = "removed"
	// factGenesisOf begins the key of the founding of another cluster, in which this disk was started before.
	factGenesisOf = "genesis_of_"
)

// Stored is what the disk of a node has of its identity.
type Stored struct {
	Assignment
	Seating *Seating // nil: the cluster is not founded yet
	Removed bool     // it was a member, and will never be one again

	// What may be published before the log is loaded.
	Term   raft.Term
	Commit raft.Index
}

// Read reads an identity from the node_state table: nil if it holds none.
func Read(facts map[string]string) (*Stored, error) {
	if facts[FactNodeID] == "" {
		return nil, nil
	}
	id, err := strconv.ParseUint(facts[FactNodeID], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("node: node_state.node_id is %q, not a number: %w", facts[FactNodeID], err)
	}
	who := &Stored{}
	who.ID, who.ClusterID = raft.NodeID(id), facts[FactClusterID]
	if text := facts[factMembers]; text != "" {
		if err := json.Unmarshal([]byte(text), &who.Members); err != nil {
			return nil, fmt.Errorf("node: node_state.members cannot be read: %w", err)
		}
	}
	term, err := factNumber(facts, factTerm)
	if err != nil {
		return nil, err
	}
	commit, err := factNumber(facts, factCommit)
	if err != nil {
		return nil, err
	}
	who.Term, who.Commit = raft.Term(term), raft.Index(commit)
	if who.Seating, err = seatingFrom(facts, who.Members); err != nil {
		return nil, err
	}
	if len(who.Members) == 0 && (who.Seating == nil || len(who.Seating.Founders) == 0) {
		return nil, errors.New("node: node_state has an identity, and neither members nor founders; a disk has one of them")
	}
	who.Removed = facts[factRemoved] != ""
	return who, nil
}

// factNumber reads a number that may be missing, as before the first save.
func factNumber(facts map[string]string, key string) (uint64, error) {
	if facts[key] == "" {
		return 0, nil
	}
	number, err := strconv.ParseUint(facts[key], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("node: node_state.%s is %q, not a number: %w", key, facts[key], err)
	}
	return number, nil
}

// CheckStart refuses a start as another node than that of the disk: the flags of a static start count only once.
func (who *Stored) CheckStart(as raft.NodeID) error {
	if as != 0 && as != who.ID {
		return fmt.Errorf("%w: it is node %d's, and this node was started as %d; give the directory of node %d, "+
			"or an empty one", ErrWrongIdentity, who.ID, as, as)
	}
	if len(who.Members) == 0 { // it was added to a cluster: the log has the members
		return nil
	}
	return CheckMembers(who.ID, who.Members)
}

// RemovedFacts returns what makes it durable that a node was removed from its cluster.
func RemovedFacts() map[string]string { return map[string]string{factRemoved: "true"} }
