package actor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// unchanged asks the API server whether all that the decision was based on is still so. The cache may not have seen yet
// that the last act took a pod away, or that a drain did: then this would be the second disruption at once (trap O29).
// An identity must not be given to a node whose volume was exchanged meanwhile either (trap O6).
func (a *Actor) unchanged(ctx context.Context, w decide.World) error {
	cluster := &v1alpha1.RaftCluster{}
	if err := a.read(ctx, w, w.Cluster.Name, cluster); err != nil {
		return err
	}
	if cluster.UID != w.Cluster.UID || cluster.ResourceVersion != w.Cluster.ResourceVersion {
		return fmt.Errorf("%w: the RaftCluster", ErrStale)
	}
	if w.Set != nil {
		set := &appsv1.StatefulSet{}
		if err := a.read(ctx, w, w.Set.Name, set); err != nil {
			return err
		}
		if set.UID != w.Set.UID || set.Generation != w.Set.Generation ||
			set.Status.UpdateRevision != w.Set.Status.UpdateRevision {
			return fmt.Errorf("%w: StatefulSet %s", ErrStale, set.Name)
		}
	}
	for i := range w.Seats {
		if err := a.unchangedSeat(ctx, w, &w.Seats[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *Actor) unchangedSeat(ctx context.Context, w decide.World, seat *decide.Seat) error {
	podName, claimName := objects.PodName(w.Cluster.Name, seat.Ordinal), objects.ClaimName(w.Cluster.Name, seat.Ordinal)
	pod, claim := &corev1.Pod{}, &corev1.PersistentVolumeClaim{}
	if err := a.read(ctx, w, podName, pod); err != nil {
		return err
	}
	if err := a.read(ctx, w, claimName, claim); err != nil {
		return err
	}
	if seat.Pod == nil && pod.UID != "" || seat.Pod != nil && !samePod(seat.Pod, pod) {
		return fmt.Errorf("%w: pod %s", ErrStale, podName)
	}
	if seat.Claim == nil && claim.UID != "" || seat.Claim != nil && !sameClaim(seat.Claim, claim) {
		return fmt.Errorf("%w: claim %s", ErrStale, claimName)
	}
	return nil
}

// read reads an object from the API server, and leaves it empty if there is none.
func (a *Actor) read(ctx context.Context, w decide.World, name string, into ctrlclient.Object) error {
	err := a.Live.Get(ctx, types.NamespacedName{Namespace: w.Cluster.Namespace, Name: name}, into)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading %s again before acting: %w", name, err)
	}
	return nil
}

// samePod reports whether two readings of a pod agree in everything that a decision depends on.
func samePod(a, b *corev1.Pod) bool {
	return decide.SameProcess(a, b) && decide.Ready(a) == decide.Ready(b) && decide.Running(a) == decide.Running(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}

// sameClaim is samePod for claims. One that is being deleted meanwhile would go with its pod (trap O9).
func sameClaim(a, b *corev1.PersistentVolumeClaim) bool {
	return a.UID == b.UID && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}

// named is the metadata of a request about a target.
func named(w decide.World, t decide.Target) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: t.Name, Namespace: w.Cluster.Namespace}
}

// preconditions are those of a target as the API server checks them.
func preconditions(t decide.Target) *metav1.Preconditions {
	p := &metav1.Preconditions{UID: &t.UID}
	if t.ResourceVersion != "" {
		p.ResourceVersion = &t.ResourceVersion
	}
	return p
}

// patch writes labels or annotations of a target, if its preconditions hold, and reads what came of it into an object.
// A patch never makes an object.
func (a *Actor) patch(
	ctx context.Context, into ctrlclient.Object, t decide.Target, field string, entries map[string]string,
) error {
	p := preconditions(t)
	metadata := map[string]any{"uid": p.UID, field: entries}
	if p.ResourceVersion != nil {
		metadata["resourceVersion"] = p.ResourceVersion
	}
	text, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	return a.Kube.Patch(ctx, into, ctrlclient.RawPatch(types.MergePatchType, text),
		ctrlclient.FieldOwner(objects.FieldOwner))
}

// staleIfGone returns ErrStale for the answers to a request for an object that is not the observed one.
func staleIfGone(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), isUIDRefusal(err):
		return fmt.Errorf("%w: %s: %w", ErrStale, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isUIDRefusal reports whether the API server refused a patch because the object has another UID: it calls the field
// immutable.
func isUIDRefusal(err error) bool {
	isUID := func(c metav1.StatusCause) bool { return c.Field == "metadata.uid" }
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsInvalid(err) && status.ErrStatus.Details != nil &&
		slices.ContainsFunc(status.ErrStatus.Details.Causes, isUID)
}
