package objects

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
)

// Templates are the revisions of the pod template after the first, each as an amendment of the one before: revision 1
// is firstTemplate, revision 2 is that with the first amendment, and so on. A cluster keeps the revision that it was
// given with its image, so that an upgrade of the operator restarts no pod, and no image gets a flag that it does not
// have.
type Templates []Amendment

// Amendment changes the description of the pod template, for example by one more flag of the node.
type Amendment func(d Desired, template *coreac.PodTemplateSpecApplyConfiguration)

// ReleasedTemplates are the revisions that this release can make. A released revision never changes: a change of the
// template is one more amendment.
func ReleasedTemplates() Templates { return nil }

// Newest is the newest revision.
func (t Templates) Newest() int32 { return int32(len(t)) + 1 }

// TemplateOf returns the revision of the pod template of a StatefulSet. One without the annotation was created before
// there was more than one revision.
func TemplateOf(set metav1.Object) int32 {
	revision, err := strconv.ParseInt(set.GetAnnotations()[AnnotationTemplate], 10, 32)
	if err != nil {
		return 1
	}
	return max(int32(revision), 1)
}
