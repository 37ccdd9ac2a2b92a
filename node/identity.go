package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Identity errors; the text that wraps them says what to do.
var (
	// ErrWrongIdentity: the disk belongs to another node or another cluster than the flags say.
	ErrWrongIdentity = errors.New("the data directory belongs to another node")
	// ErrDiskLost: the disk is empty, but another disk has the seat of this member, with its entries and votes.
	ErrDiskLost = errors.New("the data directory is empty, but this member held entries or votes before")
)

// self is who this node is: nobody, with id 0, until it is told. It is never changed, only replaced, once.
type self struct {
	id        raft.NodeID
	clusterID string
	members   []Member
}

func (n *Node) self() *self { return n.who.Load() }

// factMembers is the key under which the membership of a static start is kept.
const factMembers = "members"

// Where Storage keeps the current term and the commit index.
const (
	factTerm   = "current_term"
	factCommit = "commit_index"
)

// identity is who a node is, from its disk.
type identity struct {
	nodeID    raft.NodeID
	clusterID string
	members   []Member
	seating   *seating // nil: the cluster is not founded yet

	// What may be told before the log is loaded.
	term   raft.Term
	commit raft.Index
}

// identityFrom reads an identity from the node_state table: nil if it holds none.
func identityFrom(facts map[string]string) (*identity, error) {
	if facts[FactNodeID] == "" {
		return nil, nil
	}
	id, err := strconv.ParseUint(facts[FactNodeID], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("node: node_state.node_id is %q, not a number: %w", facts[FactNodeID], err)
	}
	who := &identity{nodeID: raft.NodeID(id), clusterID: facts[FactClusterID]}
	if err := json.Unmarshal([]byte(facts[factMembers]), &who.members); err != nil {
		return nil, fmt.Errorf("node: node_state.members cannot be read: %w", err)
	}
	term, err := factNumber(facts, factTerm)
	if err != nil {
		return nil, err
	}
	commit, err := factNumber(facts, factCommit)
	if err != nil {
		return nil, err
	}
	who.term, who.commit = raft.Term(term), raft.Index(commit)
	if who.seating, err = seatingFrom(facts, who.members); err != nil {
		return nil, err
	}
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

// adopt makes the options those of the identity on the disk: the flags of a static start count only once.
func (who *identity) adopt(cfg *Options) error {
	if cfg.ID != 0 && cfg.ID != who.nodeID {
		return fmt.Errorf("%w: it is node %d's, and this node was started as %d; give the directory of node %d, "+
			"or an empty one", ErrWrongIdentity, who.nodeID, cfg.ID, cfg.ID)
	}
	cfg.ID, cfg.ClusterID, cfg.Members = who.nodeID, who.clusterID, who.members
	return checkMembers(cfg.ID, cfg.Members)
}

// KnownIdentity reads the identity on a disk, so that a transport can be made for it before the node is: zero
// values if the disk holds none.
func KnownIdentity(s Storage) (id raft.NodeID, clusterID string, members []Member, err error) {
	facts, err := s.Facts()
	if err != nil {
		return 0, "", nil, fmt.Errorf("node: cannot read the node's state: %w", err)
	}
	who, err := identityFrom(facts)
	if err != nil || who == nil {
		return 0, "", nil, err
	}
	return who.nodeID, who.clusterID, who.members, nil
}

// StaticClusterID derives the cluster id of a static start from its members, so that all of them agree on it
// without talking, and clusters with other members never mix (trap H3).
func StaticClusterID(members []Member) string {
	hash := sha256.New()
	for _, m := range sortedMembers(members) {
		_, _ = fmt.Fprintf(hash, "%d=%s\n", m.ID, m.Address)
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// admit returns when this node may boot: at once if its disk holds an identity in a founded cluster. An empty node that
// was started to join waits for Bootstrap first. Then the cluster must be founded, see awaitFounding: the disk may have
// been lost together with a vote or with entries that were counted for a commit (trap T28, design section 9).
func (n *Node) admit(ctx context.Context) error {
	defer n.genesis.close()
	if n.cfg.Join && n.self().id == 0 {
		if err := n.awaitBootstrap(ctx); err != nil || n.self().id == 0 {
			return err
		}
	}
	if n.seating.Load() != nil {
		return nil
	}
	return n.awaitFounding(ctx)
}

// takeIdentity writes down who this node is, and which disk in which cluster if that is founded, before it does
// anything that must not be forgotten. After an error it is not known what is on the disk (trap T53): the node must
// end, and read it when it starts again.
func (n *Node) takeIdentity(who *self, in *seating) error {
	members, err := json.Marshal(who.members)
	if err != nil {
		return fmt.Errorf("node: cannot write the membership: %w", err)
	}
	facts := map[string]string{
		FactNodeID:    idText(who.id),
		FactClusterID: who.clusterID,
		factMembers:   string(members),
	}
	var more map[string]string
	if in == nil {
		more, err = acceptor{Cluster: who.clusterID}.facts()
	} else {
		more, err = in.facts()
	}
	if err != nil {
		return err
	}
	maps.Copy(facts, more)
	if err = n.cfg.Storage.SaveFacts(facts); err != nil {
		return fmt.Errorf("node: cannot save the node's identity: %w", err)
	}
	if in != nil {
		n.seating.Store(in)
	}
	return nil
}

// idText is an id as it stands in messages, labels and tables.
func idText(id raft.NodeID) string { return strconv.FormatUint(uint64(id), 10) }
