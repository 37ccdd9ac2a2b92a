package raft

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of a change of the membership. Nothing was appended.
var (
	// ErrConfigurationIndex: the configuration in force is not the one that the change expects.
	ErrConfigurationIndex = errors.New("raft: another configuration is in force than the change expects")
	// ErrChangeInFlight: an earlier change is not finished; try again (trap T24).
	ErrChangeInFlight = errors.New("raft: another change of the membership is in progress")
	// ErrTermNotCommitted: the leader has not committed an entry of its term yet; try again (trap T23).
	ErrTermNotCommitted = errors.New("raft: no entry of the leader's term is committed yet")
	// ErrBadChange: the change does not fit the configuration.
	ErrBadChange = errors.New("raft: the change does not fit the members")
	// ErrIDUsed: an ErrBadChange with an id that a member has or had (trap T28).
	ErrIDUsed = fmt.Errorf("%w: the id was used before", ErrBadChange)
	// ErrAddressUsed: an ErrBadChange with the address of another member.
	ErrAddressUsed = fmt.Errorf("%w: another member has the address", ErrBadChange)
	// ErrNotCaughtUp: a learner to be promoted lacks too much of the log, or has no seat.
	ErrNotCaughtUp = errors.New("raft: the learner has not caught up")
	// ErrQuorumAtRisk: fewer voters than a quorum respond. Force overrides it.
	ErrQuorumAtRisk = errors.New("raft: too few voters would respond")
	// ErrHandingOver: the change removes the leader, which therefore transfers its leadership first. The next leader takes
	// the change.
	ErrHandingOver = errors.New("raft: the leader is removed by the change and hands over first")
)

// Change is a step from one configuration to the next. Whatever it changes is changed at once.
type Change struct {
	// Expected is the index of the configuration that the change is made for.
	Expected Index
	// Add are new members. They become learners, whatever their role is here.
	Add []Member
	// Promote are learners that become voters.
	Promote []NodeID
	// Update are members with other addresses. Nothing else of them changes (trap T29).
	Update []Member
	// Remove are members that leave.
	Remove []NodeID
	// Force allows a change after which fewer voters than a quorum respond.
	Force bool
}

// apply returns the configuration that a change leads to; a joint one if more than one voter changes. The errors wrap
// ErrBadChange.
func (cfg Configuration) apply(change Change) (Configuration, error) {
	if err := cfg.check(change); err != nil {
		return Configuration{}, err
	}
	next := Configuration{LastID: cfg.LastID}
	for _, m := range cfg.Members {
		if i := slices.IndexFunc(change.Update, func(u Member) bool { return u.ID == m.ID }); i >= 0 {
			m.Address, m.APIAddress = change.Update[i].Address, change.Update[i].APIAddress
		}
		if slices.Contains(change.Promote, m.ID) {
			m.Role, m.AutoPromote = Voter, false
		}
		if !slices.Contains(change.Remove, m.ID) {
			next.Members = append(next.Members, m)
		}
	}
	for _, m := range change.Add {
		m.Role = Learner
		next.Members = append(next.Members, m)
		next.LastID = max(next.LastID, m.ID)
	}
	slices.SortFunc(next.Members, byID)
	if changedVoters(cfg.Voters(), next.Voters()) > 1 {
		next = cfg.jointWith(next) // a leaving member keeps its address meanwhile
	}
	if err := next.Validate(); err != nil {
		return Configuration{}, fmt.Errorf("%w: %w", ErrBadChange, err)
	}
	return next, nil
}

// check returns an error for a change that does not fit the members.
func (cfg Configuration) check(change Change) error {
	seen := map[NodeID]bool{}
	named := func(id NodeID, what string) error {
		if seen[id] {
			return fmt.Errorf("%w: member %d is named twice; name it once", ErrBadChange, id)
		}
		seen[id] = true
		if !cfg.Contains(id) {
			return fmt.Errorf("%w: node %d is not a member, and cannot be %s", ErrBadChange, id, what)
		}
		return nil
	}
	for _, id := range change.Promote {
		if err := named(id, "promoted"); err != nil {
			return err
		}
		if m, _ := cfg.Member(id); m.Role != Learner {
			return fmt.Errorf("%w: member %d is a voter already", ErrBadChange, id)
		}
	}
	for _, m := range change.Update {
		if err := named(m.ID, "updated"); err != nil {
			return err
		}
	}
	for _, id := range change.Remove {
		if err := named(id, "removed"); err != nil {
			return err
		}
	}
	if len(seen)+len(change.Add) == 0 {
		return fmt.Errorf("%w: it is empty; add, promote, update or remove a member", ErrBadChange)
	}
	return cfg.checkAdded(change)
}

// mostSkipped is how many ids a new member may leave unused: later ones must be higher (trap T28).
const mostSkipped = 1 << 20

// checkAdded returns an error for ids that are not new, and for addresses that another member will have.
func (cfg Configuration) checkAdded(change Change) error {
	owners := map[string]NodeID{}
	for _, m := range cfg.Members {
		updated := slices.ContainsFunc(change.Update, func(u Member) bool { return u.ID == m.ID })
		if !updated && !slices.Contains(change.Remove, m.ID) {
			owners[m.Address] = m.ID
		}
	}
	ids := map[NodeID]bool{}
	for _, m := range change.Add {
		if m.ID <= cfg.LastID || ids[m.ID] {
			return fmt.Errorf("%w: %d; use %d or a higher one", ErrIDUsed, m.ID, cfg.LastID+1)
		}
		if m.ID > cfg.LastID+mostSkipped {
			return fmt.Errorf("%w: id %d would use up the ids before it; use %d to %d", ErrBadChange, m.ID, cfg.LastID+1,
				cfg.LastID+mostSkipped)
		}
		ids[m.ID] = true
	}
	for _, m := range slices.Concat(change.Update, change.Add) {
		if other, taken := owners[m.Address]; taken && m.Address != "" {
			return fmt.Errorf("%w: member %d at %s; remove it, or give node %d another address", ErrAddressUsed, other,
				m.Address, m.ID)
		}
		owners[m.Address] = m.ID
	}
	return nil
}

// changedVoters returns how many nodes are voters in one of two sets only.
func changedVoters(before, after Voters) int {
	count := 0
	for _, id := range before {
		if !after.Contains(id) {
			count++
		}
	}
	return count + len(after) - (len(before) - count)
}

// jointWith returns the configuration between this one and the next: it has the members of the next, and the voters of
// this one as outgoing voters. Those that are not members of the next are leaving.
func (cfg Configuration) jointWith(next Configuration) Configuration {
	joint := Configuration{LastID: next.LastID, Outgoing: cfg.Voters(), Members: slices.Clone(next.Members)}
	for _, id := range joint.Outgoing {
		if m, _ := cfg.Member(id); !next.Contains(id) {
			m.Role = Leaving
			joint.Members = append(joint.Members, m)
		}
	}
	slices.SortFunc(joint.Members, byID)
	return joint
}

// left returns the configuration that follows a joint one.
func (cfg Configuration) left() Configuration {
	next := Configuration{LastID: cfg.LastID}
	for _, m := range cfg.Members {
		if m.Role != Leaving {
			next.Members = append(next.Members, m)
		}
	}
	return next
}
