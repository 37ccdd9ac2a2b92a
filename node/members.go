package node

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// Members returns the configuration in force on this node, with the API addresses that the members reported.
func (n *Node) Members() api.Membership { return n.observation.Membership() }

// ChangeMembers changes the members in one step, and waits until that is committed and the configuration is not joint.
// A node that does not lead passes the change on to the leader over the peer port, once.
//
// Nothing was done after ErrConfigIndex, a *ConfigIndexError; ErrBadChange: the change does not fit the members, or an
// added node is not empty, was not started to join or cannot be reached from the leader; ErrChangeRefused: it is not
// possible now; ErrNotLeader, ErrNoLeader, ErrNotReady and ErrOverloaded. After ErrOutcomeUnknown the members show
// whether it was.
func (n *Node) ChangeMembers(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	view := n.view.Load()
	switch {
	case view.leader == 0 || view.lifeCycle != api.StateMember:
		return api.MemberChangeResponse{}, n.whyNoLeader(view)
	case !n.changing.CompareAndSwap(false, true):
		return api.MemberChangeResponse{}, ErrOverloaded
	}
	defer n.changing.Store(false)
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.RequestLimit)
	defer cancel()
	if view.leader == n.self().ID {
		return n.leadChange(ctx, change)
	}
	return n.passChangeOn(ctx, view.leader, change)
}

// passChangeOn asks the leader for a change.
func (n *Node) passChangeOn(ctx context.Context, leader raft.NodeID, change api.MemberChange) (
	api.MemberChangeResponse, error,
) {
	response, err := n.cfg.Transport.ChangeMembers(ctx, leader, change)
	if err != nil {
		return api.MemberChangeResponse{}, ofLeader("the change of the members", err)
	}
	return response, nil
}

// HandleMemberChange is ChangeMembers for a member that passes a change on: a node that does not lead refuses. For the
// transport.
func (n *Node) HandleMemberChange(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	view := n.view.Load()
	if view.leader != n.self().ID || view.lifeCycle != api.StateMember {
		return api.MemberChangeResponse{}, ErrNotLeader
	}
	ctx, cancel := n.sched.WithTimeout(ctx, n.cfg.RequestLimit)
	defer cancel()
	return n.leadChange(ctx, change)
}

// leadChange makes a change as the leader. A leader that the change removes hands over first, and passes the change on
// to its successor; if no node succeeds it, it makes the change itself.
func (n *Node) leadChange(ctx context.Context, change api.MemberChange) (api.MemberChangeResponse, error) {
	var response api.MemberChangeResponse
	membership := n.membership()
	if expected := change.ExpectedConfigIndex; expected != nil && *expected != uint64(membership.Configuration.Index) {
		return response, &ConfigIndexError{Expected: *expected, Config: n.Members()}
	}
	planned, err := planChange(&membership.Configuration, &change)
	if err != nil {
		return response, err
	}
	if err := n.checkNewPlaces(ctx, &membership.Configuration, &planned); err != nil {
		return response, err
	}
	made, err := n.proposeChange(ctx, planned)
	if errors.Is(err, raft.ErrHandingOver) {
		if n.awaitSuccessor(ctx, 0) == nil {
			return n.passToSuccessor(ctx, change)
		}
		made, err = n.proposeChange(ctx, planned)
	}
	if err != nil {
		return response, n.whyNotChanged(planned, err)
	}
	if n.await(ctx, scheduler.Forever, made.done) != waitDone {
		return response, fmt.Errorf("%w: the change of entry %d was not committed in time; look at the members",
			ErrOutcomeUnknown, made.index)
	}
	if made.err != nil {
		return response, made.err
	}
	response.Config = n.observation.Show(&raft.Membership{Configuration: made.config, Committed: made.config.Index})
	for _, m := range planned.Add {
		response.Added = append(response.Added, uint64(m.ID))
	}
	return response, nil
}

// passToSuccessor passes a change on to the leader that took over. That one may not have noted yet that it leads: its
// first messages are sent before that.
func (n *Node) passToSuccessor(ctx context.Context, change api.MemberChange) (
	response api.MemberChangeResponse, err error,
) {
	deadline := n.sched.Now().Add(n.cfg.LeaderPatience)
	for {
		err = ErrNotLeader
		if leader := n.view.Load().leader; leader != 0 && leader != n.self().ID {
			response, err = n.passChangeOn(ctx, leader, change)
		}
		if !errors.Is(err, ErrNotLeader) || !n.sched.Now().Before(deadline) {
			return response, err
		}
		if n.await(ctx, n.cfg.HeartbeatInterval/2, nil) != waitLimit {
			return response, err
		}
	}
}

// planChange returns the change of a configuration that a request asks for, with the ids of added members, and all
// addresses in one form.
func planChange(cfg *raft.Configuration, change *api.MemberChange) (raft.Change, error) {
	planned := raft.Change{Expected: cfg.Index, Force: change.Force}
	if change.ExpectedConfigIndex != nil {
		planned.Expected = raft.Index(*change.ExpectedConfigIndex)
	}
	count := len(change.Add) + len(change.Promote) + len(change.Update) + len(change.Remove)
	if count > 2*raft.MaxMembers {
		return planned, fmt.Errorf("%w: it names %d members, and a cluster has at most %d", ErrBadChange, count,
			raft.MaxMembers)
	}
	next := cfg.LastID
	for _, add := range change.Add {
		next = max(next+1, raft.NodeID(add.ID))
		m := identity.Member{ID: raft.NodeID(add.ID), Address: add.Address, APIAddress: add.APIAddress}
		if m.ID == 0 {
			m.ID = next
		}
		normal, err := m.Normal()
		if err != nil {
			return planned, fmt.Errorf("%w: %w", ErrBadChange, err)
		}
		planned.Add = append(planned.Add, raft.Member{
			ID: normal.ID, Address: normal.Address, APIAddress: normal.APIAddress, AutoPromote: add.AutoPromote,
		})
	}
	for _, update := range change.Update {
		m := identity.Member{ID: raft.NodeID(update.ID), Address: update.Address, APIAddress: update.APIAddress}
		normal, err := m.Normal()
		if err != nil {
			return planned, fmt.Errorf("%w: %w", ErrBadChange, err)
		}
		planned.Update = append(planned.Update, raft.Member{
			ID: normal.ID, Address: normal.Address, APIAddress: normal.APIAddress,
		})
	}
	for _, id := range change.Promote {
		planned.Promote = append(planned.Promote, raft.NodeID(id))
	}
	for _, id := range change.Remove {
		planned.Remove = append(planned.Remove, raft.NodeID(id))
	}
	return planned, checkPlaces(cfg, &planned)
}

// checkPlaces refuses a change after which two members are at one place: the core compares texts only.
func checkPlaces(cfg *raft.Configuration, change *raft.Change) error {
	gone := map[raft.NodeID]bool{}
	for _, id := range change.Remove {
		gone[id] = true
	}
	for _, m := range change.Update {
		gone[m.ID] = true
	}
	after := append(append([]raft.Member{}, change.Update...), change.Add...)
	for _, m := range cfg.Members {
		if !gone[m.ID] {
			after = append(after, m)
		}
	}
	if err := identity.CheckAddresses(identity.MembersOf(after)); err != nil {
		return fmt.Errorf("%w: %w", ErrBadChange, err)
	}
	return nil
}

// changeError is a refusal of the core with its meaning in this package, and what would be right.
type changeError struct{ kind, cause error }

func (e *changeError) Error() string {
	return strings.TrimPrefix(e.cause.Error(), "raft: ") + advice(e.cause)
}
func (e *changeError) Unwrap() []error { return []error{e.kind, e.cause} }

// refusedChanges are the reasons for which the core refuses a change, what they mean, and what would be right.
var refusedChanges = []struct {
	cause, meaning error
	advice         string
}{
	{raft.ErrBadChange, ErrBadChange, ""},
	{raft.ErrChangeInFlight, ErrChangeRefused, "; repeat the change when that is done"},
	{raft.ErrTermNotCommitted, ErrChangeRefused, "; repeat the change when it is"},
	{raft.ErrOldVersion, ErrChangeRefused, ""},
	{raft.ErrNotCaughtUp, ErrChangeRefused, "; promote it when it has, or add it to be promoted by itself"},
	{raft.ErrQuorumAtRisk, ErrChangeRefused, "; bring them back first, or force the change"},
	{raft.ErrTransferring, ErrChangeRefused, "; repeat the change when there is a new leader"},
	{raft.ErrHandingOver, ErrChangeRefused, "; repeat the change when there is a new leader"},
}

func advice(cause error) string {
	for _, r := range refusedChanges {
		if errors.Is(cause, r.cause) {
			return r.advice
		}
	}
	return ""
}

// whyNotChanged turns the refusal of a change by the core into one of this package.
func (n *Node) whyNotChanged(change raft.Change, err error) error {
	if errors.Is(err, raft.ErrConfigurationIndex) {
		return &ConfigIndexError{Expected: uint64(change.Expected), Config: n.Members()}
	}
	for _, r := range refusedChanges {
		if errors.Is(err, r.cause) {
			return &changeError{r.meaning, err}
		}
	}
	return fromCore(err)
}

// memberChange is a change that was appended by this leader. The loop finishes it.
type memberChange struct {
	index     raft.Index
	term      raft.Term
	committed bool // the entry at index is, in term

	done   chan struct{} // closed when the rest is set
	config raft.Configuration
	err    error
}

// proposeChange appends the configuration that a change leads to. A leader that was elected just now must commit an
// entry of its term first (trap T23), and learn who responds; proposeChange waits for that.
func (n *Node) proposeChange(ctx context.Context, change raft.Change) (*memberChange, error) {
	deadline := n.sched.Now().Add(n.cfg.LeaderPatience)
	for {
		made := &memberChange{done: make(chan struct{})}
		var refusal error
		looped := n.inLoop(ctx, func(l *loop) {
			if made.index, made.term, refusal = l.core.ProposeChange(change); refusal == nil {
				l.changes = append(l.changes, made)
			}
		})
		switch {
		case looped != nil && ctx.Err() != nil:
			return nil, fmt.Errorf("%w: the node did not take the change in time; look at the members", ErrOutcomeUnknown)
		case looped != nil:
			return nil, looped
		case !n.isTooEarly(refusal) || !n.sched.Now().Before(deadline):
			return made, refusal
		}
		if end := n.await(ctx, n.cfg.HeartbeatInterval/2, nil); end != waitLimit {
			return nil, refusal
		}
	}
}

// isTooEarly reports whether the core refused a change for a reason that is gone when this leader has led for a moment:
// the others have not responded to it yet.
func (n *Node) isTooEarly(refusal error) bool {
	since, leads := n.observation.LedSince()
	isNew := leads && n.sched.Now().Sub(since) < 2*n.cfg.ElectionTimeout
	return errors.Is(refusal, raft.ErrTermNotCommitted) ||
		isNew && (errors.Is(refusal, raft.ErrQuorumAtRisk) || errors.Is(refusal, raft.ErrNotCaughtUp))
}

// settleChanges finishes the changes whose fate is known after entries were committed: a change is done once a
// configuration is committed that is not joint, its own or a later one; it is lost once another term is committed at
// its index.
func (l *loop) settleChanges(rd *raft.Ready) {
	if len(l.changes) == 0 || len(rd.Committed) == 0 {
		return
	}
	config := l.core.ConfigurationUpTo(rd.HardState.Commit)
	waiting := l.changes[:0]
	for _, made := range l.changes {
		if !made.settle(rd, &config) {
			waiting = append(waiting, made)
		}
	}
	l.changes = waiting
}

// settle finishes the change if its fate is known; config is the last committed configuration.
func (c *memberChange) settle(rd *raft.Ready, config *raft.Configuration) bool {
	first := rd.Committed[0].Index
	last := rd.Committed[len(rd.Committed)-1].Index
	switch {
	case !c.committed && last < c.index:
		return false
	case !c.committed && first > c.index: // a snapshot replaced the entry
		c.err = ErrOutcomeUnknown
	case !c.committed && rd.Committed[c.index-first].Term != c.term:
		c.err = fmt.Errorf("%w: the change of entry %d was lost, because another leader was elected before it was "+
			"committed; repeat it", ErrChangeRefused, c.index)
	default:
		c.committed = true
		if config.Index < c.index || config.Joint() {
			return false
		}
		c.config = *config
	}
	close(c.done)
	return true
}
