package decide

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// status returns the status. It is made from the same World as the act, on every path, and contains nothing that
// changes in a steady cluster (trap O30).
func (v *verdict) status() v1alpha1.RaftClusterStatus {
	status := *v.Cluster.Status.DeepCopy()
	status.ObservedGeneration = v.Cluster.Generation
	status.Selector = v1alpha1.LabelCluster + "=" + v.Cluster.Name
	status.Replicas = v.pods()
	status.Image = v.latched
	if v.applies() {
		v.latchTemplate(&status)
	}
	if v.conflict == "" {
		v.setMembers(&status)
	}
	v.setConditions(&status)
	return status
}

// Report adds to the plan's status and events the faults that a person must repair before the objects can be applied.
// A condition that reports them already keeps its times, so that the status does not change from try to try (trap
// O30). The message keeps other faults.
func (p *Plan) Report(w World, reason string, messages []string) {
	status := p.Status.DeepCopy()
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
	if c != nil && c.Status == metav1.ConditionTrue {
		messages = append(messages, c.Message)
	}
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
	} {
		c.Reason, c.Message, c.ObservedGeneration = reason, bounded(strings.Join(messages, "; ")), w.Cluster.Generation
		c.LastTransitionTime = metav1.NewTime(w.Now)
		if was := meta.FindStatusCondition(w.Cluster.Status.Conditions, c.Type); was != nil && was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
		meta.RemoveStatusCondition(&status.Conditions, c.Type)
		status.Conditions = append(status.Conditions, c)
	}
	p.Status = *status
	p.Events = transitions(&w.Cluster.Status, &p.Status)
}

// pods counts the pods that exist.
func (v *verdict) pods() int32 {
	n := int32(0)
	for i := range v.Seats {
		if v.Seats[i].Pod != nil {
			n++
		}
	}
	return n
}

func (v *verdict) setMembers(status *v1alpha1.RaftClusterStatus) {
	if v.Cluster.Spec.Paused && status.ClusterID == "" {
		return // an intent, or an adoption, is a change
	}
	if len(v.members) > 0 { // a cluster id without members would be half an intent
		status.ClusterID = v.clusterID
	}
	status.VotingMembers = int32(len(v.members))
	status.ReadyReplicas = int32(v.serving())
	status.Leader = nil
	if v.leader != nil {
		status.Leader = &v1alpha1.LeaderStatus{PodName: v.leader.podName(v.Cluster.Name), MemberID: int64(v.leader.id)}
	}
	status.Members = nil
	for i := range v.members {
		m := &v.members[i]
		status.Members = append(status.Members, v1alpha1.MemberStatus{
			MemberID: int64(m.id), PodName: m.podName(v.Cluster.Name), PVCUID: m.pvcUID, Role: v.role(m), Health: m.health,
		})
	}
	if version := v.lowestVersion(); version != "" {
		status.Version = cut(version, longestVersion)
	}
}

// longestVersion is the number of characters of a version in the status. A node may report any text.
const longestVersion = 64

func (v *verdict) role(m *member) v1alpha1.MemberRole {
	view := v.answer(m.seat)
	switch {
	case view == nil:
		return v1alpha1.RoleUnknown
	case m == v.leader:
		return v1alpha1.RoleLeader
	case view.Role == roleFollower:
		return v1alpha1.RoleFollower
	case view.Role == roleCandidate:
		return v1alpha1.RoleCandidate
	}
	return v1alpha1.RoleUnknown // it reports that it leads, but no majority follows
}

// lowestVersion returns the lowest version that a member reports, because all members support only what that one does.
func (v *verdict) lowestVersion() string {
	lowest := ""
	for i := range v.members {
		view := v.answer(v.members[i].seat)
		if view != nil && view.Version != "" && (lowest == "" || olderVersion(view.Version, lowest)) {
			lowest = view.Version
		}
	}
	return lowest
}

// olderVersion compares two versions, or as text if they are not versions.
func olderVersion(a, b string) bool {
	parsed, errA := version.ParseSemantic(a)
	other, errB := version.ParseSemantic(b)
	if errA != nil || errB != nil {
		return a < b
	}
	return parsed.LessThan(other)
}
