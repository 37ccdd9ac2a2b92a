package controllers

import (
	"cmp"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
)

// The reasons of the conditions Ready and Degraded when the cluster's objects cannot be applied.
const (
	// ReasonObjectConflict: an object whose name the cluster needs belongs to another owner.
	ReasonObjectConflict = "ObjectConflict"
	// ReasonObjectRejected: the API server refuses an object that follows from the spec, or forbids it.
	ReasonObjectRejected = "ObjectRejected"
)

// faultOf returns the reason and the message of a condition for an error of applying that a person must repair, or ""
// if a later pass may succeed.
func faultOf(err error) (reason, message string) {
	_, conflict := errors.AsType[*conflictError](err)
	switch {
	case conflict:
		return ReasonObjectConflict, err.Error()
	case errors.Is(err, actor.ErrNotKept):
		return v1alpha1.ReasonObjectMutated, err.Error()
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err),
		apierrors.IsRequestEntityTooLargeError(err):
		return ReasonObjectRejected, err.Error()
	}
	if failed, ok := errors.AsType[*applyError](err); ok && apierrors.IsInternalError(err) {
		// Its message differs from try to try: it contains ports and times.
		return ReasonObjectRejected, fmt.Sprintf("%s: the API server reports an internal error, as it does if an "+
			"admission webhook does not answer; see the operator's log", failed.doing)
	}
	return "", ""
}

// report adds to the plan's status what prevented the operator from applying, as far as a person must repair it.
func report(plan *decide.Plan, w decide.World, errs []error) {
	reason, messages := "", []string{}
	for _, err := range errs {
		if r, message := faultOf(err); r != "" {
			reason, messages = cmp.Or(reason, r), append(messages, message)
		}
	}
	if reason != "" {
		plan.Report(w, reason, messages)
	}
}
