package decide

import (
	"slices"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// maxTemplates is the number of images whose pod template a status records. The CRD allows no more.
const maxTemplates = 16

// templateOf returns the revision of the pod template that an image runs with: the newest one at the time when the
// cluster first ran the image. A status without records is new, lost, or older than the revisions; then the revision
// on the StatefulSet counts. If neither has one, the image starts with the newest.
func templateOf(w World, image string) int32 {
	known := w.Cluster.Status.Templates
	i := slices.IndexFunc(known, func(t v1alpha1.TemplateStatus) bool { return t.Image == image })
	switch {
	case i >= 0:
		return max(known[i].Revision, 1)
	case len(known) == 0 && w.Set != nil:
		return objects.TemplateOf(w.Set)
	}
	return w.Templates.Newest()
}

// makesTemplate reports whether the operator supports the pod template of the cluster. After a downgrade it may not.
func (v *verdict) makesTemplate() bool { return v.template <= v.Templates.Newest() }

// latchTemplate records as the latest which template the image runs with. The record that was unused for longest is
// removed first.
func (v *verdict) latchTemplate(status *v1alpha1.RaftClusterStatus) {
	latest := v1alpha1.TemplateStatus{Image: v.image, Revision: v.template}
	if n := len(status.Templates); n > 0 && status.Templates[n-1] == latest {
		return
	}
	all := slices.DeleteFunc(status.Templates, func(t v1alpha1.TemplateStatus) bool { return t.Image == v.image })
	all = append(all, latest)
	status.Templates = all[max(0, len(all)-maxTemplates):]
}
