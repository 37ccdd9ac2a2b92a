package decide_test

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// checkPaused: spec.paused is in force immediately, even if the operator's cache does not have it yet.
func (s *randomRun) checkPaused() string {
	if s.cluster.Spec.Paused {
		return "the cluster is paused"
	}
	return ""
}

// checkBootstrap: no identity is given again if its first use counted for anything, none is given once all were, and
// no second cluster is founded beside one that has a disk.
func (s *randomRun) checkBootstrap(ordinal int32, request api.BootstrapRequest) string {
	claim := s.claims[ordinal]
	key := identity(request.ClusterID, request.NodeID)
	switch before, ok := s.given[key]; {
	case ok && before != claim.UID && !s.forgotten: // otherwise only its own acts show that there was another
		return "an identity is given a second time, to another disk"
	case claim.Annotations[v1alpha1.AnnotationMemberID] != "":
		return "an identity is given a second time, to a disk that was wiped"
	case s.acted[key] && !s.tampered:
		return "an identity is given a second time, though its votes or acknowledgements have counted"
	case s.condition(v1alpha1.ConditionBootstrapped).Status == metav1.ConditionTrue:
		return "an identity is given in a cluster that was whole"
	}
	for other := range s.size() {
		disk := s.disk(other)
		switch {
		case disk == nil || disk.nodeID == 0:
		case slices.Contains(disk.seen, request.NodeID) && other != s.last.liar:
			return "an identity is given a second time, though a node has seen it act"
		case disk.clusterID != request.ClusterID && disk.clusterID != foreignCluster:
			return "a second cluster is founded beside one that has a disk"
		}
	}
	return ""
}

// checkEnd: a member that answers is ended only while the others are a quorum, and while the operator has no other one
// down.
func (s *randomRun) checkEnd(victim int32) string {
	defer s.asSeen()()
	disk, claim := s.disk(victim), s.claims[victim]
	if claim != nil && claim.DeletionTimestamp != nil && disk.nodeID != 0 && s.last.liar != victim {
		return "the claim is removed with the pod, and the disk with it"
	}
	if !s.pods[victim].running || disk == nil || disk.nodeID == 0 || disk.clusterID == foreignCluster {
		return "" // no node ends that takes part in a consensus
	}
	for ordinal, pod := range s.pods {
		if ordinal != victim && pod.terminating && s.ours[ordinal] {
			return "two pods are being replaced at once"
		}
	}
	answers := s.votes(victim) || s.seen(victim).View != nil
	if !answers || len(disk.members) == 1 || s.last.liar == victim {
		return ""
	}
	return s.checkQuorumWithout(victim)
}

// asSeen restores, of the nodes, what no API server reports, as it was when the operator asked them: the operator
// cannot observe what has changed since. The result undoes that.
func (s *randomRun) asSeen() (undo func()) {
	alone, lags := s.alone, s.lags
	s.alone, s.lags = s.last.alone, s.last.lags
	return func() { s.alone, s.lags = alone, lags }
}

// checkQuorumWithout: without the member, there is a quorum of members that vote and have caught up with the leader.
func (s *randomRun) checkQuorumWithout(victim int32) string {
	members := s.disk(victim).members
	others := 0
	for ordinal := range s.size() {
		runs := s.pods[ordinal] != nil && s.pods[ordinal].running && !s.pods[ordinal].terminating
		healthy := s.votes(ordinal) && !s.lags[ordinal]
		// The operator has no other source than a node for that node's progress, even if it reports a false one.
		if ordinal != victim && runs && (healthy || ordinal == s.last.liar && s.disk(ordinal).nodeID != 0) {
			others++
		}
	}
	quorum := len(members)/2 + 1
	if (s.tampered || s.forgotten) && others+1 < quorum {
		return "" // nothing showed that there is a cluster, and it had no quorum to lose
	}
	if others < quorum {
		return fmt.Sprintf("only %d of %d members vote and have caught up without it", others, len(members))
	}
	if len(s.ours) > 0 && !s.ours[victim] {
		return fmt.Sprintf("the pods %v were ended by us and do not run yet", slices.Collect(maps.Keys(s.ours)))
	}
	return ""
}

// seen returns what the operator observed of an ordinal.
func (s *randomRun) seen(ordinal int32) *decide.Seat {
	for i := range s.last.world.Seats {
		if s.last.world.Seats[i].Ordinal == ordinal {
			return &s.last.world.Seats[i]
		}
	}
	return &decide.Seat{}
}

// checkMark: a mark is what the node has reported, and names no other cluster than the run's.
func (s *randomRun) checkMark(name string, annotations map[string]string) string {
	ordinal, _ := objects.ClaimOrdinal(modelName, name)
	view, id := s.seen(ordinal).View, annotations[v1alpha1.AnnotationClusterID]
	switch {
	case view == nil || view.State != api.StateMember || view.ClusterID != id ||
		fmt.Sprint(view.NodeID) != annotations[v1alpha1.AnnotationMemberID]:
		return "a claim is marked with what its node did not report"
	case id == foreignCluster:
		return "a claim is marked with a foreign cluster"
	}
	return ""
}

// checkLabel: the Service of the dashboard selects only members.
func (s *randomRun) checkLabel(ordinal int32, state string) string {
	view := s.seen(ordinal).View
	if state == v1alpha1.StateMember && (view == nil || view.State != api.StateMember) {
		return "a pod is labelled as a member whose node did not report that it is one"
	}
	return ""
}

// checkTransfer: the leader that transfers leadership is the one that was observed, in the same term. The other node
// had caught up with it.
func (s *randomRun) checkTransfer(from, to int32) string {
	switch view := s.seen(from).View; {
	case view == nil || view.Role != "LEADER" || view.Term != s.term:
		return "a leader is asked to transfer leadership in another term than the observed one"
	case s.last.lags[to] && s.last.liar != to:
		return "a leader is asked to transfer leadership to a member that has not caught up"
	}
	return ""
}

// checkDesired: a smaller number of replicas removes no member's pod, and no node receives an image that it was never
// meant to have.
func (s *randomRun) checkDesired(desired *objects.Desired) {
	if desired == nil {
		return
	}
	if !s.images[desired.Image] {
		s.complain(fmt.Sprintf("the image %s is neither the spec's nor one that the nodes ran", desired.Image))
	}
	for ordinal, pod := range s.pods {
		disk := s.disk(ordinal)
		if ordinal >= desired.Replicas && !pod.terminating && disk != nil && disk.nodeID != 0 &&
			disk.clusterID != foreignCluster {
			s.complain(fmt.Sprintf("a StatefulSet of %d takes the pod of a member, %s", desired.Replicas, podName(ordinal)))
		}
	}
}

// checkStatus: the status reports only what the observation shows.
func (s *randomRun) checkStatus(plan *decide.Plan) {
	status, before := &plan.Status, &s.last.world.Cluster.Status
	if status.ClusterID == foreignCluster {
		s.complain("a foreign cluster is adopted")
	}
	if before.ClusterID != "" && status.ClusterID != before.ClusterID {
		s.complain("the cluster id in the status changes")
	}
	if before.ClusterID == "" && status.ClusterID != "" && plan.Act != nil {
		s.complain(fmt.Sprintf("%v, before the intent is in the status", plan.Act))
	}
	ready, available := condition(*plan, v1alpha1.ConditionReady), condition(*plan, v1alpha1.ConditionAvailable)
	if isTrue(before, v1alpha1.ConditionBootstrapped) && !isTrue(status, v1alpha1.ConditionBootstrapped) {
		s.complain("a cluster that was whole is not bootstrapped any more")
	}
	settled := available.Reason != v1alpha1.ReasonSplitBrain // otherwise the members are those of before
	if settled && status.Leader != nil && s.followersOf(status.Leader.MemberID) < len(status.Members)/2+1 {
		s.complain(fmt.Sprintf("member %d leads, and no majority follows it", status.Leader.MemberID))
	}
	healthy := 0
	for _, m := range status.Members {
		seat := s.seen(ordinalOf(m.PodName))
		if m.Health == v1alpha1.HealthHealthy {
			healthy++
			if s.last.lags[seat.Ordinal] && s.last.liar != seat.Ordinal && settled {
				s.complain(m.PodName + " has not caught up, and counts as healthy")
			}
		}
		mayRun := seat.Claim != nil || seat.Pod != nil && seat.Pod.Status.PodIP != ""
		if settled && m.Health == v1alpha1.HealthLost && m.PodName != "" && seat.View == nil && mayRun {
			s.complain(m.PodName + " does not answer, and counts as lost")
		}
	}
	if ready.Status == metav1.ConditionTrue && (healthy < len(status.Members) || status.Leader == nil) {
		s.complain("it is ready, and not all members are healthy")
	}
	if spec := &s.last.world.Cluster.Spec; ready.Status == metav1.ConditionTrue && spec.Image != "" &&
		s.last.world.Set.Spec.Template.Spec.Containers[0].Image != spec.Image {
		s.complain("it is ready, and the image of the spec is another")
	}
	if available.Reason == v1alpha1.ReasonQuorumHealthy && healthy < len(status.Members) {
		s.complain("every member is reported as healthy, and is not")
	}
}

func isTrue(status *v1alpha1.RaftClusterStatus, kind string) bool {
	return slices.ContainsFunc(status.Conditions, func(c metav1.Condition) bool {
		return c.Type == kind && c.Status == metav1.ConditionTrue
	})
}

// followersOf counts the seats whose node reports that a member leads, in the term in which most do.
func (s *randomRun) followersOf(id int64) int {
	in := map[uint64]map[uint64]bool{}
	for i := range s.last.world.Seats {
		view := s.last.world.Seats[i].View
		if view != nil && view.State == api.StateMember && view.LeaderID == uint64(id) {
			if in[view.Term] == nil {
				in[view.Term] = map[uint64]bool{}
			}
			in[view.Term][view.NodeID] = true
		}
	}
	most := 0
	for _, who := range in {
		most = max(most, len(who))
	}
	return most
}
