package decide

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// Operation is the operation in progress according to the last status. It is all that one pass keeps of those before
// it (trap O32). The status has no field for it, so it is kept in the conditions: operationOf reads it, and
// setConditions writes the next one.
type Operation struct {
	// Bootstrapped is when every initial member had its identity, or nil.
	Bootstrapped *metav1.Condition
	// Underway: a bootstrap or an update to Generation of the spec has been in progress Since then. Late: it has
	// exceeded its deadline.
	Underway, Late bool
	Generation     int64
	Since          time.Time
	// Serves: the cluster was available. Elects: it has not elected its first leader yet.
	Serves, Elects bool
	// UnreadySince is when the cluster stopped being ready; zero if it is ready, or the time is not known.
	UnreadySince time.Time
}

// operationOf reads the operation in progress from a status.
func operationOf(status *v1alpha1.RaftClusterStatus) Operation {
	var o Operation
	find := func(kind string) metav1.Condition {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
			return *c
		}
		return metav1.Condition{}
	}
	if c := find(v1alpha1.ConditionBootstrapped); c.Status == metav1.ConditionTrue {
		o.Bootstrapped = &c
	}
	c := find(v1alpha1.ConditionProgressing)
	o.Late = c.Status != metav1.ConditionTrue && c.Reason == v1alpha1.ReasonDeadlineExceeded
	o.Underway = c.Status == metav1.ConditionTrue || o.Late
	o.Generation, o.Since = c.ObservedGeneration, c.LastTransitionTime.Time
	c = find(v1alpha1.ConditionAvailable)
	o.Serves, o.Elects = c.Status == metav1.ConditionTrue, c.Reason == v1alpha1.ReasonWaitingForSeed
	if c = find(v1alpha1.ConditionReady); c.Status == metav1.ConditionFalse {
		o.UnreadySince = c.LastTransitionTime.Time
	}
	return o
}

// late reports whether the bootstrap, or the rolling update to a generation, has exceeded its deadline. It stays late
// until the spec changes or it is finished. A late bootstrap does not make the update after it late.
func (o *Operation) late(generation int64, now time.Time) bool {
	switch {
	case !o.Underway || o.Generation != generation:
		return false
	case o.Bootstrapped != nil && o.Since.Before(o.Bootstrapped.LastTransitionTime.Time):
		return now.Sub(o.Bootstrapped.LastTransitionTime.Time) > deadline
	}
	return o.Late || now.Sub(o.Since) > deadline
}
