package v1alpha1

// The types of a RaftCluster's conditions.
const (
	// ConditionReady: every member is healthy and runs what spec says, as far as the API server's admission leaves it so.
	// `kubectl wait --for=condition=Ready` waits for it.
	ConditionReady = "Ready"
	// ConditionBootstrapped: every initial member was told its identity. It never becomes false again.
	ConditionBootstrapped = "Bootstrapped"
	// ConditionAvailable: a quorum serves reads and writes.
	ConditionAvailable = "Available"
	// ConditionProgressing: the operator is about to change something.
	ConditionProgressing = "Progressing"
	// ConditionDegraded: something is broken; the message says what, why, and what to do.
	ConditionDegraded = "Degraded"
	// ConditionPaused: spec.paused is set; the message says whether changes wait.
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
	ReasonQuorumAvailable = "QuorumAvailable" // a majority is
	ReasonWaitingForSeed  = "WaitingForSeed"  // not bootstrapped yet, or the first leader is not elected yet
	ReasonQuorumLost      = "QuorumLost"      // no majority is up, or none of its members leads
	ReasonUnreachable     = "Unreachable"     // too few nodes answer to tell
	ReasonSplitBrain      = "SplitBrain"      // disks of different clusters under one name

	// Progressing.
	ReasonRollingUpdate    = "RollingUpdate"
	ReasonReconciled       = "Reconciled"
	ReasonDeadlineExceeded = "DeadlineExceeded"

	// Degraded.
	ReasonMemberUnhealthy  = "MemberUnhealthy"
	ReasonMemberLost       = "MemberLost"
	ReasonNotEnoughMembers = "NotEnoughMembers"
	ReasonObjectMutated    = "ObjectMutated"  // admission, or another writer, changes what is applied; Ready may be true
	ReasonOperatorTooOld   = "OperatorTooOld" // a newer operator made the pod template
	ReasonHealthy          = "Healthy"

	// Paused.
	ReasonPaused    = "Paused"
	ReasonNotPaused = "NotPaused"
)

// Labels and annotations that the operator sets.
const (
	// LabelCluster is on everything that belongs to a RaftCluster; its value is the cluster's name.
	LabelCluster = "raft.kontiki.dev/cluster"
	// AnnotationClusterID and AnnotationMemberID are on the claim of a member's volume once the member has its identity:
	// they tell what lies on the disk, and outlive the RaftCluster.
	AnnotationClusterID = "raft.kontiki.dev/cluster-id"
	AnnotationMemberID  = "raft.kontiki.dev/member-id"
	// LabelState is on a pod whose node has answered: StateMember once it has an identity, else StateEmpty. The Service
	// of the page leads to members only.
	LabelState  = "raft.kontiki.dev/state"
	StateMember = "member"
	StateEmpty  = "empty"
)

// AnnotationAdopt is on a RaftCluster whose administrator wants it to take over the cluster with this id, which its
// nodes report although neither the status nor the mark of a claim names it. It counts only while the status has no id.
const AnnotationAdopt = "raft.kontiki.dev/adopt-cluster-id"
