package decide

import (
	"slices"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// maxTemplates is how many images a status remembers the pod template of. The CRD allows no more.
const maxTemplates = 16

// templateOf returns the revision of the pod template that an image runs with: that of the time when the cluster was
// first given it. A status that remembers none is new, lost, or from before there was more than one revision; then the
// StatefulSet says which one it has. What neither knows begins with the newest.
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

// makesTemplate reports whether the operator can make the pod template of the cluster. After a downgrade it may not be
// able to.
func (v *verdict) makesTemplate() bool { return v.template <= v.Templates.Newest() }

// latchTemplate remembers with which template the image runs, as the latest. The longest unused is forgotten first.
func (v *verdict) latchTemplate(status *v1alpha1.RaftClusterStatus) {
	latest := v1alpha1.TemplateStatus{Image: v.image, Revision: v.template}
	if n := len(status.Templates); n > 0 && status.Templates[n-1] == latest {
		return
	}
	all := slices.DeleteFunc(status.Templates, func(t v1alpha1.TemplateStatus) bool { return t.Image == v.image })
	all = append(all, latest)
	status.Templates = all[max(0, len(all)-maxTemplates):]
}
