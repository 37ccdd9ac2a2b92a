package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// Directory is what a data directory has.
type Directory struct {
	Dir         string `json:"data_dir"`
	NodeID      uint64 `json:"node_id"`
	LastTerm    uint64 `json:"last_term"`
	LastIndex   uint64 `json:"last_index"`
	CommitIndex uint64 `json:"commit_index"` // the highest that the node recorded
}

// candidate is a directory that was verified.
type candidate struct {
	Directory

	cluster  string
	founders string // a digest
	seated   bool   // the disk counts for the quorum
	differs  string // the entry whose check found another state on a majority; empty: none
	term     raft.Term
	end      raft.LogStart
	members  []identity.Member // that the cluster was founded with
	time     int64             // of the last entry, in microseconds since 1970; 0: unknown
}

// Errors of a recovery.
var (
	// ErrOptions: the command line asks for what cannot be done.
	ErrOptions = errors.New("these data directories cannot be recovered")
	// ErrRunning: a node runs in a directory.
	ErrRunning = storage.ErrLocked
	// ErrDamaged: a directory is not as it was written, or its state is not that of the other members.
	ErrDamaged = errors.New("a data directory is damaged")
	// ErrMixed: the directories are not of one cluster.
	ErrMixed = errors.New("the data directories do not belong together")
)

// whole is what to do with a directory that cannot be used.
const whole = "give the data directory of another member instead, and lose what only this one has; if no member " +
	"has a whole one, restore the last backup with raftctl restore"

// choose returns the position of the directory whose log is the longest: the one that the others would elect (paper,
// section 5.4.1). Whatever was acknowledged is in the log of one of a majority, and an election among that majority
// would choose a log that has it.
func choose(list []candidate) (int, error) {
	best := 0
	for i := range list {
		if err := checkSame(&list[0], &list[i]); err != nil {
			return 0, err
		}
		if compare(&list[i], &list[best]) > 0 {
			best = i
		}
	}
	s := &list[best]
	for i := range list {
		if c := &list[i]; c.CommitIndex > s.LastIndex {
			return 0, fmt.Errorf("%w: the log of %s has the later term and ends at entry %d, but entry %d was committed, by "+
				"%s: one of them is not the disk that the node wrote", ErrMixed, s.Dir, s.LastIndex, c.CommitIndex, c.Dir)
		}
	}
	if s.differs != "" {
		return 0, fmt.Errorf("%w: %s has the longest log, but the check at entry %s found that its state differs from "+
			"that of a majority (%s)", ErrDamaged, s.Dir, s.differs, whole)
	}
	return best, nil
}

// compare is positive if a is to be preferred to b.
func compare(a, b *candidate) int {
	sound := func(c *candidate) int {
		if c.differs == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.LastTerm, b.LastTerm), cmp.Compare(a.LastIndex, b.LastIndex),
		cmp.Compare(sound(a), sound(b)), cmp.Compare(a.CommitIndex, b.CommitIndex))
}

// checkSame refuses directories of two clusters, or of two foundings of one.
func checkSame(a, b *candidate) error {
	if a.cluster != b.cluster {
		return fmt.Errorf("%w: %s is of cluster %s, and %s of cluster %s", ErrMixed, a.Dir, a.cluster, b.Dir, b.cluster)
	}
	if a.founders != b.founders {
		return fmt.Errorf("%w: %s and %s are of cluster %s, which was founded twice: recover from those of one founding",
			ErrMixed, a.Dir, b.Dir, a.cluster)
	}
	return nil
}

// Plan is what a recovery does, and what may be lost by it.
type Plan struct {
	Survivor Directory   `json:"survivor"` // its log is continued
	Others   []Directory `json:"others"`
	// KnownCommit is the highest index that any of them recorded as committed. What follows it in the survivor's log may
	// have been acknowledged. It becomes committed.
	KnownCommit uint64 `json:"known_commit_index"`
	// LastEntryMs is the time of the survivor's last entry by the clock of its proposer, in milliseconds since 1970; 0: it
	// is unknown.
	LastEntryMs int64 `json:"last_entry_ms"`
	// Missing are the members whose directories are not given, or are not those of their seated disks (trap T28). What
	// only they have is lost.
	Missing []uint64 `json:"missing_members"`
	// NothingLost reports that the directories are of a quorum of the voters, so that no acknowledged write is lost.
	NothingLost bool `json:"nothing_lost"`

	OldClusterID string `json:"old_cluster_id"`
	ClusterID    string `json:"cluster_id"`
	Dir          string `json:"data_dir"`
	NodeID       uint64 `json:"node_id"`
	Address      string `json:"address"`
	// LastIndex is that of the new log, whose last entry is the new configuration.
	LastIndex uint64 `json:"last_index"`
}

// loss returns the part of the plan about what is kept and what is lost.
func loss(list []candidate, survivor int) (Plan, error) {
	s := &list[survivor]
	members, err := s.configuration()
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		Survivor: s.Directory, Others: []Directory{}, LastEntryMs: s.time / 1000, Missing: []uint64{},
		OldClusterID: s.cluster,
	}
	counted := map[raft.NodeID]bool{}
	for i := range list {
		c := &list[i]
		p.KnownCommit = max(p.KnownCommit, c.CommitIndex)
		counted[raft.NodeID(c.NodeID)] = counted[raft.NodeID(c.NodeID)] || c.seated
		if i != survivor {
			p.Others = append(p.Others, c.Directory)
		}
	}
	for _, m := range members.Members {
		if !counted[m.ID] {
			p.Missing = append(p.Missing, uint64(m.ID))
		}
	}
	p.NothingLost = majority(members.Voters(), counted) &&
		(!members.Joint() || majority(members.Outgoing, counted))
	return p, nil
}

func majority(voters []raft.NodeID, counted map[raft.NodeID]bool) bool {
	absent := slices.DeleteFunc(slices.Clone(voters), func(id raft.NodeID) bool { return counted[id] })
	return 2*len(absent) < len(voters)
}

// configuration returns the configuration at the end of the log.
func (c *candidate) configuration() (raft.Configuration, error) {
	if c.end.Configuration.Index > 0 {
		return c.end.Configuration, nil
	}
	return identity.InitialConfiguration(c.members)
}

// nextID returns the id of the new cluster's member: higher than all that were used before it (trap T28).
func (c *candidate) nextID() (raft.NodeID, error) {
	cfg, err := c.configuration()
	if err != nil {
		return 0, err
	}
	last := max(cfg.LastID, raft.NodeID(c.NodeID))
	for _, seat := range c.end.Seats {
		last = max(last, seat.Member)
	}
	return last + 1, nil
}
