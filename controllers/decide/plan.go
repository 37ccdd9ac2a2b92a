package decide

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
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
