package decide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// outdatedSeats lists the seats whose pod was made from an older template, the highest ordinal first.
func (s *situation) outdatedSeats() []*Seat {
	var old []*Seat
	for i := len(s.Seats) - 1; i >= 0; i-- {
		if outdated(s.Set, s.Seats[i].Pod) {
			old = append(old, &s.Seats[i])
		}
	}
	return old
}

// nothingOutdated ends a pass that has no pod to replace, or in which the StatefulSet controller has not observed the
// newest template yet.
func nothingOutdated(v *verdict, _ *Configuration) turn {
	if len(v.old)+len(v.left) == 0 || !settled(v.Set) {
		return hold("")
	}
	return turn{}
}

// brokenPod replaces an outdated pod whose container does not run, regardless of everything else: it may be the pod
// that restores the quorum.
func brokenPod(v *verdict, _ *Configuration) turn { return do(deleteFirst(v.old, doesNotRun)) }

// missingPod waits while a pod is missing or ending.
func missingPod(v *verdict, c *Configuration) turn {
	for i := range v.Seats[:v.wanted(c)] {
		if pod := v.Seats[i].Pod; pod == nil || pod.DeletionTimestamp != nil {
			return hold(objects.PodName(v.Cluster.Name, v.Seats[i].Ordinal) + " is being replaced")
		}
	}
	return turn{}
}

// inertNode replaces an outdated pod whose node takes no part in the consensus.
func inertNode(v *verdict, _ *Configuration) turn { return do(deleteFirst(v.old, v.outOfQuorum)) }

// notBackYet waits for the member that was replaced last.
func notBackYet(v *verdict, _ *Configuration) turn {
	if m := v.replacedAndNotBack(); m != nil {
		return hold(fmt.Sprintf("%s is not healthy yet: %s", m.podName(v.Cluster.Name), m.why))
	}
	return turn{}
}

// onlyMember restarts a cluster of one member, which does not serve while it restarts.
func onlyMember(v *verdict, c *Configuration) turn {
	if len(v.replaceable()) == 0 || len(c.members) != 1 {
		return turn{}
	}
	return do(evict(&c.members[0]))
}

// noLeader waits for a leader. Only a person can decide whether the update would help.
func noLeader(v *verdict, c *Configuration) turn {
	if len(v.replaceable()) == 0 || c.Knowledge == Known {
		return turn{}
	}
	return hold("no leader has a majority. If the update is meant to repair that, delete the outdated pods yourself, " +
		"one at a time")
}

// unhealthyMember replaces an outdated member that does not count for the quorum, if the others are a quorum.
func unhealthyMember(v *verdict, c *Configuration) turn {
	m := v.firstOutdated(func(m *member) bool { return m.health != v1alpha1.HealthHealthy })
	switch {
	case m == nil:
		return turn{}
	case !c.spares(m):
		return hold(v.lacks(m))
	}
	return do(DeletePod{
		Target: OnPod(m.seat.Pod), Why: "its template is outdated, and it is not healthy: " + m.why,
	})
}

// follower replaces an outdated healthy member that does not lead, if the others are a quorum.
func follower(v *verdict, c *Configuration) turn {
	m := v.firstOutdated(func(m *member) bool { return m.health == v1alpha1.HealthHealthy && m != c.leader })
	switch {
	case m == nil:
		return turn{}
	case !c.spares(m):
		return hold(v.lacks(m))
	}
	return do(evict(m))
}

// leader transfers leadership to the healthy member with the longest log. A later pass then replaces the former leader
// as a follower.
func leader(v *verdict, c *Configuration) turn {
	m := v.firstOutdated(func(m *member) bool { return m == c.leader })
	switch {
	case m == nil:
		return turn{}
	case !c.spares(m):
		return hold(v.lacks(m))
	}
	var best *member
	for i := range c.members {
		other := &c.members[i]
		if other != m && other.health == v1alpha1.HealthHealthy &&
			(best == nil || other.seat.View.LastLogIndex > best.seat.View.LastLogIndex) {
			best = other
		}
	}
	from := OnPod(m.seat.Pod)
	from.Term = m.seat.View.Term
	return do(TransferLeadership{Target: from, To: best.id, ToPod: best.seat.Pod.Name})
}

// leftAlone reports why the remaining outdated pods are not replaced.
func leftAlone(v *verdict, _ *Configuration) turn { return hold(strings.Join(v.left, "; ")) }

// replaceable returns the seats whose outdated pods are not ending yet. A pod that ends while no pod is missing is in
// a seat that no node needs.
func (v *verdict) replaceable() []*Seat {
	return slices.DeleteFunc(slices.Clone(v.old), func(seat *Seat) bool { return seat.Pod.DeletionTimestamp != nil })
}

// firstOutdated returns the first member for which a predicate holds and whose outdated pod may be replaced, or nil.
func (v *verdict) firstOutdated(holds func(*member) bool) *member {
	for _, seat := range v.replaceable() {
		if m := v.memberIn(seat); holds(m) {
			return m
		}
	}
	return nil
}

// rollable returns the seats whose outdated pods may be replaced if the others are a quorum, and for the others the
// reasons why the operator leaves them alone.
func (s *situation) rollable() (old []*Seat, left []string) {
	for _, seat := range s.outdatedSeats() {
		if why := s.whyAlone(seat); why != "" {
			left = append(left, objects.PodName(s.Cluster.Name, seat.Ordinal)+" is left alone: "+why)
		} else {
			old = append(old, seat)
		}
	}
	return old, left
}

// whyAlone returns why the operator must not end the pod in a seat, or "" if it may.
func (s *situation) whyAlone(seat *Seat) string {
	m := s.memberIn(seat)
	switch {
	case foreign(s.Cluster.Name, seat):
		return foreignPod
	case s.clusterID == "" && s.foreignDisks[seat.Ordinal] != "":
		return "it may be a member of cluster " + shortened(s.foreignDisks[seat.Ordinal])
	case s.claimGoes(seat):
		return fmt.Sprintf("claim %s is being deleted, and the disk would go with the pod", seat.Claim.Name)
	case s.outOfQuorum(seat) != "":
		return ""
	case m == nil, m.health == v1alpha1.HealthUnreachable:
		// Its Kubernetes node may be partitioned away, in which case the operator must not end the pod (trap O19). The
		// liveness probe ends a node that hangs.
		return "it is running, but does not answer"
	}
	return ""
}

// claimGoes reports whether the claim in a seat is being deleted, and only its pod still holds it. No update must end
// that pod, because the disk would be lost with it (trap O9). An empty disk is no loss.
func (s *situation) claimGoes(seat *Seat) bool {
	return seat != nil && seat.Claim != nil && seat.Claim.DeletionTimestamp != nil &&
		(seat.View == nil || seat.View.State != api.StateEmpty)
}

// outOfQuorum returns why the node in a seat takes no part in the consensus, as far as the operator observed, or "" if
// it may take part.
func (s *situation) outOfQuorum(seat *Seat) string {
	switch {
	case !Running(seat.Pod):
		return doesNotRun(seat)
	case seat.View != nil && seat.View.State == api.StateEmpty:
		return "its node is inert"
	case s.clusterID == "" && s.conflict == "" && seat.View == nil && !Ready(seat.Pod):
		return "it does not answer, in a cluster that was never founded"
	}
	return ""
}

// doesNotRun reports that the container in a seat does not run, or returns "". The kubelet's report counts, and not
// the node's own, which may be wrong.
func doesNotRun(seat *Seat) string {
	if Running(seat.Pod) {
		return ""
	}
	return "its container does not run"
}

// deleteFirst deletes the first pod for which there is a reason, and which is not ending yet.
func deleteFirst(old []*Seat, reason func(*Seat) string) Act {
	for _, seat := range old {
		if why := reason(seat); why != "" && seat.Pod.DeletionTimestamp == nil {
			return DeletePod{Target: OnPod(seat.Pod), Why: "its template is outdated, and " + why}
		}
	}
	return nil
}

// replacedAndNotBack returns the member that was replaced last: its pod is of the newest template, but it is not
// healthy. Lost members are not waited for, because they do not recover by themselves.
func (s *situation) replacedAndNotBack() *member {
	for i := range s.members {
		m := &s.members[i]
		if m.health != v1alpha1.HealthHealthy && m.health != v1alpha1.HealthLost &&
			m.seat != nil && !outdated(s.Set, m.seat.Pod) {
			return m
		}
	}
	return nil
}

func evict(m *member) Act {
	return EvictPod{Target: OnPod(m.seat.Pod), Why: "its template is outdated"}
}

func (s *situation) lacks(m *member) string {
	return fmt.Sprintf("%s cannot be replaced: without it %d of %d members would be healthy, and a quorum is %d",
		m.podName(s.Cluster.Name), s.all().left(s.unhealthy(), voters{m.id}), len(s.members), s.quorum())
}
