package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// RaftClusterSpec is the desired state of a cluster. Every field is optional.
type RaftClusterSpec struct {
	// replicas is the number of nodes, all of them voters: 1, 3, 5 or 7. Three tolerate the loss of one, five of two,
	// seven of three; one tolerates none. It cannot be changed after creation.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:XValidation:rule="self in [1, 3, 5, 7]",message="spec.replicas must be 1, 3, 5 or 7: an even number of voters survives no more failures than one voter less"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.replicas cannot be changed after creation: this version of the operator does not change the membership of a running cluster"
	Replicas int32 `json:"replicas,omitempty"`

	// image of the nodes. If unset, the operator's default when the cluster was created is used and kept:
	// status.image shows it. An upgrade of the operator does not change it. If it is removed later, the nodes stay on
	// the last image that all of them were updated to.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imagePullPolicy determines when the kubelet pulls the image.
	// +optional
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecrets name the Secrets, in the cluster's namespace, with which the image is pulled.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// raft configures the timing of Raft.
	// +optional
	// +kubebuilder:default={heartbeatPeriodMilliseconds: 100, electionTimeoutMilliseconds: 1000}
	Raft RaftTiming `json:"raft,omitzero"`

	// storage describes the volume of each node.
	// +optional
	// +kubebuilder:default={}
	Storage StorageSpec `json:"storage,omitzero"`

	// resources of each node's container. Set no CPU limit: a throttled leader misses its heartbeats and loses the
	// leadership.
	// +optional
	// +kubebuilder:default={requests: {cpu: "250m", memory: "256Mi"}, limits: {memory: "512Mi"}}
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="spec.resources.claims cannot be used: the pods have no resource claims to refer to"
	Resources corev1.ResourceRequirements `json:"resources,omitzero"`

	// pod describes additions to the pods.
	// +optional
	// +kubebuilder:default={}
	Pod PodSpec `json:"pod,omitzero"`

	// clientService is the Service, named like the cluster, through which clients reach the API.
	// +optional
	// +kubebuilder:default={}
	ClientService ServiceSpec `json:"clientService,omitzero"`

	// dashboard is the Service <name>-dashboard, through which browsers reach the dashboard.
	// +optional
	// +kubebuilder:default={}
	Dashboard DashboardSpec `json:"dashboard,omitzero"`

	// paused stops the operator from changing anything of this cluster; it still updates the status.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// RaftTiming is the timing of Raft.
//
// +kubebuilder:validation:XValidation:rule="self.electionTimeoutMilliseconds >= 10 * self.heartbeatPeriodMilliseconds",message="spec.raft.electionTimeoutMilliseconds must be at least ten times heartbeatPeriodMilliseconds, or one slow heartbeat costs an election"
type RaftTiming struct {
	// heartbeatPeriodMilliseconds is the leader heartbeat interval, in milliseconds.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=5000
	HeartbeatPeriodMilliseconds int32 `json:"heartbeatPeriodMilliseconds,omitempty"`

	// electionTimeoutMilliseconds is the minimum election timeout, in milliseconds: a follower without a leader
	// campaigns after a random time between this and twice this.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=500
	// +kubebuilder:validation:Maximum=60000
	ElectionTimeoutMilliseconds int32 `json:"electionTimeoutMilliseconds,omitempty"`
}

// StorageSpec describes one node's volume.
//
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="spec.storage.storageClassName cannot be changed after creation: the volumes exist already"
type StorageSpec struct {
	// size of the volume. It cannot be changed after creation.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('16Mi')) >= 0",message="spec.storage.size must be at least 16Mi: the log of a node needs room before it is compacted"
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity(string(oldSelf))) == 0",message="spec.storage.size cannot be changed after creation: this version of the operator does not resize volumes"
	Size resource.Quantity `json:"size,omitzero"`

	// storageClassName names the StorageClass. Unset: the default of the Kubernetes cluster; "": no dynamic
	// provisioning. It cannot be changed after creation.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// accessMode of the volume: ReadWriteOnce, or ReadWriteOncePod if the driver supports it. It cannot be changed
	// after creation.
	// +optional
	// +kubebuilder:default=ReadWriteOnce
	// +kubebuilder:validation:Enum=ReadWriteOnce;ReadWriteOncePod
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.storage.accessMode cannot be changed after creation: the volumes exist already"
	AccessMode corev1.PersistentVolumeAccessMode `json:"accessMode,omitempty"`

	// retentionPolicy determines when volumes are deleted.
	// +optional
	// +kubebuilder:default={}
	RetentionPolicy RetentionPolicy `json:"retentionPolicy,omitzero"`
}

// RetentionPolicy determines when volumes are deleted.
type RetentionPolicy struct {
	// whenDeleted applies when the RaftCluster is deleted. Retain keeps the volumes, and a RaftCluster of the same
	// name that is created later continues with their data; Delete deletes them.
	// +optional
	// +kubebuilder:default=Retain
	WhenDeleted RetentionType `json:"whenDeleted,omitempty"`
}

// RetentionType is the retention of a volume.
//
// +kubebuilder:validation:Enum=Retain;Delete
type RetentionType string

// The retentions of a volume.
const (
	RetainVolumes RetentionType = "Retain"
	DeleteVolumes RetentionType = "Delete"
)

// PodSpec describes additions to each node's pod. A change replaces the pods one by one.
type PodSpec struct {
	// labels are added to the pods; the operator's own take precedence.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`

	// nodeSelector restricts the pods to Kubernetes nodes with these labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations allow the pods on tainted Kubernetes nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity of the pods. If unset, they prefer Kubernetes nodes without another pod of the same cluster.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints of the pods. If unset, they are spread over zones if possible.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName names the PriorityClass of the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// userAssignment determines how the nodes' user and groups are chosen. Fixed, the default: the operator sets user
	// and group 65532, as in the image. Platform: the pods name none, and the platform assigns them, as OpenShift
	// does with a user of the namespace's range. A Kubernetes that assigns none runs them as the image's user, and
	// the volume must be writable for that user.
	// +optional
	UserAssignment UserAssignment `json:"userAssignment,omitempty"`

	// terminationGracePeriodSeconds is how long a node may take to transfer its leadership and stop, in seconds.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600
	TerminationGracePeriodSeconds int64 `json:"terminationGracePeriodSeconds,omitempty"`
}

// UserAssignment is how the nodes' user and groups are chosen.
//
// +kubebuilder:validation:Enum=Fixed;Platform
type UserAssignment string

// The user assignments.
const (
	UserFixed        UserAssignment = "Fixed"
	UserFromPlatform UserAssignment = "Platform"
)

// ServiceSpec describes the client Service.
type ServiceSpec struct {
	// type of the Service.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`

	// port of the Service.
	// +optional
	// +kubebuilder:default=8080
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// annotations are added to the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// DashboardSpec describes the Service of the dashboard.
type DashboardSpec struct {
	// mode is Enabled, or Disabled for no Service. The nodes serve the dashboard in either case.
	// +optional
	// +kubebuilder:default=Enabled
	Mode DashboardMode `json:"mode,omitempty"`

	// type of the Service.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`

	// port of the Service.
	// +optional
	// +kubebuilder:default=8080
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// annotations are added to the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// DashboardMode enables or disables the Service of the dashboard.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type DashboardMode string

// The modes of the dashboard Service.
const (
	DashboardEnabled  DashboardMode = "Enabled"
	DashboardDisabled DashboardMode = "Disabled"
)
