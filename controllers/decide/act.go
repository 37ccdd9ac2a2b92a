package decide

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Act is one change to the cluster. Its String method describes the act for the log.
type Act interface {
	fmt.Stringer
	// On returns the target of the act, with the preconditions that must still hold for it.
	On() Target
	// Class returns the risk class of the act.
	Class() Class
}

// Class is the risk class of an act.
type Class int

const (
	// Record is an act that records what a node reported. If the API server refuses it, the other acts go on.
	Record Class = iota
	// Structural is an act that changes the members or the number of pods.
	Structural
	// Disruptive is an act that stops a node, or leaves the cluster without a leader for a moment.
	Disruptive
)

// The kinds of targets.
const (
	KindPod   = "Pod"
	KindClaim = "PersistentVolumeClaim"
)

// Target is the object that an act changes, with the preconditions of the act.
type Target struct {
	Kind string
	Name string
	Preconditions
}

// Preconditions are what must still hold for a target when the act is carried out. An empty field is no condition.
type Preconditions struct {
	UID             types.UID
	ResourceVersion string
	// Address is the IP address at which the node answered. The request of the act goes there.
	Address string
	// Term is the term in which the node leads. The node refuses the request in any other term.
	Term uint64
}

// On implements Act for every act that embeds its target.
func (t Target) On() Target { return t }

// OnPod returns a pod as a target: only the pod that was observed, at the address that it had.
func OnPod(pod *corev1.Pod) Target {
	return Target{KindPod, pod.Name, Preconditions{UID: pod.UID, Address: pod.Status.PodIP}}
}

// OnClaim returns a claim as a target: only the claim that was observed, in the observed version.
func OnClaim(claim *corev1.PersistentVolumeClaim) Target {
	return Target{KindClaim, claim.Name, Preconditions{UID: claim.UID, ResourceVersion: claim.ResourceVersion}}
}

// BootstrapNode gives an empty node its identity, once.
type BootstrapNode struct {
	Target
	Request api.BootstrapRequest
}

// MarkClaim annotates the claim of a member's volume with the cluster and the member whose data it holds.
type MarkClaim struct {
	Target
	ClusterID string
	MemberID  MemberID
}

// LabelPod labels a pod with whether its node has an identity. The Service of the dashboard selects by that label.
type LabelPod struct {
	Target
	State string // v1alpha1.StateMember or v1alpha1.StateEmpty
}

// TransferLeadership asks the leader, its target, to transfer leadership to another member before its pod is replaced.
type TransferLeadership struct {
	Target
	To    MemberID
	ToPod string
}

// EvictPod replaces the pod of a healthy node through the eviction API, so that drains and updates share one budget.
type EvictPod struct {
	Target
	Why string
}

// DeletePod replaces the pod of a broken node. Such a pod does not count for the disruption budget, but the budget
// would refuse its eviction.
type DeletePod struct {
	Target
	Why string
}

func (a BootstrapNode) String() string {
	return fmt.Sprintf("bootstrap %s: member %d of cluster %s", a.Name, a.Request.NodeID, a.Request.ClusterID)
}

func (a MarkClaim) String() string {
	return fmt.Sprintf("mark claim %s: it holds member %d of cluster %s", a.Name, a.MemberID, a.ClusterID)
}

func (a LabelPod) String() string {
	return fmt.Sprintf("label pod %s: its node is %s", a.Name, a.State)
}

func (a TransferLeadership) String() string {
	return fmt.Sprintf("transfer leadership from %s to %s", a.Name, a.ToPod)
}

func (a EvictPod) String() string { return fmt.Sprintf("evict %s: %s", a.Name, a.Why) }

func (a DeletePod) String() string { return fmt.Sprintf("delete %s: %s", a.Name, a.Why) }

// Class implements Act.
func (BootstrapNode) Class() Class { return Structural }

// Class implements Act.
func (MarkClaim) Class() Class { return Record }

// Class implements Act.
func (LabelPod) Class() Class { return Record }

// Class implements Act.
func (TransferLeadership) Class() Class { return Disruptive }

// Class implements Act.
func (EvictPod) Class() Class { return Disruptive }

// Class implements Act.
func (DeletePod) Class() Class { return Disruptive }
