package controllers

import (
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// status is what the status should say. It comes from the same World as the act, on every path, and holds nothing that
// changes while nothing happens (trap O30).
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

// longestVersion is how much of a version is shown. A node may say anything.
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
	return v1alpha1.RoleUnknown // it says that it leads, but no majority follows
}

// lowestVersion is the lowest version that a member reports, as what all of them can do is what that one can.
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

// olderVersion compares two versions; those that are none by their letters.
func olderVersion(a, b string) bool {
	parsed, errA := version.ParseSemantic(a)
	other, errB := version.ParseSemantic(b)
	if errA != nil || errB != nil {
		return a < b
	}
	return parsed.LessThan(other)
}
