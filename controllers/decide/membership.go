package decide

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// situation is a World with what the operator concludes from it.
type situation struct {
	World
	// clusterID is the cluster id from the status, the claims or the nodes, or "" if none of them has one.
	clusterID string
	// conflict lists the disks that belong to another cluster than the rest; "" if all agree or a majority settles it.
	conflict string
	// foreignDisks maps the ordinals whose node reports that it is a member of another cluster to that cluster's id.
	// Such an answer is used for nothing else.
	foreignDisks map[int32]string
	Configuration
	operation Operation
}

// member is one member of the configuration, with its seat.
type member struct {
	id      MemberID
	pod     string    // the name of the pod at its address; "": no pod of this cluster has it
	pvcUID  types.UID // of the claim of its volume; "": not known
	seat    *Seat     // nil: nothing was observed under its ordinal
	address api.ConfigMember
	health  v1alpha1.MemberHealth
	why     string // why it is not healthy, for people
	// passing: it answers, and may recover by itself: an election, or a node that catches up.
	passing bool
	// overdue: its pod has been starting, ending or missing for too long.
	overdue bool
}

func (m *member) podName(cluster string) string {
	if m.seat == nil {
		return m.pod
	}
	return objects.PodName(cluster, m.seat.Ordinal)
}

// answer returns the view of the node in the seat if it is a member of a cluster, else nil.
func (s *situation) answer(seat *Seat) *api.ClusterView {
	if seat == nil || seat.View == nil || seat.View.State != api.StateMember {
		return nil
	}
	return seat.View
}

// assess determines the cluster, its members, its leader and the health of each member from a World.
func assess(w World) *situation {
	s := &situation{World: w, operation: operationOf(&w.Cluster.Status)}
	s.rejectForeignAnswers()
	s.findCluster()
	if s.conflict != "" {
		return s
	}
	s.rejectForeignDisks()
	s.findMembers()
	s.findLeader()
	for i := range s.members {
		m := &s.members[i]
		m.health, m.why = s.judge(m)
		m.passing = m.health == v1alpha1.HealthUnhealthy && s.answer(m.seat) != nil &&
			!s.unreadyFor(m.seat.Pod, patience)
		m.overdue = m.health == v1alpha1.HealthStarting && s.overdue(m.seat.Pod)
	}
	return s
}

// ordinalOf returns the ordinal of the pod that a peer URL belongs to.
func (s *situation) ordinalOf(peerURL string) (int32, bool) {
	u, err := url.Parse(peerURL)
	if err != nil {
		return 0, false
	}
	labels := strings.SplitN(u.Hostname(), ".", 4)
	if len(labels) < 3 || labels[1] != objects.PeerServiceName(s.Cluster.Name) || labels[2] != s.Cluster.Namespace {
		return 0, false
	}
	return objects.Ordinal(s.Cluster.Name, labels[0])
}

// findMembers takes the members from the status, else from the nodes, else, if every node has answered and none is a
// member, from the claims.
func (s *situation) findMembers() {
	switch status := s.Cluster.Status.Members; {
	case s.clusterID == "":
		return
	case len(status) > 0:
		for _, m := range status {
			s.addMember(MemberID(m.MemberID), m.PodName, m.PVCUID)
		}
	case s.reportedMembers() != nil:
		for _, m := range s.reportedMembers() {
			podName := "" // at no pod of this cluster, and a member nevertheless: it counts for the quorum
			if ordinal, ok := s.ordinalOf(m.Address); ok {
				podName = objects.PodName(s.Cluster.Name, ordinal)
			}
			s.addMember(MemberID(m.ID), podName, "")
		}
	case s.allAnswered() && !slices.ContainsFunc(s.Seats, func(seat Seat) bool { return s.answer(&seat) != nil }):
		for _, seat := range s.Seats {
			if id, ok := markedAs(seat.Claim); ok && !s.isMember(id) {
				s.addMember(id, objects.PodName(s.Cluster.Name, seat.Ordinal), seat.Claim.UID)
			}
		}
	}
	slices.SortFunc(s.members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	if len(s.members) > 0 {
		s.Knowledge = Stale
	}
}

// allAnswered reports whether every node that should exist has answered.
func (s *situation) allAnswered() bool {
	wanted := s.wanted(&s.Configuration)
	return !slices.ContainsFunc(s.Seats, func(seat Seat) bool { return seat.Ordinal < wanted && seat.View == nil })
}

// markedAs returns the member in the mark of a claim.
func markedAs(claim *corev1.PersistentVolumeClaim) (MemberID, bool) {
	if claim == nil {
		return 0, false
	}
	id, err := strconv.ParseUint(claim.Annotations[v1alpha1.AnnotationMemberID], 10, 63)
	return MemberID(id), err == nil && id > 0
}

// addMember adds a member. If its volume is not known yet, it is the one on which the member was observed.
func (s *situation) addMember(id MemberID, podName string, pvcUID types.UID) {
	m := member{id: id, pod: podName, pvcUID: pvcUID}
	if ordinal, ok := objects.Ordinal(s.Cluster.Name, podName); ok {
		if i := slices.IndexFunc(s.Seats, func(seat Seat) bool { return seat.Ordinal == ordinal }); i >= 0 {
			m.seat = &s.Seats[i]
		}
		m.address = api.ConfigMember{
			ID: uint64(id), Role: api.RoleVoter,
			Address:    objects.PeerURL(s.Cluster.Name, s.Cluster.Namespace, ordinal, s.ClusterDomain),
			APIAddress: objects.APIURL(s.Cluster.Name, s.Cluster.Namespace, ordinal, s.ClusterDomain),
		}
	}
	if m.seat != nil && m.seat.Claim != nil {
		marked, _ := markedAs(m.seat.Claim)
		if view := s.answer(m.seat); marked == id && pvcUID == "" || view != nil && MemberID(view.NodeID) == id {
			m.pvcUID = m.seat.Claim.UID
		}
	}
	s.members = append(s.members, m)
}

// findLeader finds the member that reports that it leads, and that a majority follows in the same term, itself
// included. There is never more than one. A node in a higher term does not count against it: it may be alone there.
func (s *situation) findLeader() {
	for i := range s.members {
		m := &s.members[i]
		if view := s.answer(m.seat); view != nil && MemberID(view.NodeID) == m.id && view.Role == roleLeader &&
			s.survives(s.notFollowing(m.id, view.Term)) {
			s.leader, s.Knowledge = m, Known
			return
		}
	}
}

// notFollowing returns the members that do not report a given leader in a given term.
func (s *situation) notFollowing(leader MemberID, term uint64) voters {
	return s.those(func(m *member) bool {
		view := s.answer(m.seat)
		return view == nil || MemberID(view.NodeID) != m.id || view.Term != term || MemberID(view.LeaderID) != leader
	})
}

// diskLost explains why a member's disk is not the one that it had; it returns "" if that is not certain. A member
// whose disk is lost must never vote again: it may vote twice in a term, and does not have the entries that it
// acknowledged (trap O6). Only the node itself can report that its disk is empty or another's; otherwise the disk is
// lost only if no node can run, because there is no claim to run on. A claim with another UID is no proof: after a
// restore it may be bound to the same volume, and a node that does not answer may still run on its old disk.
func (s *situation) diskLost(m *member) string {
	claim, view := m.seat.Claim, m.seat.View
	if member := s.answer(m.seat); member != nil && MemberID(member.NodeID) == m.id {
		return "" // it has its data, on whichever volume
	}
	name := objects.ClaimName(s.Cluster.Name, m.seat.Ordinal)
	if other := s.foreignDisks[m.seat.Ordinal]; other != "" {
		return fmt.Sprintf("the volume of its claim %s holds a member of another cluster, %s", name, shortened(other))
	}
	if s.claimGone(m) {
		return fmt.Sprintf("its claim %s is gone", name)
	}
	if view == nil || view.State != api.StateEmpty {
		return ""
	}
	return s.whyEmptyIsLost(m, claim, name)
}

// whyEmptyIsLost explains why the empty disk of a member is not its first one, or returns "" if it may be.
func (s *situation) whyEmptyIsLost(m *member, claim *corev1.PersistentVolumeClaim, name string) string {
	_, marked := markedAs(claim)
	switch {
	case claim != nil && m.pvcUID != "" && claim.UID != m.pvcUID:
		return fmt.Sprintf("its claim %s was replaced by a new one", name)
	case marked || s.bootstrapped():
		return fmt.Sprintf("the volume of its claim %s is empty", name)
	}
	if witness := s.witness(m.id); witness != "" {
		return fmt.Sprintf("the volume of its claim %s is empty, but %s has seen it store entries or votes", name, witness)
	}
	return ""
}

// claimGone reports whether a member has no claim any more, and no node that may still run on its volume.
func (s *situation) claimGone(m *member) bool {
	mayRun := m.seat.View == nil && m.seat.Pod != nil && Running(m.seat.Pod)
	return m.seat.Claim == nil && (m.pvcUID != "" || s.bootstrapped()) && !mayRun
}

// witness names a node that has seen a member store entries or votes, or returns "".
func (s *situation) witness(id MemberID) string {
	for i := range s.Seats {
		if view := s.answer(&s.Seats[i]); view != nil && MemberID(view.NodeID) != id &&
			slices.Contains(view.SeenMembers, uint64(id)) {
			return objects.PodName(s.Cluster.Name, s.Seats[i].Ordinal)
		}
	}
	return ""
}

// maxMembers is the largest spec.replicas. Pods and claims with higher ordinals belong to no member.
const maxMembers = 7

// wanted is the number of seats that need a pod. A smaller spec.replicas removes no pod from a member, nor from a
// volume that may hold one; while the configuration is not known, it removes none at all (trap O18).
func (s *situation) wanted(c *Configuration) int32 {
	most := s.Cluster.Spec.Replicas
	for i := range s.Seats {
		seat := &s.Seats[i]
		_, marked := markedAs(seat.Claim)
		marked = marked && seat.Ordinal < maxMembers
		if marked || c.memberIn(seat) != nil || c.Knowledge != Known && s.hasPod(seat) {
			most = max(most, seat.Ordinal+1)
		}
	}
	return most
}

// hasPod reports whether a seat has a pod of the cluster, or the StatefulSet as it is creates one.
func (s *situation) hasPod(seat *Seat) bool {
	if s.Set != nil && s.Set.Spec.Replicas != nil && seat.Ordinal < *s.Set.Spec.Replicas {
		return true
	}
	return seat.Pod != nil && seat.Ordinal < maxMembers && !foreign(s.Cluster.Name, seat)
}
