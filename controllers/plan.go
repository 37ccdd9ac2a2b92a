package controllers

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// Plan is what follows from a World: objects to apply, at most one act, the status, and what to tell people.
type Plan struct {
	// Desired describes the objects that there should be; nil: leave all objects as they are.
	Desired *objects.Desired
	// Act is the one thing to do; nil: none. It is only done in a pass that found every object as desired.
	Act Act
	// Status is written where it differs from the one that was seen, on every path.
	Status v1alpha1.RaftClusterStatus
	// Events tell of transitions.
	Events []Event
	// RequeueAfter is when to look again, if nothing happens before.
	RequeueAfter time.Duration
}

// Act is one change that applying objects cannot make. Its String says what it does, for the log.
type Act interface {
	fmt.Stringer
	// Disruptive tells whether a node stops, or may stop, serving because of it.
	Disruptive() bool
}

// BootstrapNode gives an empty node its identity, once.
type BootstrapNode struct {
	PodName string
	PodIP   string
	Request api.BootstrapRequest
}

// MarkClaim writes onto the claim of a member's volume which member of which cluster lies there.
type MarkClaim struct {
	Name      string
	UID       types.UID
	ClusterID string
	MemberID  uint64
}

// LabelPod writes onto a pod whether its node has an identity, for the Service of the page.
type LabelPod struct {
	Name  string
	UID   types.UID
	State string // v1alpha1.StateMember or v1alpha1.StateEmpty
}

// TransferLeadership asks the leader to hand over to another member, before its pod is replaced.
type TransferLeadership struct {
	PodName string // the leader's
	PodIP   string
	Term    uint64 // in which it leads; in another one it refuses
	To      uint64
	ToPod   string
}

// EvictPod replaces the pod of a healthy node, through the eviction API: drains and updates share one budget.
type EvictPod struct {
	Name string
	UID  types.UID
	Why  string
}

// DeletePod replaces the pod of a node that is broken: it does not count for the budget, but would be held by it.
type DeletePod struct {
	Name string
	UID  types.UID
	Why  string
}

func (a BootstrapNode) String() string {
	return fmt.Sprintf("give %s its identity: member %d of cluster %s", a.PodName, a.Request.NodeID, a.Request.ClusterID)
}

func (a MarkClaim) String() string {
	return fmt.Sprintf("mark claim %s: member %d of cluster %s lies on it", a.Name, a.MemberID, a.ClusterID)
}

func (a LabelPod) String() string {
	return fmt.Sprintf("label pod %s: its node is %s", a.Name, a.State)
}

func (a TransferLeadership) String() string {
	return fmt.Sprintf("hand the leadership from %s to %s", a.PodName, a.ToPod)
}

func (a EvictPod) String() string { return fmt.Sprintf("evict %s: %s", a.Name, a.Why) }

func (a DeletePod) String() string { return fmt.Sprintf("delete %s: %s", a.Name, a.Why) }

// Disruptive implements Act.
func (BootstrapNode) Disruptive() bool { return false }

// Disruptive implements Act.
func (MarkClaim) Disruptive() bool { return false }

// Disruptive implements Act.
func (LabelPod) Disruptive() bool { return false }

// Disruptive implements Act. The cluster has no leader for a moment.
func (TransferLeadership) Disruptive() bool { return true }

// Disruptive implements Act.
func (EvictPod) Disruptive() bool { return true }

// Disruptive implements Act.
func (DeletePod) Disruptive() bool { return true }

// Event is one line for `kubectl describe`.
type Event struct {
	Type    string // corev1.EventTypeNormal or corev1.EventTypeWarning
	Reason  string
	Message string
}

func normal(reason, format string, values ...any) Event {
	return Event{Type: corev1.EventTypeNormal, Reason: reason, Message: fmt.Sprintf(format, values...)}
}

func warning(reason, format string, values ...any) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: reason, Message: fmt.Sprintf(format, values...)}
}
