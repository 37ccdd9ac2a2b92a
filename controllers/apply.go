package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// conflictError reports that an object whose name the cluster needs belongs to another owner.
type conflictError struct {
	ref   objects.Ref
	owner string
}

func (e *conflictError) Error() string {
	return fmt.Sprintf("%s already exists and belongs to %s: delete it, or give the RaftCluster another name",
		e.ref, e.owner)
}

// applyError reports which operation on an object failed.
type applyError struct {
	doing string // such as "applying Service demo"
	err   error
}

func (e *applyError) Error() string { return e.doing + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e *applyError) Unwrap() error { return e.err }

// applier applies the desired objects of a cluster.
type applier struct {
	cached  ctrlclient.Client
	live    ctrlclient.Reader
	reverts reverts
}

// outcome is the result of applying the objects of a plan.
type outcome struct {
	// changed: an object was not as desired, and has changed.
	changed bool
	// going: an object of a former cluster must be removed before this cluster's can be created.
	going bool
	// set is the StatefulSet as the API server returned it, or nil if it was not written.
	set       *appsv1.StatefulSet
	mutations []decide.Mutation
	errs      []error
}

// apply applies the objects that differ, and deletes those that must not exist. An object that cannot be applied
// blocks only the objects that need it.
func (a *applier) apply(ctx context.Context, now time.Time, d objects.Desired) outcome {
	var out outcome
	exists := map[objects.Ref]bool{}
	for _, object := range objects.All(d) {
		if slices.ContainsFunc(object.Needs, func(ref objects.Ref) bool { return !exists[ref] }) {
			log.FromContext(ctx).Info("not applied yet: "+object.String(), "needs", fmt.Sprint(object.Needs))
			continue
		}
		there, err := a.applyOne(ctx, now, d.Cluster, object, &out)
		exists[object.Ref] = there
		if err != nil {
			out.errs = append(out.errs, err)
		}
	}
	for _, ref := range objects.Unwanted(d) {
		removed, err := a.remove(ctx, d.Cluster, ref)
		out.changed = out.changed || removed
		if err != nil {
			out.errs = append(out.errs, err)
		}
	}
	return out
}

// applyOne applies one object if it differs, and reports whether the cluster then has it, whether as desired or not.
func (a *applier) applyOne(
	ctx context.Context, now time.Time, cluster *v1alpha1.RaftCluster, o objects.Object, out *outcome,
) (exists bool, err error) {
	found, err := a.find(ctx, cluster, o.Ref)
	if err != nil {
		return false, &applyError{"reading " + o.String(), err}
	}
	var differs []objects.Difference
	if found != nil {
		if orphaned(cluster, found) || found.GetDeletionTimestamp() != nil {
			out.changed, out.going = true, true // once it is removed, a later pass creates it again
			return false, nil
		}
		if err := takeable(cluster, o.Ref, found); err != nil {
			return false, err
		}
		differs = objects.Differences(o.Config, found)
		if len(differs) == 0 || a.mutated(ctx, o, found, differs, out) {
			a.addReverts(now, o.Ref, found.GetUID(), out)
			return true, nil
		}
	}
	after, err := a.write(ctx, o, found)
	if err != nil {
		return found != nil, &applyError{"applying " + o.String(), err}
	}
	return true, a.wrote(ctx, now, o, found, differs, after, out)
}

// mutated reports whether applying an object would leave it unchanged, because the API server's admission turns the
// description into the present state. It checks with a dry run: an apply that changes none of the operator's fields
// may still change what admission writes beside them, and with the pod template every pod.
func (a *applier) mutated(
	ctx context.Context, o objects.Object, found ctrlclient.Object, differs []objects.Difference, out *outcome,
) bool {
	applied := objects.Applied(o.Config, found)
	if !applied && found.GetAnnotations()[objects.AnnotationApplied] != "" {
		return false // it was never applied with the present description
	}
	would, err := a.write(ctx, o, found, ctrlclient.DryRunAll)
	if err != nil {
		return false // the apply itself returns the error
	}
	alike := func(a, b objects.Difference) bool { return a == b || applied && a.Field == b.Field }
	if !slices.EqualFunc(objects.Differences(o.Config, would), differs, alike) {
		return false
	}
	out.mutations = append(out.mutations, decide.Mutation{Ref: o.Ref, Fields: differs, Writer: writerAdmission})
	return true
}

// The clients that may change an object that was applied.
const (
	writerAdmission = "An admission webhook or policy"
	writerOther     = "Another client of the API server, again and again,"
)

// wrote records what an apply has changed.
func (a *applier) wrote(
	ctx context.Context, now time.Time, o objects.Object, found ctrlclient.Object, differed []objects.Difference,
	after *unstructured.Unstructured, out *outcome,
) error {
	remain := objects.Differences(o.Config, after)
	out.changed = out.changed || found == nil || !slices.Equal(differed, remain)
	switch {
	case len(remain) > 0:
		out.mutations = append(out.mutations, decide.Mutation{Ref: o.Ref, Fields: remain, Writer: writerAdmission})
	case found != nil && objects.Applied(o.Config, found):
		a.reverts.note(found.GetUID(), after.GetResourceVersion(), differed, now)
		a.addReverts(now, o.Ref, found.GetUID(), out)
	}
	log.FromContext(ctx).Info("applied "+o.Ref.String(), "created", found == nil)
	if o.Kind != "StatefulSet" {
		return nil
	}
	set := &appsv1.StatefulSet{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(after.Object, set); err != nil {
		return fmt.Errorf("decoding the response to applying %s: %w", o.Ref, err)
	}
	out.set = set
	return nil
}

// addReverts adds to the outcome the fields that another writer keeps changing back.
func (a *applier) addReverts(now time.Time, ref objects.Ref, uid types.UID, out *outcome) {
	if fields := a.reverts.keeps(uid, now); len(fields) > 0 {
		out.mutations = append(out.mutations, decide.Mutation{Ref: ref, Fields: fields, Writer: writerOther})
	}
}

// write sends one server-side apply, and returns the resulting object. An existing object must still be the observed
// one, or the API server refuses the request. A new object is not forced: if another client creates it at the same
// moment, that client keeps its fields.
func (a *applier) write(
	ctx context.Context, o objects.Object, found ctrlclient.Object, options ...ctrlclient.ApplyOption,
) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(o.Config)
	if err != nil {
		return nil, err
	}
	config := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &config.Object); err != nil {
		return nil, err
	}
	options = append(options, ctrlclient.FieldOwner(objects.FieldOwner))
	if found != nil {
		config.SetUID(found.GetUID())
		options = append(options, ctrlclient.ForceOwnership)
		if err := keepFixed(config, found); err != nil {
			return nil, err
		}
	}
	// The response is decoded into the description.
	err = a.cached.Apply(ctx, ctrlclient.ApplyConfigurationFromUnstructured(config), options...)
	return config, err
}

// fixedFields are the fields of a StatefulSet's spec that Kubernetes does not allow to change.
var fixedFields = []string{"selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"}

// keepFixed copies the fields that cannot change from the existing StatefulSet into a description. Admission may have
// changed them when the StatefulSet was created, for instance by a label in the claim template; without this the API
// server would refuse every later update.
func keepFixed(config *unstructured.Unstructured, found ctrlclient.Object) error {
	if _, ok := found.(*appsv1.StatefulSet); !ok {
		return nil
	}
	live, err := runtime.DefaultUnstructuredConverter.ToUnstructured(found)
	if err != nil {
		return err
	}
	for _, field := range fixedFields {
		value, ok, err := unstructured.NestedFieldCopy(live, "spec", field)
		if err != nil || !ok {
			continue
		}
		if err := unstructured.SetNestedField(config.Object, value, "spec", field); err != nil {
			return err
		}
	}
	return nil
}

// find reads an object, or returns nil. The cache holds only objects with the operator's label, so an object that is
// missing there is read from the API server before it is created or adopted.
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

// remove deletes an object that must not exist, if it belongs to the cluster. The cache is enough: the cluster's
// objects have the label.
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
		return false, &applyError{"reading " + ref.String(), err}
	}
	if !metav1.IsControlledBy(object, cluster) || object.GetDeletionTimestamp() != nil {
		return false, nil
	}
	uid, version := object.GetUID(), object.GetResourceVersion()
	err = a.cached.Delete(ctx, object, ctrlclient.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, &applyError{"deleting " + ref.String(), err}
	}
	log.FromContext(ctx).Info("deleted " + ref.String() + ", which the spec disables")
	return true, nil
}

// orphaned reports whether an object belonged to a deleted RaftCluster of the same name. The garbage collector is
// about to delete it, as after `kubectl delete` and `kubectl apply` in one line: that is no conflict for people to
// resolve.
func orphaned(cluster *v1alpha1.RaftCluster, found ctrlclient.Object) bool {
	owner := metav1.GetControllerOf(found)
	return owner != nil && owner.UID != cluster.UID && owner.Name == cluster.Name && owner.Kind == "RaftCluster" &&
		owner.APIVersion == v1alpha1.GroupVersion.String()
}

// takeable returns a conflictError unless the object may be applied to: it is the cluster's, or it was left behind
// when a cluster of the same name was deleted without its objects (kubectl delete --cascade=orphan).
func takeable(cluster *v1alpha1.RaftCluster, ref objects.Ref, found ctrlclient.Object) error {
	owner := metav1.GetControllerOf(found)
	switch {
	case owner == nil && leftBehind(cluster, found):
		return nil
	case owner == nil:
		return &conflictError{ref: ref, owner: "no known owner"}
	case owner.UID == cluster.UID:
		return nil
	}
	return &conflictError{ref: ref, owner: fmt.Sprintf("%s %s (UID %s)", owner.Kind, owner.Name, owner.UID)}
}

// leftBehind reports whether an object has all labels that the operator sets.
func leftBehind(cluster *v1alpha1.RaftCluster, found ctrlclient.Object) bool {
	labels := found.GetLabels()
	for key, value := range objects.Labels(cluster.Name) {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// typeOf returns an empty object of a kind.
func typeOf(ref objects.Ref) (ctrlclient.Object, error) {
	switch ref.Kind {
	case "StatefulSet":
		return &appsv1.StatefulSet{}, nil
	case "Service":
		return &corev1.Service{}, nil
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}, nil
	}
	return nil, fmt.Errorf("the operator cannot read objects of kind %s", ref.Kind)
}
