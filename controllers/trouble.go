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
	case errors.Is(err, actor.ErrNotKept):
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

// report puts into the plan what kept the operator from applying, as far as people must mend it.
func report(plan *decide.Plan, w decide.World, errs []error) {
	reason, messages := "", []string{}
	for _, err := range errs {
		if r, message := troubleOf(err); r != "" {
			reason, messages = cmp.Or(reason, r), append(messages, message)
		}
	}
	if reason != "" {
		plan.Report(w, reason, messages)
	}
}
