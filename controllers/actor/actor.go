package actor

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

const (
	// bootstrapTimeout bounds the giving of an identity: the node writes it to its disk before it answers.
	bootstrapTimeout = 5 * time.Second
	// transferTimeout bounds a transfer of leadership: the other one catches up first, and wins an election.
	transferTimeout = 10 * time.Second
)

var (
	// ErrStale is returned if what the act was decided on has changed since. The next pass decides anew.
	ErrStale = errors.New("what the decision was based on has changed since")
	// ErrNotKept is returned if the API server took a mark or a label, and it is not there.
	ErrNotKept = errors.New("an admission webhook or policy does not leave what is written")
	// ErrHeld is returned if the PodDisruptionBudget does not allow the eviction now. It may later.
	ErrHeld = errors.New("the PodDisruptionBudget does not allow it now")
)

// Nodes changes nodes, each under its own URL. A client.Direct does it over the network.
type Nodes interface {
	Bootstrap(ctx context.Context, endpoint string, request api.BootstrapRequest) (api.ClusterView, error)
	Transfer(ctx context.Context, endpoint string, request api.TransferRequest) (api.TransferResponse, error)
}

// Actor carries out acts.
type Actor struct {
	Kube  ctrlclient.Client // writes
	Live  ctrlclient.Reader // reads from the API server itself
	Nodes Nodes
}

// Do carries out one act. The error is ErrStale or ErrHeld if the act was not done for a reason that passes by itself.
func (a *Actor) Do(ctx context.Context, w decide.World, act decide.Act) error {
	if act.Class() != decide.Record {
		if err := a.unchanged(ctx, w); err != nil {
			return err
		}
	}
	switch act := act.(type) {
	case decide.BootstrapNode:
		return a.bootstrap(ctx, act)
	case decide.MarkClaim:
		return a.mark(ctx, w, act)
	case decide.LabelPod:
		return a.label(ctx, w, act)
	case decide.TransferLeadership:
		return a.transfer(ctx, act)
	case decide.EvictPod:
		return a.evict(ctx, w, act)
	case decide.DeletePod:
		return a.deletePod(ctx, w, act)
	}
	return fmt.Errorf("unknown act %T", act)
}

func (a *Actor) bootstrap(ctx context.Context, act decide.BootstrapNode) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	view, err := a.Nodes.Bootstrap(ctx, objects.Endpoint(act.Address), act.Request)
	if err != nil {
		return fmt.Errorf("bootstrapping %s: %w", act.Name, err)
	}
	if view.ClusterID != act.Request.ClusterID || view.NodeID != act.Request.NodeID {
		return fmt.Errorf("%s was bootstrapped as member %d of cluster %s, and reports that it is member %d of cluster %q",
			act.Name, act.Request.NodeID, act.Request.ClusterID, view.NodeID, view.ClusterID)
	}
	return nil
}

func (a *Actor) transfer(ctx context.Context, act decide.TransferLeadership) error {
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	request := api.TransferRequest{To: uint64(act.To), ExpectedTerm: act.Term}
	_, err := a.Nodes.Transfer(ctx, objects.Endpoint(act.Address), request)
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeConflict {
		return fmt.Errorf("%w: transferring leadership from %s to %s: %w", ErrStale, act.Name, act.ToPod, err)
	}
	if err != nil {
		return fmt.Errorf("transferring leadership from %s to %s: %w", act.Name, act.ToPod, err)
	}
	return nil
}

// label writes the label of a pod, if it is still the pod that was seen.
func (a *Actor) label(ctx context.Context, w decide.World, act decide.LabelPod) error {
	pod := &corev1.Pod{ObjectMeta: named(w, act.Target)}
	err := a.patch(ctx, pod, act.Target, "labels", map[string]string{v1alpha1.LabelState: act.State})
	if err != nil {
		return staleIfGone(err, "labelling pod "+act.Name)
	}
	if pod.Labels[v1alpha1.LabelState] != act.State {
		return fmt.Errorf("labelling pod %s: %w: %s", act.Name, ErrNotKept, v1alpha1.LabelState)
	}
	return nil
}

// mark writes the two annotations, if the claim is still the one that was seen. A patch never makes a claim.
func (a *Actor) mark(ctx context.Context, w decide.World, act decide.MarkClaim) error {
	member := fmt.Sprint(act.MemberID)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: named(w, act.Target)}
	err := a.patch(ctx, claim, act.Target, "annotations", map[string]string{
		v1alpha1.AnnotationClusterID: act.ClusterID, v1alpha1.AnnotationMemberID: member,
	})
	if err != nil {
		return staleIfGone(err, "marking claim "+act.Name)
	}
	marks := claim.Annotations
	if marks[v1alpha1.AnnotationMemberID] != member || marks[v1alpha1.AnnotationClusterID] != act.ClusterID {
		return fmt.Errorf("marking claim %s: %w: %s and %s", act.Name, ErrNotKept, v1alpha1.AnnotationClusterID,
			v1alpha1.AnnotationMemberID)
	}
	return nil
}

// evict asks the eviction API, which keeps the PodDisruptionBudget: drains and updates share it.
func (a *Actor) evict(ctx context.Context, w decide.World, act decide.EvictPod) error {
	pod := &corev1.Pod{ObjectMeta: named(w, act.Target)}
	err := a.Kube.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    pod.ObjectMeta,
		DeleteOptions: &metav1.DeleteOptions{Preconditions: preconditions(act.Target)},
	})
	if apierrors.IsTooManyRequests(err) {
		return fmt.Errorf("%w: %s is not evicted", ErrHeld, act.Name)
	}
	return staleIfGone(err, "evicting "+act.Name)
}

// deletePod deletes with the pod's own grace period. A period of 0 would only make the API server forget the pod, while
// its node may go on to write to the volume (trap O19).
func (a *Actor) deletePod(ctx context.Context, w decide.World, act decide.DeletePod) error {
	pod := &corev1.Pod{ObjectMeta: named(w, act.Target)}
	return staleIfGone(a.Kube.Delete(ctx, pod, ctrlclient.Preconditions(*preconditions(act.Target))), "deleting "+act.Name)
}
