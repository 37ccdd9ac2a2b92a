package decide

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/client"
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

// roll returns the next act of a rolling update: one pod, the broken ones first, the leader last and after a transfer,
// and a node that votes only while the others hold a quorum without it (traps O14, O15). A pod whose container does not
// run is replaced whatever else is missing: it may be the one that the quorum waits for. Nil, with what it waits for,
// if nothing may be done now.
func (s *situation) roll() (act Act, waitsFor string) {
	old, left := s.rollable()
	if len(old)+len(left) == 0 || !settled(s.Set) {
		return nil, ""
	}
	if act := deleteFirst(old, doesNotRun); act != nil {
		return act, ""
	}
	for i := range s.Seats[:s.wanted()] {
		if pod := s.Seats[i].Pod; pod == nil || pod.DeletionTimestamp != nil {
			return nil, objects.PodName(s.Cluster.Name, s.Seats[i].Ordinal) + " is being replaced"
		}
	}
	if act := deleteFirst(old, s.outOfQuorum); act != nil {
		return act, ""
	}
	// What still ends now has a place that no node needs.
	old = slices.DeleteFunc(old, func(seat *Seat) bool { return seat.Pod.DeletionTimestamp != nil })
	if m := s.replacedAndNotBack(); m != nil {
		return nil, fmt.Sprintf("%s is not healthy yet: %s", m.podName(s.Cluster.Name), m.why)
	}
	if len(old) > 0 {
		act, waitsFor = s.rollVoter(old)
	}
	if act == nil && waitsFor == "" {
		waitsFor = strings.Join(left, "; ")
	}
	return act, waitsFor
}

// rollable lists the seats whose outdated pods may be replaced, if the others can spare them; and says of the rest why
// the operator leaves them alone.
func (s *situation) rollable() (old []*Seat, left []string) {
	for _, seat := range s.outdatedSeats() {
		if why := s.leftAlone(seat); why != "" {
			left = append(left, objects.PodName(s.Cluster.Name, seat.Ordinal)+" is left alone: "+why)
		} else {
			old = append(old, seat)
		}
	}
	return old, left
}

// leftAlone says why the pod in a seat is not for the operator to end; "": it is.
func (s *situation) leftAlone(seat *Seat) string {
	m := s.memberIn(seat)
	switch {
	case foreign(s.Cluster.Name, seat):
		return somebodyElses
	case s.clusterID == "" && s.strangers[seat.Ordinal] != "":
		return "it may be a member of cluster " + shortened(s.strangers[seat.Ordinal])
	case s.claimGoes(seat):
		return fmt.Sprintf("claim %s is being deleted, and the disk would go with the pod", seat.Claim.Name)
	case s.outOfQuorum(seat) != "":
		return ""
	case m == nil, m.health == v1alpha1.HealthUnreachable:
		// Its Kubernetes node may be cut off. Then it is not for the operator to end a pod there (trap O19); and a node
		// that hangs is ended by its liveness probe.
		return "it runs, and does not answer"
	}
	return ""
}

// claimGoes tells whether the claim in a seat is being deleted, and is only held by its pod. No update must end that
// pod, because what is on the disk would be lost with it (trap O9). An empty disk is no loss.
func (s *situation) claimGoes(seat *Seat) bool {
	return seat != nil && seat.Claim != nil && seat.Claim.DeletionTimestamp != nil &&
		(seat.View == nil || seat.View.State != client.StateEmpty)
}

// outOfQuorum says why the node in a seat takes no part in the consensus, as far as the operator sees; "": it may take
// part.
func (s *situation) outOfQuorum(seat *Seat) string {
	switch {
	case !Running(seat.Pod):
		return doesNotRun(seat)
	case seat.View != nil && seat.View.State == client.StateEmpty:
		return "its node is inert"
	case s.clusterID == "" && s.conflict == "" && seat.View == nil && !Ready(seat.Pod):
		return "it does not answer, in a cluster that was never begun"
	}
	return ""
}

// doesNotRun says that the container in a seat does not run; "": it does. That is the kubelet's word, and certain: what
// a node says of itself may be wrong.
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

// replacedAndNotBack is a member whose pod is of the newest template, but which is not healthy: the one that was
// replaced last. A lost member is not waited for, as it will not come back by itself.
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

// rollVoter replaces one pod whose node votes: the unhealthy first, then the followers, then the leader.
func (s *situation) rollVoter(old []*Seat) (Act, string) {
	var unhealthy, followers []*member
	for _, seat := range old {
		m := s.memberIn(seat)
		switch {
		case m.health != v1alpha1.HealthHealthy:
			unhealthy = append(unhealthy, m)
		case m != s.leader:
			followers = append(followers, m)
		}
	}
	switch {
	case len(s.members) == 1:
		return evict(&s.members[0]), "" // nobody could take over: the only node is away for a moment
	case s.leader == nil: // whether what the update brings would help, nobody but a person can know
		return nil, "no leader has a majority. If the update is meant to mend that, delete the outdated pods yourself, one " +
			"after the other"
	case len(unhealthy) > 0:
		m := unhealthy[0]
		if others := s.healthyBeside(m); others < s.quorum() {
			return nil, s.lacks(m, others)
		}
		return DeletePod{Target: OnPod(m.seat.Pod), Why: "its template is outdated, and it is not healthy: " + m.why}, ""
	case len(followers) > 0:
		if others := s.healthyBeside(followers[0]); others < s.quorum() {
			return nil, s.lacks(followers[0], others)
		}
		return evict(followers[0]), ""
	}
	return s.rollLeader(old)
}

// rollLeader hands the leadership over. When that has worked, the leader of today is a follower, and is replaced.
func (s *situation) rollLeader(old []*Seat) (Act, string) {
	if !slices.ContainsFunc(old, func(seat *Seat) bool { return s.memberIn(seat) == s.leader }) {
		return nil, ""
	}
	if others := s.healthyBeside(s.leader); others < s.quorum() {
		return nil, s.lacks(s.leader, others)
	}
	var best *member
	for i := range s.members {
		m := &s.members[i]
		if m != s.leader && m.health == v1alpha1.HealthHealthy &&
			(best == nil || m.seat.View.LastLogIndex > best.seat.View.LastLogIndex) {
			best = m
		}
	}
	from := OnPod(s.leader.seat.Pod)
	from.Term = s.leader.seat.View.Term
	return TransferLeadership{Target: from, To: best.id, ToPod: best.seat.Pod.Name}, ""
}

func evict(m *member) Act {
	return EvictPod{Target: OnPod(m.seat.Pod), Why: "its template is outdated"}
}

// memberIn is the member that has a seat; nil: none.
func (s *situation) memberIn(seat *Seat) *member {
	for i := range s.members {
		if s.members[i].seat == seat {
			return &s.members[i]
		}
	}
	return nil
}

// healthyBeside counts the healthy members without one.
func (s *situation) healthyBeside(without *member) int {
	n := 0
	for i := range s.members {
		if m := &s.members[i]; m != without && m.health == v1alpha1.HealthHealthy {
			n++
		}
	}
	return n
}

func (s *situation) lacks(m *member, others int) string {
	return fmt.Sprintf("%s cannot be replaced: without it %d of %d members would be healthy, and a quorum is %d",
		m.podName(s.Cluster.Name), others, len(s.members), s.quorum())
}
