package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

const (
	// offerEvery is how often a leader offers a member its identity.
	offerEvery = time.Second
	// vacantFor is how long a member counts as one without a disk after it answered so.
	vacantFor = 5 * time.Second
)

// checkNewPlaces asks the nodes at the addresses of new members, and at the new addresses of members, how they are, all
// at once. It returns why one of them cannot become the member that it is to be, or is not the member that moves there:
// a configuration that is in force moves the links of the leader, and a quorum that it does not reach never commits it.
func (n *Node) checkNewPlaces(ctx context.Context, cfg *raft.Configuration, change *raft.Change) error {
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.LeaderPatience)
	defer cancel()
	refusals := make([]error, len(change.Add)+len(change.Update))
	var questions []func()
	for i, m := range change.Add {
		questions = append(questions, func() {
			status, err := n.cfg.Transport.StatusAt(ctx, m.Address)
			if err != nil {
				refusals[i] = fmt.Errorf("%w: the leader, node %d, cannot reach %s: %w; start a node there with --join and "+
					"--advertise-peer %s", ErrBadChange, n.self().ID, m.Address, err, m.Address)
				return
			}
			refusals[i] = checkJoiner(&m, &status.Status, n.self().ClusterID)
		})
	}
	for i, m := range change.Update {
		if now, _ := cfg.Member(m.ID); change.Force || now.ID == 0 || identity.SameAddress(now.Address, m.Address) {
			continue
		}
		questions = append(questions, func() {
			status, err := n.cfg.Transport.StatusAt(ctx, m.Address)
			if err == nil && (status.ID != uint64(m.ID) || status.ClusterID != n.self().ClusterID) {
				err = fmt.Errorf("node %d of cluster %q is there", status.ID, status.ClusterID)
			}
			if err != nil {
				refusals[len(change.Add)+i] = fmt.Errorf("%w: the leader, node %d, cannot reach member %d at %s: %w; start it "+
					"there first, or force the change", ErrChangeRefused, n.self().ID, m.ID, m.Address, err)
			}
		})
	}
	scheduler.Together(n.sched, questions)
	for _, refusal := range refusals {
		if refusal != nil {
			return refusal
		}
	}
	return nil
}

// checkJoiner returns why the node that reports a status cannot become a member.
func checkJoiner(m *raft.Member, s *api.Status, clusterID string) error {
	switch {
	case s.ID == uint64(m.ID) && s.ClusterID == clusterID && s.LifeCycle == api.StateMember:
		return nil // it is the member already
	case s.ID != 0 || s.LifeCycle != api.StateEmpty:
		return fmt.Errorf("%w: the node at %s is node %d of cluster %q; a new member needs an empty data directory and "+
			"--join", ErrBadChange, m.Address, s.ID, s.ClusterID)
	case !identity.SameAddress(s.Address, m.Address):
		return fmt.Errorf("%w: the node at %s has the address %s (--advertise-peer); give the same address here",
			ErrBadChange, m.Address, s.Address)
	}
	return nil
}

// joiners is what a leader keeps of the members that answer that they have no identity.
type joiners struct {
	offered map[raft.NodeID]time.Time // when each was offered one last
	lost    map[raft.NodeID]time.Time // of those that had a disk: when each answered so last
	alarmed []raft.NodeID             // the alarm is about these
}

// NoIdentity takes the news that the node at a peer's address has no identity. For the transport.
func (n *Node) NoIdentity(peer raft.NodeID) { n.inbox.order(func(l *loop) { l.welcome(peer) }) }

// welcome offers an identity to a member without one, if the configuration that has it is committed. A member that has
// a seat lost its disk, and must be replaced (trap T28). A founding member that never ran is not offered one either:
// the log need not have a configuration for it.
func (l *loop) welcome(peer raft.NodeID) {
	now, cfg := l.sched.Now(), l.core.ConfigurationUpTo(l.core.HardState().Commit)
	m, isMember := cfg.Member(peer)
	founding := identity.AddressOf(l.node.assigned.Load().Members, peer) != ""
	switch {
	case l.standing.Role != raft.Leader || !isMember && !founding:
		return
	case slices.ContainsFunc(l.core.Seats(), func(s raft.Seat) bool { return s.Member == peer }):
		if l.joiners.lost == nil {
			l.joiners.lost = map[raft.NodeID]time.Time{}
		}
		l.joiners.lost[peer] = now
		l.reportLostDisks()
		return
	case founding || now.Sub(l.joiners.offered[peer]) < offerEvery:
		return
	}
	if l.joiners.offered == nil {
		l.joiners.offered = map[raft.NodeID]time.Time{}
	}
	l.joiners.offered[peer] = now
	offer := identity.Offer{
		ClusterID: l.node.self().ClusterID, NodeID: peer, Address: m.Address, Founders: l.node.seating.Load().Founders,
	}
	l.sched.Go(func() { l.node.offer(offer) })
}

// offer gives a member its identity.
func (n *Node) offer(offer identity.Offer) {
	ctx, cancel := n.sched.WithTimeout(n.base, n.cfg.LeaderPatience)
	defer cancel()
	if err := n.cfg.Transport.Offer(ctx, offer.NodeID, offer); err != nil {
		n.cfg.Logger.Warn("a new member did not take its identity; trying again", "node", n.self().ID, "member",
			offer.NodeID, "address", offer.Address, "error", err)
		return
	}
	n.cfg.Logger.Info("a new member has its identity", "node", n.self().ID, "member", offer.NodeID, "address",
		offer.Address)
}

// reportLostDisks raises an alarm for the members whose disk was lost, and clears it when there are none.
func (l *loop) reportLostDisks() {
	j := &l.joiners
	if len(j.lost) == 0 && len(j.alarmed) == 0 {
		return
	}
	now, cfg := l.sched.Now(), l.node.membership().Configuration
	maps.DeleteFunc(j.offered, func(id raft.NodeID, _ time.Time) bool { return !cfg.Contains(id) })
	maps.DeleteFunc(j.lost, func(id raft.NodeID, at time.Time) bool {
		return l.standing.Role != raft.Leader || !cfg.Contains(id) || now.Sub(at) > vacantFor
	})
	ids := slices.Sorted(maps.Keys(j.lost))
	if slices.Equal(ids, j.alarmed) {
		return
	}
	j.alarmed = ids
	if len(ids) == 0 {
		l.node.observation.SetAlarm(api.AlarmMembers, api.AlarmCleared, "misses no disk of a member")
		return
	}
	var texts []string
	for _, id := range ids {
		texts = append(texts, fmt.Sprintf("node %d: %s", id, observation.ReplaceIt(uint64(id))))
	}
	l.node.observation.SetAlarm(api.AlarmMembers, api.AlarmWarning, "misses the disks of members: "+
		strings.Join(texts, "; "))
}
