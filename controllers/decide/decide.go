package decide

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// The intervals between passes when no watched object changes: the operator polls the nodes.
const (
	lookAgainSteady = 10 * time.Second
	lookAgainBusy   = time.Second
)

// Next returns the plan that follows from an observed World. It is a pure function: the same World always yields the
// same Plan. A Plan that was carried out only in part shows in the next World (trap O32).
func Next(w World) Plan {
	if w.Cluster.DeletionTimestamp != nil {
		return Plan{Status: w.Cluster.Status} // the owner references delete the objects of the cluster
	}
	s := assess(w)
	v := verdict{situation: s, latched: s.latchedImage()}
	v.image = cmp.Or(w.Cluster.Spec.Image, v.latched)
	v.template = templateOf(w, v.image)
	adopts := w.Cluster.Spec.Paused && w.Cluster.Status.ClusterID == "" && s.clusterID != ""
	v.pending = adopts || v.unfinished()
	v.old, v.left = s.rollable()
	v.walk()
	plan := Plan{Act: v.act, Status: v.status(), RequeueAfter: lookAgainSteady}
	if v.applies() {
		plan.Desired = v.desired()
	}
	if v.act != nil || v.busy() {
		plan.RequeueAfter = lookAgainBusy
	}
	plan.Events = transitions(&w.Cluster.Status, &plan.Status)
	return plan
}

// verdict is a situation with the decisions about it.
type verdict struct {
	*situation
	// latched is the image for a spec that names none, image the one that the nodes should run, and template the
	// revision of the pod template that it runs with.
	latched, image string
	template       int32
	// pending: a part of the spec is not carried out yet.
	pending bool
	// old are the seats whose outdated pods may be replaced; left explains why the others are left alone.
	old  []*Seat
	left []string
	// reason is the reason of the condition Progressing.
	reason string
	act    Act
	// waitsFor is what the next act waits for, or "".
	waitsFor string
}

// latchedImage is the image for a spec that names none: the last one that every node was brought to, so that removing
// the image from the spec does not restore an older one. At first it is the operator's default from the time when the
// cluster was created. So an upgrade of the operator restarts no node, and removing an image that does not work from
// the spec undoes that update. If the status was lost, the running image replaces it.
func (s *situation) latchedImage() string {
	if image := s.rolledOut(); image != "" && !s.Cluster.Spec.Paused {
		return image
	}
	return cmp.Or(s.Cluster.Status.Image, s.runningImage(), s.NodeImage)
}

// rolledOut returns the image of the StatefulSet if every node runs it and the cluster works with it, else "".
func (s *situation) rolledOut() string {
	if s.Knowledge != Known || !settled(s.Set) || len(s.outdatedSeats()) > 0 {
		return ""
	}
	for i := range s.members {
		if health := s.members[i].health; health != v1alpha1.HealthHealthy && health != v1alpha1.HealthLost {
			return ""
		}
	}
	return setImage(s.Set)
}

// runningImage returns the image of a pod that is not at the newest template yet, or else the StatefulSet's, or, if
// there is none, that of a pod that it left behind; "" if there is none. A pod that still has a controller then is
// deleted with it.
func (s *situation) runningImage() string {
	for _, seat := range s.outdatedSeats() {
		owner := metav1.GetControllerOf(seat.Pod)
		if Running(seat.Pod) && !foreign(s.Cluster.Name, seat) && (owner == nil || owner.UID == s.Set.UID) {
			return imageOf(seat.Pod)
		}
	}
	if image := setImage(s.Set); image != "" {
		return image
	}
	for i := range s.Seats {
		pod := s.Seats[i].Pod
		if pod != nil && !foreign(s.Cluster.Name, &s.Seats[i]) && Running(pod) && metav1.GetControllerOf(pod) == nil {
			return imageOf(pod)
		}
	}
	return ""
}

// applies reports whether the operator applies the desired objects. An operator that does not support the cluster's
// pod template leaves them as a newer one applied them.
func (v *verdict) applies() bool {
	return !v.Cluster.Spec.Paused && v.conflict == "" && v.makesTemplate()
}

// desired returns the desired objects.
func (v *verdict) desired() *objects.Desired {
	replicas := v.wanted(&v.Configuration)
	return &objects.Desired{
		Cluster: v.Cluster, Image: v.image, Templates: v.Templates, Template: v.template, Replicas: replicas,
		Quorum: drainQuorum(len(v.members), replicas), ClusterDomain: v.ClusterDomain,
	}
}

// unfinished reports whether a part of the spec is not carried out yet. A StatefulSet that was applied but does not
// keep its fields is not waited for. Other objects count only while the cluster is paused: otherwise this pass applies
// them.
func (v *verdict) unfinished() bool {
	switch {
	case len(v.outdatedSeats()) > 0:
		return true
	case v.setMutated():
		return false
	case !settled(v.Set):
		return true
	case !v.makesTemplate():
		return false
	}
	desired := *v.desired()
	return slices.ContainsFunc(objects.All(desired), func(o objects.Object) bool {
		if o.Kind == "StatefulSet" {
			return !objects.Applied(o.Config, v.Set)
		}
		return v.Others != nil && !objects.Applied(o.Config, v.Others[o.Ref.String()])
	}) || slices.ContainsFunc(objects.Unwanted(desired), func(ref objects.Ref) bool {
		return v.Others[ref.String()] != nil
	})
}

// setMutated reports whether the StatefulSet is known not to keep its applied fields.
func (v *verdict) setMutated() bool {
	return slices.ContainsFunc(v.Mutations, func(m Mutation) bool { return m.Ref.Kind == "StatefulSet" })
}

// busy reports whether to requeue soon: something is in progress, or may recover soon. A lost member does not recover.
func (v *verdict) busy() bool {
	settledMembers := v.count(v1alpha1.HealthHealthy) + v.count(v1alpha1.HealthLost)
	return !v.Cluster.Spec.Paused && v.conflict == "" &&
		(v.clusterID == "" || v.pending || settledMembers < len(v.members))
}
