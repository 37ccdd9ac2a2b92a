package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Identity errors; the text that wraps them says what to do.
var (
	// ErrWrongIdentity: the disk belongs to another node or another cluster than the flags say.
	ErrWrongIdentity = errors.New("the data directory belongs to another node")
	// ErrDiskLost: the disk is empty, but the others know this id as a member that held entries or votes.
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
	seen      []raft.NodeID

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
	for _, text := range strings.FieldsFunc(facts[FactSeenMembers], func(r rune) bool { return r == ',' }) {
		seen, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("node: node_state.seen_members holds %q, not a number: %w", text, err)
		}
		who.seen = append(who.seen, raft.NodeID(seen))
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

// admit returns when this node may take part: at once if its disk holds an identity. An empty node that was started
// to join waits for Bootstrap. One of a static start asks the others first, because its disk may have been lost
// together with a vote or with entries that were counted for a commit (trap T28, design section 9). ErrDiskLost if one
// of them knows it.
func (n *Node) admit(ctx context.Context) error {
	if n.status.Load().LifeCycle == StateMember {
		return nil
	}
	if n.cfg.Join {
		return n.awaitBootstrap(ctx)
	}
	who := n.self()
	wait, said := 20*time.Millisecond, ""
	for {
		verdict, why := judge(who.id, who.members, n.askPeers(ctx))
		switch verdict {
		case admitted:
			return n.takeIdentity(who)
		case diskLost:
			return fmt.Errorf("%w: %s. It must not come back under id %d with an empty disk, because it may vote "+
				"twice or forget what was committed. Restore its directory, or start a new cluster", ErrDiskLost, why,
				who.id)
		}
		if why != said && wait >= patientWait { // while a cluster starts, this is how it goes
			n.cfg.Logger.Info("waits before taking part", "node", who.id, "why", why)
			said = why
		}
		if n.sched.Wait(wait, Signals{ctx.Done()}) == 0 {
			return nil
		}
		wait = min(2*wait, patientWait)
	}
}

// patientWait is how often an empty node asks in the end.
const patientWait = time.Second

// askPeers asks every other member for its status, all at once.
func (n *Node) askPeers(ctx context.Context) map[raft.NodeID]answer {
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience)
	defer cancel()
	var mu sync.Mutex
	var questions []func()
	answers := map[raft.NodeID]answer{}
	who := n.self()
	for _, m := range who.members {
		if m.ID == who.id {
			continue
		}
		questions = append(questions, func() {
			status, err := n.cfg.Transport.Status(ctx, m.ID)
			mu.Lock()
			defer mu.Unlock()
			answers[m.ID] = answer{status, err}
		})
	}
	together(n.sched, questions)
	return answers
}

// takeIdentity writes down who this node is, before it does anything that must not be forgotten. After an error
// nobody knows what is on the disk (trap T53): the node must end, and read it when it starts again.
func (n *Node) takeIdentity(who *self) error {
	members, err := json.Marshal(who.members)
	if err != nil {
		return fmt.Errorf("node: cannot write the membership: %w", err)
	}
	err = n.cfg.Storage.SaveFacts(map[string]string{
		FactNodeID:    idText(who.id),
		FactClusterID: who.clusterID,
		factMembers:   string(members),
	})
	if err != nil {
		return fmt.Errorf("node: cannot save the node's identity: %w", err)
	}
	return nil
}

// verdict is what an empty node may do.
type verdict int

const (
	mustWait verdict = iota
	admitted
	diskLost
)

// answer is what a member said when an empty node asked it.
type answer struct {
	status Status
	err    error
}

// judge decides whether an empty node may take part, from what the others answered, by id. It may if a majority of
// the members is blank, not counting itself, for its own disk may be the one that was lost: nothing can have been
// committed without one of them, so the cluster is new. It may also if all others answered and none has seen it. One
// that has seen it settles the matter.
func judge(self raft.NodeID, members []Member, answers map[raft.NodeID]answer) (verdict, string) {
	blank := 0
	var silent []string
	for _, m := range members {
		if m.ID == self {
			continue
		}
		s, err := answers[m.ID].status, answers[m.ID].err
		switch {
		case err != nil:
			silent = append(silent, fmt.Sprintf("node %d (%v)", m.ID, err))
		case s.ID != m.ID: // its name leads to a node that waits for an identity, perhaps that of another cluster
			silent = append(silent, fmt.Sprintf("node %d (an empty node answers in its place)", m.ID))
		case slices.Contains(s.SeenMembers, self):
			return diskLost, fmt.Sprintf("node %d knows node %d as a member that held entries or votes", m.ID, self)
		case s.LifeCycle == StateEmpty || (s.CurrentTerm == 0 && s.LastLogIndex == 0):
			blank++
		}
	}
	if 2*blank > len(members) || len(silent) == 0 {
		return admitted, ""
	}
	return mustWait, "its disk is empty, and these must say first that it never held anything: " +
		strings.Join(silent, ", ")
}

// idText is an id as it stands in messages, labels and tables.
func idText(id raft.NodeID) string { return strconv.FormatUint(uint64(id), 10) }
