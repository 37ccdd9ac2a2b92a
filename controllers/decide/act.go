package decide

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Act is one change. Its String describes it, for the log.
type Act interface {
	fmt.Stringer
	// On returns what the act is done to, and what must still hold of it then.
	On() Target
	// Class returns what the act may cost.
	Class() Class
}

// Class is what an act may cost.
type Class int

const (
	// Record writes down what a node has reported. Nothing else waits if it is refused.
	Record Class = iota
	// Structural changes who the members are, or how many pods there are.
	Structural
	// Disruptive stops a node, or leaves the cluster without a leader for a moment.
	Disruptive
)

// The kinds of targets.
const (
	KindPod         = "Pod"
	KindClaim       = "PersistentVolumeClaim"
	KindStatefulSet = "StatefulSet"
)

// Target is the object that an act is done to, with the preconditions of the act.
type Target struct {
	Kind string
	Name string
	Preconditions
}

// Preconditions are what must still hold of a target when the act is done. An empty field is no condition.
type Preconditions struct {
	UID             types.UID
	ResourceVersion string
	// Address is the IP address at which the node answered. It is where the act is sent to.
	Address string
	// Term is the term in which the node leads. In another one it refuses.
	Term uint64
}

// On implements Act, for every act that embeds its target.
func (t Target) On() Target { return t }

// OnPod returns a pod as a target: only the pod that was seen, at the address that it had.
func OnPod(pod *corev1.Pod) Target {
	return Target{KindPod, pod.Name, Preconditions{UID: pod.UID, Address: pod.Status.PodIP}}
}

// OnClaim returns a claim as a target: only the claim that was seen, in the version that was seen.
func OnClaim(claim *corev1.PersistentVolumeClaim) Target {
	return Target{KindClaim, claim.Name, Preconditions{UID: claim.UID, ResourceVersion: claim.ResourceVersion}}
}

// BootstrapNode gives an empty node its identity, once.
type BootstrapNode struct {
	Target
	Request api.BootstrapRequest
}

// MarkClaim writes onto the claim of a member's volume which member of which cluster lies there.
type MarkClaim struct {
	Target
	ClusterID string
	MemberID  MemberID
}

// LabelPod writes onto a pod whether its node has an identity, for the Service of the page.
type LabelPod struct {
	Target
	State string // v1alpha1.StateMember or v1alpha1.StateEmpty
}

// TransferLeadership asks the leader, its target, to hand over to another member before its pod is replaced.
type TransferLeadership struct {
	Target
	To    MemberID
	ToPod string
}

// EvictPod replaces the pod of a healthy node, through the eviction API: drains and updates share one budget.
type EvictPod struct {
	Target
	Why string
}

// DeletePod replaces the pod of a node that is broken: it does not count for the budget, but would be held by it.
type DeletePod struct {
	Target
	Why string
}

func (a BootstrapNode) String() string {
	return fmt.Sprintf("give %s its identity: member %d of cluster %s", a.Name, a.Request.NodeID, a.Request.ClusterID)
}

func (a MarkClaim) String() string {
	return fmt.Sprintf("mark claim %s: member %d of cluster %s lies on it", a.Name, a.MemberID, a.ClusterID)
}

func (a LabelPod) String() string {
	return fmt.Sprintf("label pod %s: its node is %s", a.Name, a.State)
}

func (a TransferLeadership) String() string {
	return fmt.Sprintf("hand the leadership from %s to %s", a.Name, a.ToPod)
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
