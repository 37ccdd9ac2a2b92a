package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RaftClusterStatus is the last observed state of a cluster. It holds nothing that changes with every write: no
// index, no term, and no time except those of the conditions.
type RaftClusterStatus struct {
	// observedGeneration is the generation of the spec that this status was computed for.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// replicas is the number of existing pods.
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

	// clusterID identifies the cluster; every message between its nodes and every volume carries it. It is set once
	// and never changes.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`

	// image is the image of the nodes while spec.image is unset: the last image that every node was updated to;
	// initially the operator's default when the cluster was created.
	// +optional
	Image string `json:"image,omitempty"`

	// templates are the images that the nodes were given, the latest last, each with the revision of the operator's
	// pod template that it runs with: the newest when the cluster was first given that image. An upgrade of the
	// operator does not change it, and a return to an image returns to its template.
	// +optional
	// +listType=map
	// +listMapKey=image
	// +kubebuilder:validation:MaxItems=16
	Templates []TemplateStatus `json:"templates,omitempty"`

	// version that the nodes report; during an update, the lowest.
	// +optional
	Version string `json:"version,omitempty"`

	// leader is the current leader, if known.
	// +optional
	Leader *LeaderStatus `json:"leader,omitempty"`

	// members are the members of the cluster, in order of their ids.
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

// TemplateStatus is an image and the pod template that it runs with.
type TemplateStatus struct {
	// image of the nodes.
	Image string `json:"image"`
	// revision of the pod template.
	Revision int32 `json:"revision"`
}

// LeaderStatus identifies the leader.
type LeaderStatus struct {
	// podName is the leader's pod.
	PodName string `json:"podName"`
	// memberID is the leader's member id.
	MemberID int64 `json:"memberID"`
}

// MemberStatus is the status of one member of the cluster. Its identity is on its volume, not in its pod's name.
type MemberStatus struct {
	// memberID is a positive integer that is never used again in this cluster.
	MemberID int64 `json:"memberID"`
	// podName is the pod that runs this member.
	PodName string `json:"podName"`
	// pvcUID is the UID of the claim whose volume holds this member's log. Another claim of the same name is another
	// disk, without that log.
	// +optional
	PVCUID types.UID `json:"pvcUID,omitempty"`
	// role that the member last reported.
	// +optional
	Role MemberRole `json:"role,omitempty"`
	// health of the member.
	// +optional
	Health MemberHealth `json:"health,omitempty"`
}

// MemberRole is the role of a member.
//
// +kubebuilder:validation:Enum=Leader;Follower;Candidate;Unknown
type MemberRole string

// The roles of a member.
const (
	RoleLeader    MemberRole = "Leader"
	RoleFollower  MemberRole = "Follower"
	RoleCandidate MemberRole = "Candidate"
	RoleUnknown   MemberRole = "Unknown"
)

// MemberHealth is the health of a member.
//
// +kubebuilder:validation:Enum=Healthy;Starting;Unhealthy;Unreachable;Lost
type MemberHealth string

// The health of a member.
const (
	// HealthHealthy: it answers, follows the leader or leads, and is not far behind.
	HealthHealthy MemberHealth = "Healthy"
	// HealthStarting: its pod is being created or starts, or it has no identity yet.
	HealthStarting MemberHealth = "Starting"
	// HealthUnhealthy: it answers, but has no leader, or is far behind.
	HealthUnhealthy MemberHealth = "Unhealthy"
	// HealthUnreachable: its pod runs, but it does not answer.
	HealthUnreachable MemberHealth = "Unreachable"
	// HealthLost: its disk is lost. It must not take part under its old identity.
	HealthLost MemberHealth = "Lost"
)
