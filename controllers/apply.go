package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// FieldOwner is the name under which the operator owns the fields that it applies.
const FieldOwner = "kontiki-operator"

// conflictError says that an object whose name the cluster needs belongs to somebody else.
type conflictError struct {
	ref   objects.Ref
	owner string
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("%s exists already and belongs to %s: delete it, or give the RaftCluster another name",
		e.ref, e.owner)
}

// applier makes the objects of a cluster what they should be.
type applier struct {
	cached ctrlclient.Client
	live   ctrlclient.Reader
}

// apply applies what differs, and deletes what must not exist. It reports whether any object was not as desired: then
// what was observed is of the past already. It stops at the first error, because the order counts (trap O20).
func (a *applier) apply(ctx context.Context, d objects.Desired) (changed bool, err error) {
	for _, object := range objects.All(d) {
		one, err := a.applyOne(ctx, d.Cluster, object)
		changed = changed || one
		if err != nil {
			return changed, err
		}
	}
	for _, ref := range objects.Unwanted(d) {
		one, err := a.remove(ctx, d.Cluster, ref)
		changed = changed || one
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (a *applier) applyOne(ctx context.Context, cluster *v1alpha1.RaftCluster, o objects.Object) (bool, error) {
	found, err := a.find(ctx, cluster, o.Ref)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", o.Ref, err)
	}
	if found != nil {
		if orphaned(cluster, found) || found.GetDeletionTimestamp() != nil {
			return true, nil // it goes; when it has gone, it is made anew
		}
		if err := takeable(cluster, o.Ref, found); err != nil {
			return false, err
		}
		if !objects.Differs(o.Config, found) {
			return false, nil
		}
	}
	if err := a.write(ctx, o, found); err != nil {
		return false, fmt.Errorf("applying %s: %w", o.Ref, err)
	}
	log.FromContext(ctx).Info("applied "+o.Ref.String(), "created", found == nil)
	return true, nil
}

// write sends one server-side apply. What exists must still be the object that was seen, or the request is refused.
// What does not exist yet is not forced: if somebody else makes such an object now, their fields stay theirs.
func (a *applier) write(ctx context.Context, o objects.Object, found ctrlclient.Object) error {
	text, err := json.Marshal(o.Config)
	if err != nil {
		return err
	}
	config := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &config.Object); err != nil {
		return err
	}
	options := []ctrlclient.ApplyOption{ctrlclient.FieldOwner(FieldOwner)}
	if found != nil {
		config.SetUID(found.GetUID())
		options = append(options, ctrlclient.ForceOwnership)
	}
	return a.cached.Apply(ctx, ctrlclient.ApplyConfigurationFromUnstructured(config), options...)
}

// find reads an object; nil: there is none. The cache has only objects with our label, so that one which it does not
// have is looked for at the API server, before it is made or taken over.
func (a *applier) find(ctx context.Context, c *v1alpha1.RaftCluster, ref objects.Ref) (ctrlclient.Object, error) {
	into, err := typeOf(ref)
	if err != nil {
		return nil, err
	}
	key := types.NamespacedName{Namespace: c.Namespace, Name: ref.Name}
	err = a.cached.Get(ctx, key, into)
	if apierrors.IsNotFound(err) {
		err = a.live.Get(ctx, key, into)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return into, err
}

// remove deletes an object that must not exist, if it is one of the cluster's. The cache will do: ours have the label.
func (a *applier) remove(ctx context.Context, cluster *v1alpha1.RaftCluster, ref objects.Ref) (bool, error) {
	object, err := typeOf(ref)
	if err != nil {
		return false, err
	}
	err = a.cached.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: ref.Name}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", ref, err)
	}
	if !metav1.IsControlledBy(object, cluster) || object.GetDeletionTimestamp() != nil {
		return false, nil
	}
	uid, version := object.GetUID(), object.GetResourceVersion()
	err = a.cached.Delete(ctx, object, ctrlclient.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("deleting %s: %w", ref, err)
	}
	log.FromContext(ctx).Info("deleted " + ref.String() + ", which spec does not want")
	return true, nil
}

// orphaned tells whether an object belonged to a RaftCluster of the same name that is gone. The garbage collector is on
// its way to it, as after `kubectl delete` and `kubectl apply` in one line: no conflict that people should hear of.
func orphaned(cluster *v1alpha1.RaftCluster, found ctrlclient.Object) bool {
	owner := metav1.GetControllerOf(found)
	return owner != nil && owner.UID != cluster.UID && owner.Name == cluster.Name && owner.Kind == "RaftCluster" &&
		owner.APIVersion == v1alpha1.GroupVersion.String()
}

// takeable says whether an object may be applied to: it is the cluster's, or it was left behind by an operator when a
// cluster of the same name was deleted without its objects (kubectl delete --cascade=orphan).
func takeable(cluster *v1alpha1.RaftCluster, ref objects.Ref, found ctrlclient.Object) error {
	owner := metav1.GetControllerOf(found)
	switch {
	case owner == nil && leftBehind(cluster, found):
		return nil
	case owner == nil:
		return &conflictError{ref: ref, owner: "nobody that the operator knows"}
	case owner.UID == cluster.UID:
		return nil
	}
	return &conflictError{ref: ref, owner: fmt.Sprintf("%s %s (UID %s)", owner.Kind, owner.Name, owner.UID)}
}

// leftBehind tells whether all labels that the operator gives are on an object.
func leftBehind(cluster *v1alpha1.RaftCluster, found ctrlclient.Object) bool {
	labels := found.GetLabels()
	for key, value := range objects.Labels(cluster.Name) {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// typeOf makes an empty object of a kind.
func typeOf(ref objects.Ref) (ctrlclient.Object, error) {
	switch ref.Kind {
	case "StatefulSet":
		return &appsv1.StatefulSet{}, nil
	case "Service":
		return &corev1.Service{}, nil
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}, nil
	}
	return nil, fmt.Errorf("the operator does not know how to read a %s", ref.Kind)
}
