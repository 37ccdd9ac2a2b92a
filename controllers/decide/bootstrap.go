package decide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// bootstrapped reports whether every initial member has had its identity. From then on, an empty disk is a lost disk.
func (s *situation) bootstrapped() bool {
	return s.operation.Bootstrapped != nil
}

// found founds a cluster where there is none. It sets the cluster id and the members, which the status records as an
// intent before any node receives its identity (trap O3). Every node must have reported that its disk is empty: a node
// that does not answer might hold a cluster (traps O1, O4). If the cluster cannot be founded yet, found returns what
// it waits for.
func (s *situation) found() (waitsFor string) {
	if len(s.Cluster.Status.Members) > 0 || s.bootstrapped() {
		return "the status lists members but no cluster id: restore status.clusterID, or delete this RaftCluster " +
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
	seats := s.Seats[:s.Cluster.Spec.Replicas] // further seats have a pod, but are not initial members
	s.clusterID = s.FreshID
	for i := range seats {
		ordinal := seats[i].Ordinal
		s.addMember(MemberID(ordinal)+1, objects.PodName(s.Cluster.Name, ordinal), seats[i].Claim.UID)
		s.members[i].health, s.members[i].why = v1alpha1.HealthStarting, "it has no identity yet"
	}
	return ""
}

// emptySeat returns what is missing before the node in a seat can receive its identity, or "" if nothing is.
func (s *situation) emptySeat(seat *Seat) string {
	switch {
	case s.foreignDisks[seat.Ordinal] != "":
		return s.explainForeignDisk(seat)
	case seat.Claim == nil:
		return "has no claim yet"
	case seat.Claim.DeletionTimestamp != nil:
		return "has a claim that is being deleted and ends with its pod"
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

// explainForeignDisk describes what to do about a node that belongs to a cluster which only nodes name.
func (s *situation) explainForeignDisk(seat *Seat) string {
	id := shortened(s.foreignDisks[seat.Ordinal])
	return fmt.Sprintf("reports that it is a member of cluster %s, which neither the status nor a claim's annotation "+
		"names. If that cluster is the one you want, annotate the RaftCluster with %s=%s; if not, delete claim %s and "+
		"its pod",
		id, v1alpha1.AnnotationAdopt, id, objects.ClaimName(s.Cluster.Name, seat.Ordinal))
}

// introduce returns the act that advances the identities of the members by one step: bootstrap an empty node, or mark
// the claim and label the pod of a node that has its identity. It returns nil if no step is left or none is possible
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
		if s.mayBootstrap(m) {
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

// label returns the act that labels a pod of the cluster with whether its node has an identity. A pod whose node has
// never reported an identity needs no label.
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

// mark returns the act that annotates the claim with the member on its volume. It follows the node's report, never
// precedes it.
func (s *situation) mark(m *member) Act {
	claim := m.seat.Claim
	marked, _ := markedAs(claim)
	if marked == m.id && claim.Annotations[v1alpha1.AnnotationClusterID] == s.clusterID {
		return nil
	}
	return MarkClaim{Target: OnClaim(claim), ClusterID: s.clusterID, MemberID: m.id}
}

// mayBootstrap reports whether an empty node may receive the identity of a member: only if that member has certainly
// never stored anything. Its claim is the one of the intent and unmarked, the cluster was never complete, every other
// seat answered, and no node has seen the member store entries or votes (traps O2 and O6). An outdated pod is replaced
// first: its template may be the reason why its node does not take the identity (trap O14). If the intent is lost, and
// the members were adopted from the nodes, only the other members can report that this member stored nothing: none of
// them may be lost.
func (s *situation) mayBootstrap(m *member) bool {
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

// whole reports whether every initial member has its identity, or has had it.
func (s *situation) whole() bool {
	return s.bootstrapped() || s.conflict == "" && s.clusterID != "" && s.complete()
}

// complete reports whether every member has its identity, so that no further node is bootstrapped.
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
