package controllers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	// viewTimeout limits the request to one node. The requests run concurrently, so it limits them all (trap O31).
	viewTimeout = 2 * time.Second
	// maxSeats is far more than a cluster ever has. Another client created a claim of a higher ordinal.
	maxSeats = 64
)

var errNoCluster = errors.New("the RaftCluster does not exist")

// Nodes sends requests to nodes, each at its own URL. A client.Direct sends them over the network.
type Nodes interface {
	View(ctx context.Context, endpoint string) (api.ClusterView, error)
	actor.Nodes
}

var _ Nodes = (*client.Direct)(nil)

// observer builds Worlds.
type observer struct {
	// cached may lag behind; live reads from the API server. An object that the cache does not have may exist without
	// the label that the cache selects, or be newer than the cache: so live decides.
	cached, live ctrlclient.Reader
	nodes        Nodes

	nodeImage, clusterDomain string
	templates                objects.Templates
}

// observe reads everything that belongs to a RaftCluster. An error from Kubernetes ends the whole pass: an object that
// was not read must not count as missing (trap O4). A node that does not answer is no error, but a seat without a
// view. If the RaftCluster does not exist, observe returns errNoCluster.
func (o *observer) observe(ctx context.Context, key types.NamespacedName) (decide.World, error) {
	w := decide.World{
		Cluster:   &v1alpha1.RaftCluster{},
		NodeImage: o.nodeImage, ClusterDomain: o.clusterDomain, Templates: o.templates,
		FreshID: rand.Text(), Now: time.Now(),
	}
	err := o.cached.Get(ctx, key, w.Cluster)
	if apierrors.IsNotFound(err) {
		return decide.World{}, errNoCluster
	}
	if err != nil {
		return decide.World{}, fmt.Errorf("reading the RaftCluster: %w", err)
	}
	if w.Set, err = o.statefulSet(ctx, w.Cluster); err != nil {
		return decide.World{}, fmt.Errorf("reading the StatefulSet: %w", err)
	}
	if w.Seats, err = o.seats(ctx, w.Cluster, w.Set); err != nil {
		return decide.World{}, err
	}
	if w.Cluster.Spec.Paused {
		if w.Others, err = o.others(ctx, w.Cluster); err != nil {
			return decide.World{}, err
		}
	}
	o.askAll(ctx, w.Seats)
	if ctx.Err() != nil { // then the nodes did not fail to answer, but the pass stopped waiting (trap O4)
		return decide.World{}, fmt.Errorf("asking the nodes: %w", context.Cause(ctx))
	}
	if err := o.dropOutdated(ctx, w.Cluster, w.Seats); err != nil {
		return decide.World{}, err
	}
	return w, nil
}

// statefulSet returns the cluster's StatefulSet, or one that another RaftCluster of this name left behind and that is
// to be adopted, or nil. A StatefulSet of another owner is not returned: applying this cluster's finds the conflict.
func (o *observer) statefulSet(ctx context.Context, cluster *v1alpha1.RaftCluster) (*appsv1.StatefulSet, error) {
	set, name := &appsv1.StatefulSet{}, objects.StatefulSetName(cluster.Name)
	err := o.cached.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, set)
	found := err == nil
	if apierrors.IsNotFound(err) {
		found, err = o.exists(ctx, cluster, name, set)
	}
	adoptable := metav1.GetControllerOf(set) == nil && leftBehind(cluster, set)
	if err != nil || !found || !metav1.IsControlledBy(set, cluster) && !adoptable {
		return nil, err
	}
	return set, nil
}

// others reads the cluster's objects other than the StatefulSet, as far as the cache has them: an object that lost the
// label differs from the desired one in any case.
func (o *observer) others(ctx context.Context, cluster *v1alpha1.RaftCluster) (map[string]metav1.Object, error) {
	found := map[string]metav1.Object{}
	for _, ref := range objects.Others(cluster.Name) {
		object, err := typeOf(ref)
		if err != nil {
			return nil, err
		}
		err = o.cached.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: ref.Name}, object)
		switch {
		case err == nil && metav1.IsControlledBy(object, cluster):
			found[ref.String()] = object
		case err != nil && !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("reading %s: %w", ref, err)
		}
	}
	return found, nil
}

// exists reads from the API server what the cache does not have, and reports whether it exists.
func (o *observer) exists(
	ctx context.Context, cluster *v1alpha1.RaftCluster, name string, into ctrlclient.Object,
) (bool, error) {
	err := o.live.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// seats assigns each ordinal its pod and its claim.
func (o *observer) seats(
	ctx context.Context, cluster *v1alpha1.RaftCluster, set *appsv1.StatefulSet,
) ([]decide.Seat, error) {
	pods, claims := &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}
	if err := o.list(ctx, cluster, pods); err != nil {
		return nil, fmt.Errorf("listing the pods: %w", err)
	}
	if err := o.list(ctx, cluster, claims); err != nil {
		return nil, fmt.Errorf("listing the claims: %w", err)
	}
	seats := make([]decide.Seat, seatCount(cluster, set, pods.Items, claims.Items))
	for i := range seats {
		seat := &seats[i]
		seat.Ordinal = int32(i)
		var err error
		if seat.Pod, err = o.pod(ctx, cluster, seat.Ordinal, pods.Items); err != nil {
			return nil, err
		}
		if seat.Claim, err = o.claim(ctx, cluster, seat.Ordinal, claims.Items); err != nil {
			return nil, err
		}
	}
	return seats, nil
}

// list lists the objects with the label of the cluster.
func (o *observer) list(ctx context.Context, cluster *v1alpha1.RaftCluster, into ctrlclient.ObjectList) error {
	return o.cached.List(ctx, into, ctrlclient.InNamespace(cluster.Namespace),
		ctrlclient.MatchingLabels(objects.Selector(cluster.Name)))
}

// seatCount is the number of ordinals that have, had or should have a node.
func seatCount(
	cluster *v1alpha1.RaftCluster, set *appsv1.StatefulSet, pods []corev1.Pod, claims []corev1.PersistentVolumeClaim,
) int32 {
	count := cluster.Spec.Replicas
	include := func(ordinal int32, ours bool) {
		if ours && ordinal < maxSeats {
			count = max(count, ordinal+1)
		}
	}
	if set != nil && set.Spec.Replicas != nil {
		include(*set.Spec.Replicas-1, true)
	}
	for _, m := range cluster.Status.Members {
		include(objects.Ordinal(cluster.Name, m.PodName))
	}
	for i := range pods {
		include(objects.Ordinal(cluster.Name, pods[i].Name))
	}
	for i := range claims {
		include(objects.ClaimOrdinal(cluster.Name, claims[i].Name))
	}
	return count
}

// pod returns the pod of an ordinal, or nil.
func (o *observer) pod(
	ctx context.Context, cluster *v1alpha1.RaftCluster, ordinal int32, listed []corev1.Pod,
) (*corev1.Pod, error) {
	return named(ctx, o, cluster, "pod", objects.PodName(cluster.Name, ordinal), listed)
}

// claim returns the claim of an ordinal, or nil.
func (o *observer) claim(
	ctx context.Context, cluster *v1alpha1.RaftCluster, ordinal int32, listed []corev1.PersistentVolumeClaim,
) (*corev1.PersistentVolumeClaim, error) {
	return named(ctx, o, cluster, "claim", objects.ClaimName(cluster.Name, ordinal), listed)
}

// named returns the object of a name, or nil. It is read if it is not among the listed ones, because it may lack the
// label by which they were listed.
func named[T any, Object interface {
	*T
	ctrlclient.Object
}](ctx context.Context, o *observer, cluster *v1alpha1.RaftCluster, kind, name string, listed []T) (*T, error) {
	for i := range listed {
		if Object(&listed[i]).GetName() == name {
			return &listed[i], nil
		}
	}
	read := new(T)
	found, err := o.exists(ctx, cluster, name, Object(read))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s %s: %w", kind, name, err)
	case !found:
		return nil, nil
	}
	return read, nil
}

// askAll asks every node that can answer for its view, all at the same time.
func (o *observer) askAll(ctx context.Context, seats []decide.Seat) {
	var asked sync.WaitGroup
	for i := range seats {
		seat := &seats[i]
		if seat.Silence = unasked(seat.Pod); seat.Silence == "" {
			asked.Go(func() { o.ask(ctx, seat) })
		}
	}
	asked.Wait()
}

func (o *observer) ask(ctx context.Context, seat *decide.Seat) {
	ctx, cancel := context.WithTimeout(ctx, viewTimeout)
	defer cancel()
	view, err := o.nodes.View(ctx, objects.Endpoint(seat.Pod.Status.PodIP))
	if err != nil {
		log.FromContext(ctx).V(1).Info("a node did not return its view", "pod", seat.Pod.Name, "error", err)
		seat.Silence = silence(err)
		return
	}
	seat.View = &view
}

// unasked returns why a pod's node is not asked, or "" if it is.
func unasked(pod *corev1.Pod) string {
	switch {
	case pod == nil:
		return "it has no pod"
	case pod.Status.PodIP == "":
		return "its pod has no address yet"
	case !decide.Running(pod):
		return "its container does not run"
	}
	return ""
}

// silence explains, for people, why a node returned no view. It leaves out addresses and times, because they differ
// from pass to pass and would change the status (trap O30).
func silence(err error) string {
	refused, ok := errors.AsType[*api.Error](err)
	switch {
	case !ok, refused.Code == api.CodeUnreachable, refused.Code == api.CodeCanceled:
		return "its API port does not answer"
	default:
		return fmt.Sprintf("it returns the error %q", refused.Code)
	}
}

// dropOutdated lists the pods again, and drops the answer of every seat whose pod was replaced or restarted, because
// the answer may come from the pod before.
func (o *observer) dropOutdated(ctx context.Context, cluster *v1alpha1.RaftCluster, seats []decide.Seat) error {
	pods := &corev1.PodList{}
	if err := o.list(ctx, cluster, pods); err != nil {
		return fmt.Errorf("listing the pods again: %w", err)
	}
	for i := range seats {
		seat := &seats[i]
		if seat.View == nil {
			continue
		}
		now, err := o.pod(ctx, cluster, seat.Ordinal, pods.Items)
		if err != nil {
			return err
		}
		if now == nil || !decide.SameProcess(seat.Pod, now) {
			seat.View, seat.Silence = nil, "its pod changed during the request"
		}
		seat.Pod = now
	}
	return nil
}
