package controllers

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// The reasons of the conditions Ready and Degraded when the cluster's objects cannot be made what they should be.
const (
	// ReasonObjectConflict: an object whose name the cluster needs belongs to somebody else.
	ReasonObjectConflict = "ObjectConflict"
	// ReasonObjectRejected: the API server refuses an object that follows from the spec, or forbids it.
	ReasonObjectRejected = "ObjectRejected"
)

// troubleOf gives the reason of a condition for an error of applying that people must mend; "": it passes by itself.
func troubleOf(err error) string {
	_, conflict := errors.AsType[*conflictError](err)
	switch {
	case conflict:
		return ReasonObjectConflict
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err):
		return ReasonObjectRejected
	}
	return ""
}

// report puts into the plan's status, and its events, what kept the operator from applying. A condition that says so
// already keeps its times, so that the status does not change from try to try (trap O30).
func (p *Plan) report(w World, err error) {
	reason := troubleOf(err)
	if reason == "" {
		return
	}
	status := p.Status.DeepCopy()
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
	} {
		c.Reason, c.Message, c.ObservedGeneration = reason, bounded(err.Error()), w.Cluster.Generation
		c.LastTransitionTime = metav1.NewTime(w.Now)
		if was := meta.FindStatusCondition(w.Cluster.Status.Conditions, c.Type); was != nil && was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
		meta.RemoveStatusCondition(&status.Conditions, c.Type)
		status.Conditions = append(status.Conditions, c)
	}
	p.Status = *status
	p.Events = transitions(&w.Cluster.Status, &p.Status)
}
