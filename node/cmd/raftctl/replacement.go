package main

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/address"
	"github.com/kontiki-dev/kontiki/node/api"
)

// replacement is the plan of raftctl member replace. It has no state of its own: next decides by the members alone, so
// that an interrupted replacement goes on when it is called again.
type replacement struct {
	old    uint64
	url    string // peer URL of the new node
	apiURL string // "": what the node reports
	force  bool
}

// replaceStep is what a replacement does next.
type replaceStep struct {
	change *api.MemberChange // nil: none
	says   string            // what the change does, or what is waited for
	done   bool
}

// next decides what to do by the members in force. A new node is added as a learner that is not promoted by itself;
// once it has caught up, one change promotes it and removes the old member. A node whose disk was lost takes its own
// place: the old member is removed and the node is added in one change, because an id is never used again. (trap T28)
func (r *replacement) next(view *api.MembersView) (replaceStep, error) {
	old, added := find(view, r.old), r.successor(view)
	switch {
	case len(view.Outgoing) > 0:
		return replaceStep{says: "waits until the joint configuration is left"}, nil
	case view.CommittedIndex < view.Index:
		return replaceStep{says: fmt.Sprintf("waits until configuration %d is committed", view.Index)}, nil
	case old != nil && address.HostAndPort(old.Address) == address.HostAndPort(r.url):
		return r.addInPlace(view, old), nil
	case old != nil && added == nil:
		return r.step(view, fmt.Sprintf("adds the node at %s as a learner", r.url), api.MemberChange{
			Add: []api.NewMember{{Address: r.url, APIAddress: r.apiURL}},
		}), nil
	case old != nil:
		return r.swap(view, old, added)
	case added == nil || added.ID < r.old:
		return replaceStep{}, notAMember(r.old, view)
	case added.Role == api.RoleLearner:
		return r.promote(view, added), nil
	}
	return replaceStep{done: true}, nil
}

// successor returns the member at the URL of the new node, other than the old member; nil: there is none.
func (r *replacement) successor(view *api.MembersView) *api.ConfigMember {
	m := memberAt(view, r.url)
	if m != nil && m.ID == r.old {
		return nil
	}
	return m
}

func find(view *api.MembersView, id uint64) *api.ConfigMember {
	for i := range view.Members {
		if view.Members[i].ID == id {
			return &view.Members[i]
		}
	}
	return nil
}

// step returns a step with a change of the configuration in view.
func (r *replacement) step(view *api.MembersView, says string, change api.MemberChange) replaceStep {
	index := view.Index
	change.ExpectedConfigIndex, change.Force = &index, r.force
	return replaceStep{change: &change, says: says}
}

func (r *replacement) addInPlace(view *api.MembersView, old *api.ConfigMember) replaceStep {
	added := api.NewMember{Address: old.Address, APIAddress: r.apiURL, AutoPromote: old.Role == api.RoleVoter}
	if added.APIAddress == "" {
		added.APIAddress = old.APIAddress
	}
	says := fmt.Sprintf("removes member %d, and adds the node at %s again under a new id", old.ID, old.Address)
	return r.step(view, says, api.MemberChange{Add: []api.NewMember{added}, Remove: []uint64{old.ID}})
}

// swap puts the new node into the place of the old member once it has caught up.
func (r *replacement) swap(view *api.MembersView, old, added *api.ConfigMember) (replaceStep, error) {
	progress := progressOf(view, added.ID)
	switch {
	case added.Role == api.RoleVoter:
		return replaceStep{}, &failure{
			code:    exitPrecondition,
			message: fmt.Sprintf("member %d at %s is a voter already; member %d is one, too", added.ID, added.Address, old.ID),
			hints:   []string{fmt.Sprintf("if it is to take the place of member %d: raftctl member remove %d", old.ID, old.ID)},
		}
	case old.Role != api.RoleVoter:
		return r.step(view, fmt.Sprintf("removes learner %d; node %d is one in its place", old.ID, added.ID),
			api.MemberChange{Remove: []uint64{old.ID}}), nil
	case progress == nil || !progress.CaughtUp:
		return waitsFor(added, progress), nil
	}
	return r.step(view, fmt.Sprintf("makes node %d a voter, and removes member %d", added.ID, old.ID),
		api.MemberChange{Promote: []uint64{added.ID}, Remove: []uint64{old.ID}}), nil
}

// promote completes the replacement of a member that is removed already.
func (r *replacement) promote(view *api.MembersView, added *api.ConfigMember) replaceStep {
	progress := progressOf(view, added.ID)
	if added.AutoPromote || progress == nil || !progress.CaughtUp {
		return waitsFor(added, progress)
	}
	return r.step(view, fmt.Sprintf("makes node %d a voter", added.ID), api.MemberChange{Promote: []uint64{added.ID}})
}

func waitsFor(learner *api.ConfigMember, progress *api.LearnerProgress) replaceStep {
	return replaceStep{says: fmt.Sprintf("node %d at %s: %s", learner.ID, learner.Address, progressText(progress))}
}
