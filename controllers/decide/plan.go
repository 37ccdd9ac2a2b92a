package decide

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// Plan is the result of a decision: the desired objects, at most one act, the status and the events.
type Plan struct {
	// Desired are the desired objects; nil leaves all objects as they are.
	Desired *objects.Desired
	// Act is the one act of the pass, or nil. It is carried out only in a pass that found every object as desired.
	Act Act
	// Status is written, on every path, if it differs from the observed one.
	Status v1alpha1.RaftClusterStatus
	// Events describe transitions of the status.
	Events []Event
	// RequeueAfter is when the next pass starts if no watched object changes before.
	RequeueAfter time.Duration
}

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
