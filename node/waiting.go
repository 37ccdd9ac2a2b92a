package node

import (
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// bootstrapIt says what a node needs that was started to join and has no identity.
const bootstrapIt = "bootstrap it (POST /api/v1/cluster/bootstrap)"

// Founding is what a member of a new cluster waits for: fewer members than Needed answer, and the founding needs that
// many at once.
type Founding struct {
	Members int           `json:"members"`
	Needed  int           `json:"needed"`
	Missing []raft.NodeID `json:"missing"` // the ids of those that do not answer, in ascending order
}

// String returns which members are missing, and what to do.
func (f Founding) String() string {
	who, what := identity.NodeNames(f.Missing), "all "+fmt.Sprint(f.Needed)
	verb := "do"
	if len(f.Missing) == 1 {
		verb = "does"
	}
	if f.Needed < f.Members {
		what = fmt.Sprintf("%d of them", f.Needed)
	}
	start := who
	if count := f.Needed - (f.Members - len(f.Missing)); count < len(f.Missing) {
		start = fmt.Sprintf("%d of %s", count, who)
	}
	text := fmt.Sprintf("%s %s not answer, and a new cluster of %d members needs %s at its first start; start %s", who,
		verb, f.Members, what, start)
	if majority := f.Members/2 + 1; majority < f.Needed && f.Members-len(f.Missing) >= majority {
		text += ", or give --found-by-majority if no member ever had data"
	}
	return text
}

// Waits returns why a node takes no part yet and what to do; "" if it takes part.
func (s *Status) Waits() string {
	switch {
	case s.LifeCycle == StateMember:
		return ""
	case s.ID == 0 || s.ClusterID == "":
		return "it belongs to no cluster yet; " + bootstrapIt
	case s.Founding != nil:
		return s.Founding.String()
	}
	return "it is starting"
}

// errWaits returns ErrNotReady with the reason why this node takes no part.
func (n *Node) errWaits() error {
	s := n.status.Load()
	if why := s.Waits(); why != "" {
		return fmt.Errorf("%w: %s", ErrNotReady, why)
	}
	return ErrNotReady
}

// publishFounding publishes what this node waits for before the cluster is founded. It is called before the loop runs.
func (n *Node) publishFounding(replies map[raft.NodeID]identity.GenesisReply, needed int) {
	f := &Founding{Members: len(replies), Needed: needed, Missing: []raft.NodeID{}}
	for id, r := range replies {
		if r.Err != nil {
			f.Missing = append(f.Missing, id)
		}
	}
	slices.Sort(f.Missing)
	s := *n.status.Load()
	if f.Members-len(f.Missing) < needed {
		s.Founding = f
	} else {
		s.Founding = nil
	}
	n.status.Store(&s)
}

// believable returns a copy of what a peer says it waits for, without what cannot be so.
func (f *Founding) believable(members []identity.Member) *Founding {
	if f == nil {
		return nil
	}
	told := &Founding{Members: len(members), Needed: min(max(f.Needed, 1), len(members)), Missing: []raft.NodeID{}}
	for _, m := range identity.SortedMembers(members) {
		if slices.Contains(f.Missing, m.ID) {
			told.Missing = append(told.Missing, m.ID)
		}
	}
	return told
}
