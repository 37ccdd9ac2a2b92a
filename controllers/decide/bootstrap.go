package decide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// bootstrapped reports whether every initial member once had its identity. From then on an empty disk is a lost one.
func (s *situation) bootstrapped() bool {
	return s.operation.Bootstrapped != nil
}

// found makes a cluster where there is none: the id and the members, as an intent in the status, before any node is
// told (trap O3). It takes every seat's word that its disk is empty; a silent node might hold a cluster (traps O1, O4).
// If it cannot be yet, it says what it waits for.
func (s *situation) found() (waitsFor string) {
	if len(s.Cluster.Status.Members) > 0 || s.bootstrapped() {
		return "the status tells of a cluster, but not which: put its status.clusterID back, or delete this RaftCluster " +
			"and apply it again"
	}
	var waits []string
	for i := range s.Seats[:s.wanted(&s.Configuration)] {
		if why := s.emptySeat(&s.Seats[i]); why != "" {
			waits = append(waits, objects.PodName(s.Cluster.Name, s.Seats[i].Ordinal)+" "+why)
		}
	}
	if len(waits) > 0 {
		return strings.Join(waits, ", ")
	}
	seats := s.Seats[:s.Cluster.Spec.Replicas] // those beyond have a pod, but no part in this cluster
	s.clusterID = s.FreshID
	for i := range seats {
		ordinal := seats[i].Ordinal
		s.addMember(MemberID(ordinal)+1, objects.PodName(s.Cluster.Name, ordinal), seats[i].Claim.UID)
		s.members[i].health, s.members[i].why = v1alpha1.HealthStarting, "it was not told its identity yet"
	}
	return ""
}

// emptySeat says what is missing before the node in a seat can be told its identity; "": nothing.
func (s *situation) emptySeat(seat *Seat) string {
	switch {
	case s.strangers[seat.Ordinal] != "":
		return s.strangeDisk(seat)
	case seat.Claim == nil:
		return "has no claim yet"
	case seat.Claim.DeletionTimestamp != nil:
		return "has a claim that is being deleted, and goes when its pod is deleted, too"
	case seat.Pod == nil:
		return "has no pod yet"
	case seat.Silence == foreignPod:
		return "is taken: " + foreignPod
	case seat.Pod.DeletionTimestamp != nil:
		return "is being deleted"
	case seat.View == nil:
		if why := stuck(seat.Pod); why != "" {
			return "does not answer: " + why
		}
		return "does not answer yet"
	case seat.View.State != api.StateEmpty:
		return fmt.Sprintf("is in the state %q, but has no cluster", shortened(string(seat.View.State)))
	}
	return ""
}

// strangeDisk explains what to do about a node that belongs to a cluster which only nodes report.
func (s *situation) strangeDisk(seat *Seat) string {
	id := shortened(s.strangers[seat.Ordinal])
	return fmt.Sprintf("reports that it is a member of cluster %s, which neither the status nor the mark of a claim "+
		"names. If that cluster is the one you want, annotate the RaftCluster with %s=%s; if not, delete claim %s and "+
		"its pod",
		id, v1alpha1.AnnotationAdopt, id, objects.ClaimName(s.Cluster.Name, seat.Ordinal))
}

// introduce returns the act that brings the identities of the members one step further: give an empty node its
// identity, or mark the claim and label the pod of one that has it. Nil: nothing is left to do, or it cannot be done
// now.
func (s *situation) introduce() Act {
	for i := range s.members {
		m := &s.members[i]
		if m.seat == nil || m.seat.Pod == nil || m.seat.Claim == nil || m.seat.Pod.DeletionTimestamp != nil {
			continue
		}
		if view := s.answer(m.seat); view != nil && MemberID(view.NodeID) == m.id {
			if act := s.mark(m); act != nil && !s.Refuses(act) {
				return act
			}
			continue
		}
		if s.mayBeTold(m) {
			return BootstrapNode{
				Target:  OnPod(m.seat.Pod),
				Request: api.BootstrapRequest{ClusterID: s.clusterID, NodeID: uint64(m.id), Members: s.addresses()},
			}
		}
	}
	for i := range s.Seats {
		if act := s.label(&s.Seats[i]); act != nil && !s.Refuses(act) {
			return act
		}
	}
	return nil
}

// label records on a pod of the cluster's whether its node has an identity. A pod whose node was never seen to have one
// needs no label.
func (s *situation) label(seat *Seat) Act {
	if seat.Pod == nil || seat.View == nil || seat.Pod.DeletionTimestamp != nil || foreign(s.Cluster.Name, seat) {
		return nil
	}
	was, is := seat.Pod.Labels[v1alpha1.LabelState], v1alpha1.StateEmpty
	if s.answer(seat) != nil {
		is = v1alpha1.StateMember
	}
	if was == is || was == "" && is == v1alpha1.StateEmpty {
		return nil
	}
	return LabelPod{Target: OnPod(seat.Pod), State: is}
}

// mark records on the claim what lies on its volume. It comes after the node said so, never before.
func (s *situation) mark(m *member) Act {
	claim := m.seat.Claim
	marked, _ := markedAs(claim)
	if marked == m.id && claim.Annotations[v1alpha1.AnnotationClusterID] == s.clusterID {
		return nil
	}
	return MarkClaim{Target: OnClaim(claim), ClusterID: s.clusterID, MemberID: m.id}
}

// mayBeTold reports whether an empty node may be given the identity of a member: only if that member surely never held
// anything. Its claim is the one of the intent and unmarked, the cluster was never whole, every other seat answered,
// and no node has seen the member hold entries or votes (traps O2 and O6). An outdated pod is replaced first: what was
// wrong with it may be why it does not take its identity (trap O14). If the intent is lost, and the members were
// adopted from the nodes, only the other members can report that this one held nothing: none of them may be lost.
func (s *situation) mayBeTold(m *member) bool {
	view := m.seat.View
	return view != nil && view.State == api.StateEmpty && m.health != v1alpha1.HealthLost &&
		!s.bootstrapped() && s.allAnswered() && !outdated(s.Set, m.seat.Pod) &&
		(m.pvcUID != "" || s.hasWitnesses())
}

// hasWitnesses reports whether a member answers, and no member is lost.
func (s *situation) hasWitnesses() bool {
	return s.count(v1alpha1.HealthLost) == 0 &&
		slices.ContainsFunc(s.members, func(m member) bool { return s.answer(m.seat) != nil })
}

// addresses lists the members for the nodes.
func (s *situation) addresses() []api.ConfigMember {
	var all []api.ConfigMember
	for i := range s.members {
		all = append(all, s.members[i].address)
	}
	return all
}

// whole reports whether every initial member has its identity, or once had.
func (s *situation) whole() bool {
	return s.bootstrapped() || s.conflict == "" && s.clusterID != "" && s.complete()
}

// complete reports whether every member has its identity, so that no node will ever be told one again.
func (s *situation) complete() bool {
	return len(s.members) > 0 && !slices.ContainsFunc(s.members, func(m member) bool {
		if m.seat == nil {
			return true
		}
		view := s.answer(m.seat)
		id, marked := markedAs(m.seat.Claim)
		return (view == nil || MemberID(view.NodeID) != m.id) && (!marked || id != m.id)
	})
}
