package v1alpha1

// The types of a RaftCluster's conditions.
const (
	// ConditionReady: every member is healthy and runs what spec describes, as far as the API server's admission
	// allows. `kubectl wait --for=condition=Ready` waits for it.
	ConditionReady = "Ready"
	// ConditionBootstrapped: every initial member has its identity. It never becomes false again.
	ConditionBootstrapped = "Bootstrapped"
	// ConditionAvailable: a quorum serves reads and writes.
	ConditionAvailable = "Available"
	// ConditionProgressing: the operator is about to change something.
	ConditionProgressing = "Progressing"
	// ConditionDegraded: something is broken; the message states what, why, and what to do.
	ConditionDegraded = "Degraded"
	// ConditionPaused: spec.paused is set; the message states whether changes wait.
	ConditionPaused = "Paused"
)

// The reasons of a RaftCluster's conditions.
const (
	// Ready.
	ReasonAllMembersHealthy = "AllMembersHealthy"

	// Bootstrapped, and Progressing until then.
	ReasonBootstrapped  = "Bootstrapped"
	ReasonBootstrapping = "Bootstrapping"
	ReasonAdopted       = "Adopted"

	// Available.
	ReasonQuorumHealthy   = "QuorumHealthy"   // every voter is healthy
	ReasonQuorumAvailable = "QuorumAvailable" // a majority is healthy
	ReasonWaitingForSeed  = "WaitingForSeed"  // not bootstrapped yet, or no leader was elected yet
	ReasonQuorumLost      = "QuorumLost"      // no majority is running, or none of its members leads
	ReasonUnreachable     = "Unreachable"     // too few nodes answer to determine the state
	ReasonSplitBrain      = "SplitBrain"      // disks of different clusters under one name

	// Progressing.
	ReasonRollingUpdate    = "RollingUpdate"
	ReasonReconciled       = "Reconciled"
	ReasonDeadlineExceeded = "DeadlineExceeded"

	// Degraded.
	ReasonMemberUnhealthy  = "MemberUnhealthy"
	ReasonMemberLost       = "MemberLost"
	ReasonNotEnoughMembers = "NotEnoughMembers"
	ReasonObjectMutated    = "ObjectMutated"  // admission, or another writer, changes applied fields; Ready may be true
	ReasonOperatorTooOld   = "OperatorTooOld" // a newer operator created the pod template
	ReasonHealthy          = "Healthy"

	// Paused.
	ReasonPaused    = "Paused"
	ReasonNotPaused = "NotPaused"
)

// Labels and annotations that the operator sets.
const (
	// LabelCluster is on every object of a RaftCluster; its value is the cluster's name.
	LabelCluster = "raft.kontiki.dev/cluster"
	// AnnotationClusterID and AnnotationMemberID are on the claim of a member's volume once the member has its
	// identity: they identify the data on the disk, and remain after the RaftCluster is deleted.
	AnnotationClusterID = "raft.kontiki.dev/cluster-id"
	AnnotationMemberID  = "raft.kontiki.dev/member-id"
	// LabelState is on a pod whose node has answered: StateMember once it has an identity, else StateEmpty. The
	// Service of the dashboard routes to members only.
	LabelState  = "raft.kontiki.dev/state"
	StateMember = "member"
	StateEmpty  = "empty"
)

// AnnotationAdopt makes a RaftCluster adopt the cluster with this id, which its nodes report although neither the
// status nor a claim names it. The administrator sets it. It has an effect only while the status has no id.
const AnnotationAdopt = "raft.kontiki.dev/adopt-cluster-id"
