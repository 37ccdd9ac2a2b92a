package decide

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/node/api"
)

// maxLag is how many entries behind the leader's commit index a member may have applied and still count as caught up.
// The views of one pass are some milliseconds apart, in which a busy cluster commits hundreds.
const maxLag = 5000

// The roles of a ClusterView, as nodes send them.
const (
	roleLeader    = "LEADER"
	roleFollower  = "FOLLOWER"
	roleCandidate = "CANDIDATE"
)

// judge returns the health of a member and, if it is not healthy, the reason.
func (s *situation) judge(m *member) (v1alpha1.MemberHealth, string) {
	switch {
	case m.seat == nil && m.pod != "":
		return v1alpha1.HealthStarting, "its pod does not exist yet"
	case m.seat == nil:
		return v1alpha1.HealthLost, fmt.Sprintf("no pod has the address of member %d", m.id)
	}
	if foreign(s.Cluster.Name, m.seat) {
		return v1alpha1.HealthUnhealthy, foreignPod
	}
	if why := s.diskLost(m); why != "" {
		return v1alpha1.HealthLost, why
	}
	pod, view := m.seat.Pod, m.seat.View
	switch {
	case pod == nil:
		return v1alpha1.HealthStarting, "its pod does not exist yet"
	case pod.DeletionTimestamp != nil:
		return v1alpha1.HealthStarting, s.ending(pod)
	case view == nil:
		return judgeSilent(m.seat)
	case view.State != api.StateMember:
		return v1alpha1.HealthStarting, "it has no identity yet"
	case MemberID(view.NodeID) != m.id:
		return v1alpha1.HealthUnhealthy, fmt.Sprintf("it reports that it is member %d", view.NodeID)
	}
	return s.judgeAnswer(view)
}

func (s *situation) judgeAnswer(view *api.ClusterView) (v1alpha1.MemberHealth, string) {
	switch {
	case s.leader == nil:
		return v1alpha1.HealthUnhealthy, "no leader has a majority"
	case MemberID(view.LeaderID) != s.leader.id || view.Term != s.leader.seat.View.Term:
		return v1alpha1.HealthUnhealthy, fmt.Sprintf("it does not follow the leader, member %d", s.leader.id)
	case !view.Ready:
		return v1alpha1.HealthUnhealthy, "it reports that it is not ready to serve"
	case view.LastApplied+maxLag < s.leader.seat.View.CommitIndex:
		return v1alpha1.HealthUnhealthy, "it is far behind the leader"
	}
	return v1alpha1.HealthHealthy, ""
}

// patience is how long a node that answers may be not ready before it counts as broken.
const patience = 10 * time.Second

// tooLong is how long a pod may be missing, starting or ending before the status reports it. Reading a long log may
// take longer; the member is unavailable in that case, too.
const tooLong = 5 * time.Minute

// unreadyFor reports whether a node has been not ready for longer than a duration. The kubelet's condition counts
// here, because it has a time: the operator itself keeps no state (trap O32). Until the cluster is complete its nodes
// wait for each other, and the bootstrap has a deadline of its own: that time does not count.
func (s *situation) unreadyFor(pod *corev1.Pod, while time.Duration) bool {
	if !s.bootstrapped() || s.Now.Sub(s.operation.Bootstrapped.LastTransitionTime.Time) <= while {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status != corev1.ConditionTrue && s.Now.Sub(c.LastTransitionTime.Time) > while
		}
	}
	return false
}

// overdue reports whether a pod has been starting, ending or missing for too long. A missing pod has no time, but the
// cluster is then not ready, and that has one.
func (s *situation) overdue(pod *corev1.Pod) bool {
	switch {
	case pod == nil:
		since := s.operation.UnreadySince
		return s.bootstrapped() && !since.IsZero() && s.Now.Sub(since) > tooLong &&
			settled(s.Set) && len(s.outdatedSeats()) == 0
	case pod.DeletionTimestamp != nil:
		return s.Now.Sub(pod.DeletionTimestamp.Time) > tooLong
	}
	return s.unreadyFor(pod, tooLong)
}

// ending describes a pod that is being deleted. The operator never forces the deletion: only a person who has access
// to the machine can determine that the node has really stopped (trap O19).
func (s *situation) ending(pod *corev1.Pod) string {
	if !s.overdue(pod) {
		return "its pod is being replaced"
	}
	return fmt.Sprintf("its pod should have ended long ago, but Kubernetes node %s does not report it. If the machine is "+
		"certainly off, taint it: kubectl taint node %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
		pod.Spec.NodeName, pod.Spec.NodeName)
}

// judgeSilent judges a node that did not answer by its pod.
func judgeSilent(seat *Seat) (v1alpha1.MemberHealth, string) {
	if Running(seat.Pod) {
		if why := crashed(seat.Pod); why != "" {
			return v1alpha1.HealthUnhealthy, why
		}
		if !started(seat.Pod) {
			return v1alpha1.HealthStarting, "its pod is starting"
		}
		return v1alpha1.HealthUnreachable, "its pod is running, but the node does not answer: " + seat.Silence
	}
	if why := stuck(seat.Pod); why != "" {
		return v1alpha1.HealthUnhealthy, why
	}
	return v1alpha1.HealthStarting, "its pod is starting"
}
