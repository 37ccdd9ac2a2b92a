package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	// bootstrapTimeout bounds the giving of an identity: the node writes it to its disk before it answers.
	bootstrapTimeout = 5 * time.Second
	// transferTimeout bounds a transfer of leadership: the other one catches up first, and wins an election.
	transferTimeout = 10 * time.Second
)

var (
	// errStale: what the act was decided on has changed since. The next pass decides anew.
	errStale = errors.New("what the decision was based on has changed since")
	// errNotKept: the API server took a mark or a label, and it is not there.
	errNotKept = errors.New("an admission webhook or policy does not leave what is written")
	// errHeld: the PodDisruptionBudget does not allow the eviction now. It may later.
	errHeld = errors.New("the PodDisruptionBudget does not allow it now")
)

// actor carries out acts.
type actor struct {
	kube  ctrlclient.Client // writes
	live  ctrlclient.Reader // reads from the API server itself
	nodes Nodes
}

// do carries out one act. Its error is errStale or errHeld if the act was not done for a reason that passes by itself.
func (a *actor) do(ctx context.Context, w World, act Act) error {
	_, bootstraps := act.(BootstrapNode)
	if act.Disruptive() || bootstraps {
		if err := a.unchanged(ctx, w); err != nil {
			return err
		}
	}
	switch act := act.(type) {
	case BootstrapNode:
		return a.bootstrap(ctx, act)
	case MarkClaim:
		return a.mark(ctx, w, act)
	case LabelPod:
		return a.label(ctx, w, act)
	case TransferLeadership:
		return a.transfer(ctx, act)
	case EvictPod:
		return a.evict(ctx, w, act)
	case DeletePod:
		return a.deletePod(ctx, w, act)
	}
	return fmt.Errorf("the operator does not know how to do %T", act)
}

// unchanged asks the API server whether all that the decision was based on is still so. The cache may not have seen yet
// that the last act took a pod away, or that a drain did: then this would be the second disruption at once (trap O29).
// An identity must not be given to a node whose volume was exchanged meanwhile either (trap O6).
func (a *actor) unchanged(ctx context.Context, w World) error {
	cluster := &v1alpha1.RaftCluster{}
	if err := a.read(ctx, w, w.Cluster.Name, cluster); err != nil {
		return err
	}
	if cluster.UID != w.Cluster.UID || cluster.ResourceVersion != w.Cluster.ResourceVersion {
		return fmt.Errorf("%w: the RaftCluster", errStale)
	}
	if w.Set != nil {
		set := &appsv1.StatefulSet{}
		if err := a.read(ctx, w, w.Set.Name, set); err != nil {
			return err
		}
		if set.UID != w.Set.UID || set.Generation != w.Set.Generation ||
			set.Status.UpdateRevision != w.Set.Status.UpdateRevision {
			return fmt.Errorf("%w: StatefulSet %s", errStale, set.Name)
		}
	}
	for i := range w.Seats {
		if err := a.unchangedSeat(ctx, w, &w.Seats[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *actor) unchangedSeat(ctx context.Context, w World, seat *Seat) error {
	podName, claimName := objects.PodName(w.Cluster.Name, seat.Ordinal), objects.ClaimName(w.Cluster.Name, seat.Ordinal)
	pod, claim := &corev1.Pod{}, &corev1.PersistentVolumeClaim{}
	if err := a.read(ctx, w, podName, pod); err != nil {
		return err
	}
	if err := a.read(ctx, w, claimName, claim); err != nil {
		return err
	}
	if seat.Pod == nil && pod.UID != "" || seat.Pod != nil && !samePod(seat.Pod, pod) {
		return fmt.Errorf("%w: pod %s", errStale, podName)
	}
	if seat.Claim == nil && claim.UID != "" || seat.Claim != nil && !sameClaim(seat.Claim, claim) {
		return fmt.Errorf("%w: claim %s", errStale, claimName)
	}
	return nil
}

// read reads an object from the API server, and leaves it empty if there is none.
func (a *actor) read(ctx context.Context, w World, name string, into ctrlclient.Object) error {
	err := a.live.Get(ctx, types.NamespacedName{Namespace: w.Cluster.Namespace, Name: name}, into)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading %s again before acting: %w", name, err)
	}
	return nil
}

// samePod tells whether two readings of a pod are alike in everything that a decision rests on.
func samePod(a, b *corev1.Pod) bool {
	return sameProcess(a, b) && ready(a) == ready(b) && running(a) == running(b) &&
		(a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}

// sameClaim is samePod for claims. One that is being deleted meanwhile would go with its pod (trap O9).
func sameClaim(a, b *corev1.PersistentVolumeClaim) bool {
	return a.UID == b.UID && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil)
}

func (a *actor) bootstrap(ctx context.Context, act BootstrapNode) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	view, err := a.nodes.Bootstrap(ctx, endpoint(act.PodIP), act.Request)
	if err != nil {
		return fmt.Errorf("telling %s its identity: %w", act.PodName, err)
	}
	if view.ClusterID != act.Request.ClusterID || view.NodeID != act.Request.NodeID {
		return fmt.Errorf("%s was told that it is member %d of cluster %s, and now says that it is member %d of cluster %q",
			act.PodName, act.Request.NodeID, act.Request.ClusterID, view.NodeID, view.ClusterID)
	}
	return nil
}

func (a *actor) transfer(ctx context.Context, act TransferLeadership) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	request := api.TransferRequest{To: act.To, ExpectedTerm: act.Term}
	_, err := a.nodes.Transfer(ctx, endpoint(act.PodIP), request)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeConflict {
		return fmt.Errorf("%w: handing the leadership from %s to %s: %w", errStale, act.PodName, act.ToPod, err)
	}
	if err != nil {
		return fmt.Errorf("handing the leadership from %s to %s: %w", act.PodName, act.ToPod, err)
	}
	return nil
}

// label writes the label of a pod, if it is still the pod that was seen.
func (a *actor) label(ctx context.Context, w World, act LabelPod) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": act.UID, "labels": map[string]string{v1alpha1.LabelState: act.State},
	}})
	if err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: act.Name, Namespace: w.Cluster.Namespace}}
	err = a.kube.Patch(ctx, pod, ctrlclient.RawPatch(types.MergePatchType, patch), ctrlclient.FieldOwner(FieldOwner))
	if err != nil {
		return staleIfGone(err, "labelling pod "+act.Name)
	}
	if pod.Labels[v1alpha1.LabelState] != act.State {
		return fmt.Errorf("labelling pod %s: %w: %s", act.Name, errNotKept, v1alpha1.LabelState)
	}
	return nil
}

// mark writes the two annotations, if the claim is still the one that was seen. A patch never makes a claim.
func (a *actor) mark(ctx context.Context, w World, act MarkClaim) error {
	claim := w.claim(act.Name)
	if claim == nil || claim.UID != act.UID {
		return fmt.Errorf("%w: claim %s", errStale, act.Name)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": claim.UID, "resourceVersion": claim.ResourceVersion,
		"annotations": map[string]string{
			v1alpha1.AnnotationClusterID: act.ClusterID,
			v1alpha1.AnnotationMemberID:  fmt.Sprint(act.MemberID),
		},
	}})
	if err != nil {
		return err
	}
	marked := claim.DeepCopy()
	err = a.kube.Patch(ctx, marked, ctrlclient.RawPatch(types.MergePatchType, patch), ctrlclient.FieldOwner(FieldOwner))
	if err != nil {
		return staleIfGone(err, "marking claim "+act.Name)
	}
	if id, _ := markedAs(marked); id != act.MemberID || marked.Annotations[v1alpha1.AnnotationClusterID] != act.ClusterID {
		return fmt.Errorf("marking claim %s: %w: %s and %s", act.Name, errNotKept, v1alpha1.AnnotationClusterID,
			v1alpha1.AnnotationMemberID)
	}
	return nil
}

// evict asks the eviction API, which keeps the PodDisruptionBudget: drains and updates share it.
func (a *actor) evict(ctx context.Context, w World, act EvictPod) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: act.Name, Namespace: w.Cluster.Namespace}}
	err := a.kube.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    pod.ObjectMeta,
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &act.UID}},
	})
	if apierrors.IsTooManyRequests(err) {
		return fmt.Errorf("%w: %s is not evicted", errHeld, act.Name)
	}
	return staleIfGone(err, "evicting "+act.Name)
}

// deletePod deletes with the pod's own grace period. A period of 0 would only make the API server forget the pod, while
// its node may go on to write to the volume (trap O19).
func (a *actor) deletePod(ctx context.Context, w World, act DeletePod) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: act.Name, Namespace: w.Cluster.Namespace}}
	return staleIfGone(a.kube.Delete(ctx, pod, ctrlclient.Preconditions{UID: &act.UID}), "deleting "+act.Name)
}

// staleIfGone makes errStale of the answers that say that an object is not the one that was seen.
func staleIfGone(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return fmt.Errorf("%w: %s: %w", errStale, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// claim gives the claim of a name that was seen; nil: there was none.
func (w *World) claim(name string) *corev1.PersistentVolumeClaim {
	for i := range w.Seats {
		if c := w.Seats[i].Claim; c != nil && c.Name == name {
			return c
		}
	}
	return nil
}

// pod gives the pod of a name that was seen; nil: there was none.
func (w *World) pod(name string) *corev1.Pod {
	for i := range w.Seats {
		if p := w.Seats[i].Pod; p != nil && p.Name == name {
			return p
		}
	}
	return nil
}

// telling is how an act is spoken of in events and metrics.
type telling struct {
	kind, done, failed string
	about              ctrlclient.Object // the pod or claim; nil: it was not seen
}

func tell(w World, act Act) telling {
	pod := func(name string) ctrlclient.Object {
		if p := w.pod(name); p != nil {
			return p
		}
		return nil
	}
	switch act := act.(type) {
	case BootstrapNode:
		return telling{"BootstrapNode", "NodeBootstrapped", "BootstrapFailed", pod(act.PodName)}
	case MarkClaim:
		t := telling{kind: "MarkClaim", done: "ClaimMarked", failed: "MarkClaimFailed"}
		if c := w.claim(act.Name); c != nil {
			t.about = c
		}
		return t
	case LabelPod:
		return telling{"LabelPod", "PodLabelled", "LabelPodFailed", pod(act.Name)}
	case TransferLeadership:
		return telling{"TransferLeadership", "LeadershipTransferred", "TransferFailed", pod(act.PodName)}
	case EvictPod:
		return telling{"EvictPod", "PodEvicted", "EvictionFailed", pod(act.Name)}
	case DeletePod:
		return telling{"DeletePod", "PodDeleted", "DeletionFailed", pod(act.Name)}
	}
	return telling{kind: fmt.Sprintf("%T", act), done: "Done", failed: "Failed"}
}

var _ Nodes = (*client.Direct)(nil)
