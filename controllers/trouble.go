package controllers

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

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

// troubleOf returns the reason of a condition for an error of applying that people must mend, and its message; "": it
// passes by itself.
func troubleOf(err error) (reason, message string) {
	_, conflict := errors.AsType[*conflictError](err)
	switch {
	case conflict:
		return ReasonObjectConflict, err.Error()
	case errors.Is(err, errNotKept):
		return v1alpha1.ReasonObjectMutated, err.Error()
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err),
		apierrors.IsRequestEntityTooLargeError(err):
		return ReasonObjectRejected, err.Error()
	}
	if failed, ok := errors.AsType[*applyError](err); ok && apierrors.IsInternalError(err) {
		// Its words differ from try to try: they name ports and times.
		return ReasonObjectRejected, fmt.Sprintf("%s: the API server reports an internal error, as it does if an "+
			"admission webhook does not answer; the operator's log has its words", failed.doing)
	}
	return "", ""
}

// report puts into the plan's status, and its events, what kept the operator from applying. A condition that says so
// already keeps its times, so that the status does not change from try to try (trap O30). What else is broken stays in
// the message.
func (p *Plan) report(w World, errs []error) {
	reason, messages := "", []string{}
	for _, err := range errs {
		if r, message := troubleOf(err); r != "" {
			reason, messages = cmp.Or(reason, r), append(messages, message)
		}
	}
	if reason == "" {
		return
	}
	status := p.Status.DeepCopy()
	c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionDegraded)
	if c != nil && c.Status == metav1.ConditionTrue {
		messages = append(messages, c.Message)
	}
	for _, c := range []metav1.Condition{
		{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
	} {
		c.Reason, c.Message, c.ObservedGeneration = reason, bounded(strings.Join(messages, "; ")), w.Cluster.Generation
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
