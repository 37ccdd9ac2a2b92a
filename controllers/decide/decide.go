package decide

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// How soon to look again when nothing happens that would wake the operator: nodes are asked, they do not tell.
const (
	lookAgainSteady = 10 * time.Second
	lookAgainBusy   = time.Second
)

// Next returns the plan that follows from what was seen. It is a pure function: the same World always gives the same
// Plan, and a Plan that was carried out in part is found out from the next World (trap O32).
func Next(w World) Plan {
	if w.Cluster.DeletionTimestamp != nil {
		return Plan{Status: w.Cluster.Status} // what belongs to the cluster goes with it, by owner references
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

// verdict is a situation with what is to be done about it.
type verdict struct {
	*situation
	// latched is the image of a spec that names none, image the one that the nodes should run, and template the revision
	// of the pod template that it runs with.
	latched, image string
	template       int32
	// pending: something of the spec is not yet carried out.
	pending bool
	// old are the seats whose outdated pods may be replaced, and left says why the others are left alone.
	old  []*Seat
	left []string
	// reason is that of Progressing.
	reason string
	act    Act
	// waitsFor says what the next act waits for; "": for nothing.
	waitsFor string
}

// latchedImage is the image of a spec that names none: the last one that every node was brought to, so that an image
// that is taken out of the spec does not go back to an older one; at first the operator's default of the time when the
// cluster was created. An upgrade of the operator restarts no node thereby, and an update that did not work is undone
// by taking it out of the spec. A status that was lost is told anew by what runs.
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

// runningImage returns the image of a pod that is not brought to the newest template yet, or else the StatefulSet's,
// or, where there is none, that of a pod that it left behind; "": there is none. A pod that still has a controller then
// goes with it.
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

// applies reports whether the objects are to be made what they should be. An operator that cannot make the cluster's
// pod template leaves them as a newer one made them.
func (v *verdict) applies() bool {
	return !v.Cluster.Spec.Paused && v.conflict == "" && v.makesTemplate()
}

// desired describes the objects that there should be.
func (v *verdict) desired() *objects.Desired {
	replicas := v.wanted(&v.Configuration)
	return &objects.Desired{
		Cluster: v.Cluster, Image: v.image, Templates: v.Templates, Template: v.template, Replicas: replicas,
		Quorum: drainQuorum(len(v.members), replicas), ClusterDomain: v.ClusterDomain,
	}
}

// unfinished reports whether something of the spec is not yet carried out. A StatefulSet that was applied as it should
// be, but does not stay so, is nothing to wait for. Objects beside it count only while the cluster is paused: else
// they are applied in this pass.
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

// setMutated reports whether the StatefulSet is known not to stay as it is applied.
func (v *verdict) setMutated() bool {
	return slices.ContainsFunc(v.Mutations, func(m Mutation) bool { return m.Ref.Kind == "StatefulSet" })
}

// busy reports whether to look often: something is under way, or may come right soon. A lost member will not.
func (v *verdict) busy() bool {
	settledMembers := v.count(v1alpha1.HealthHealthy) + v.count(v1alpha1.HealthLost)
	return !v.Cluster.Spec.Paused && v.conflict == "" &&
		(v.clusterID == "" || v.pending || settledMembers < len(v.members))
}
