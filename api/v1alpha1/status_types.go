package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RaftClusterStatus is what a cluster was when the operator last looked. It holds nothing that changes with every
// write: no index, no term, no time but those of the conditions.
type RaftClusterStatus struct {
	// observedGeneration is the generation of the spec that this status answers to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// replicas is the number of pods that exist.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`

	// readyReplicas is the number of nodes that are healthy members and serve requests.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas,omitempty"`

	// votingMembers is the number of voters in the configuration of the cluster.
	// +optional
	VotingMembers int32 `json:"votingMembers,omitempty"`

	// selector selects the pods, for the scale subresource.
	// +optional
	Selector string `json:"selector,omitempty"`

	// clusterID is the identity of the cluster, which every message between its nodes and every volume carries. It is
	// set once and never changes.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`

	// image is what the nodes run while spec.image is left out: the last image that every node was brought to; at first
	// the operator's default of the time when the cluster was created.
	// +optional
	Image string `json:"image,omitempty"`

	// templates are the images that the nodes were given, the latest last, each with the revision of the operator's pod
	// template that it runs with: the newest at the time when the cluster was first given that image. An upgrade of the
	// operator does not change it, and going back to an image goes back to its template.
	// +optional
	// +listType=map
	// +listMapKey=image
	// +kubebuilder:validation:MaxItems=16
	Templates []TemplateStatus `json:"templates,omitempty"`

	// version that the nodes report; the lowest while they are being replaced.
	// +optional
	Version string `json:"version,omitempty"`

	// leader is the node that leads, if one is known.
	// +optional
	Leader *LeaderStatus `json:"leader,omitempty"`

	// members are the members of the cluster, in the order of their ids.
	// +optional
	// +listType=map
	// +listMapKey=memberID
	Members []MemberStatus `json:"members,omitempty"`

	// conditions of the cluster: Ready, Bootstrapped, Available, Progressing, Degraded, Paused.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TemplateStatus is an image, and the pod template that it runs with.
type TemplateStatus struct {
	// image of the nodes.
	Image string `json:"image"`
	// revision of the pod template.
	Revision int32 `json:"revision"`
}

// LeaderStatus names the leader.
type LeaderStatus struct {
	// podName is the leader's pod.
	PodName string `json:"podName"`
	// memberID is the leader's member id.
	MemberID int64 `json:"memberID"`
}

// MemberStatus is one member of the cluster. Its identity lies on its volume, not in its pod's name.
type MemberStatus struct {
	// memberID is a positive integer that is never used again in this cluster.
	MemberID int64 `json:"memberID"`
	// podName is the pod that runs this member.
	PodName string `json:"podName"`
	// pvcUID is the UID of the claim on whose volume this member's log lies: another claim of the same name is another
	// disk, and has none of it.
	// +optional
	PVCUID types.UID `json:"pvcUID,omitempty"`
	// role that the member last reported.
	// +optional
	Role MemberRole `json:"role,omitempty"`
	// health of the member.
	// +optional
	Health MemberHealth `json:"health,omitempty"`
}

// MemberRole is the part that a member plays.
//
// +kubebuilder:validation:Enum=Leader;Follower;Candidate;Unknown
type MemberRole string

// The parts that a member can play.
const (
	RoleLeader    MemberRole = "Leader"
	RoleFollower  MemberRole = "Follower"
	RoleCandidate MemberRole = "Candidate"
	RoleUnknown   MemberRole = "Unknown"
)

// MemberHealth says how a member does.
//
// +kubebuilder:validation:Enum=Healthy;Starting;Unhealthy;Unreachable;Lost
type MemberHealth string

// How a member can do.
const (
	// HealthHealthy: it answers, follows the leader or leads, and is not far behind.
	HealthHealthy MemberHealth = "Healthy"
	// HealthStarting: its pod is being made or starts, or it was not told its identity yet.
	HealthStarting MemberHealth = "Starting"
	// HealthUnhealthy: it answers, but knows no leader, or is far behind.
	HealthUnhealthy MemberHealth = "Unhealthy"
	// HealthUnreachable: its pod runs, but it does not answer.
	HealthUnreachable MemberHealth = "Unreachable"
	// HealthLost: its disk is gone. It must not take part under its old identity.
	HealthLost MemberHealth = "Lost"
)
