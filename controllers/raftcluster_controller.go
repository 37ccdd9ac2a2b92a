package controllers

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// What the operator may do, and no more: it reads no Secret and runs nothing in a pod. raftclusters/finalizers is for
// API servers whose admission asks for it before an owner reference may block a deletion
// (OwnerReferencesPermissionEnforcement, which OpenShift has).
//
// +kubebuilder:rbac:groups=raft.kontiki.dev,resources=raftclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=raft.kontiki.dev,resources=raftclusters/status,verbs=update
// +kubebuilder:rbac:groups=raft.kontiki.dev,resources=raftclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/eviction,verbs=create
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

const (
	// soon is the requeue delay after the pass has changed something that no watch reports.
	soon = 250 * time.Millisecond
	// heldAgain is the requeue delay after the PodDisruptionBudget refused an eviction.
	heldAgain = 5 * time.Second
)

// reconciler runs passes over RaftClusters. It keeps no state between two passes (trap O32).
type reconciler struct {
	kube     ctrlclient.Client
	observer observer
	applier  applier
	actor    actor.Actor
	recorder events.EventRecorder
	metrics  *metrics
}

func newReconciler(
	kube ctrlclient.Client, live ctrlclient.Reader, recorder events.EventRecorder, o Options,
) (*reconciler, error) {
	metrics, err := newMetrics(o.Registry)
	if err != nil {
		return nil, fmt.Errorf("registering the metrics: %w", err)
	}
	return &reconciler{
		kube: kube,
		observer: observer{
			cached: kube, live: live, nodes: o.Nodes, nodeImage: o.NodeImage, clusterDomain: o.ClusterDomain,
			templates: objects.ReleasedTemplates(),
		},
		applier:  applier{cached: kube, live: live},
		actor:    actor.Actor{Kube: kube, Live: live, Nodes: o.Nodes},
		recorder: recorder,
		metrics:  metrics,
	}, nil
}

// Reconcile runs one pass. A pass that ends with the process is no failure: the next process starts with another.
func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	result, err := r.pass(ctx, request)
	if err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return reconcile.Result{}, nil
	}
	return result, err
}

// pass observes, decides, applies and acts, and then, whatever the result, writes the status and records the events.
func (r *reconciler) pass(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	w, err := r.observer.observe(ctx, request.NamespacedName)
	switch {
	case errors.Is(err, errNoCluster):
		r.metrics.forget(request.NamespacedName)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, err
	case w.Cluster.DeletionTimestamp != nil:
		return reconcile.Result{}, nil // the owner references delete its objects
	}
	done, plan := r.carryOut(ctx, w)
	wrote, statusErr := r.writeStatus(ctx, w, plan)
	after := done.after
	switch {
	case done.actErr != nil:
		return reconcile.Result{}, errors.Join(errors.Join(done.applyErrs...), done.actErr, statusErr)
	case apierrors.IsConflict(statusErr):
		log.FromContext(ctx).V(1).Info("the RaftCluster was read from a stale cache; requeued")
		after = soon
	case statusErr != nil:
		return reconcile.Result{}, errors.Join(errors.Join(done.applyErrs...), statusErr)
	case wrote:
		after = min(after, soon) // no watch reports the operator's own status, and an act may wait for it
	case len(done.applyErrs) > 0 && !done.acted:
		return reconcile.Result{}, errors.Join(done.applyErrs...)
	}
	for _, err := range done.applyErrs { // the pass made progress elsewhere: the next one must not back off
		log.FromContext(ctx).Error(err, "not applied")
	}
	return reconcile.Result{RequeueAfter: jitter(after)}, nil
}

// carried is how far a plan was carried out.
type carried struct {
	after     time.Duration // until the next pass
	acted     bool
	applyErrs []error
	actErr    error
}

// carryOut decides, applies, and acts. It returns the plan whose status is to be written, with what applying has
// shown. An act is decided on the StatefulSet as it is after applying, and waits only for objects of a former cluster.
func (r *reconciler) carryOut(ctx context.Context, w decide.World) (carried, decide.Plan) {
	plan := decide.Next(w)
	templates := plan.Status.Templates // of the applied image
	var out outcome
	if plan.Desired != nil {
		out = r.applier.apply(ctx, w.Now, *plan.Desired)
	}
	if out.set != nil || len(out.mutations) > 0 {
		if out.set != nil {
			w.Set = out.set
		}
		w.Mutations = out.mutations
		plan = decide.Next(w)
	}
	done := carried{after: plan.RequeueAfter, applyErrs: out.errs}
	if out.changed {
		done.after = min(done.after, time.Second)
	}
	for plan.Act != nil && !out.going && !w.Refuses(plan.Act) {
		act := plan.Act
		after, err := r.act(ctx, w, act)
		if act.Class() != decide.Record || err == nil {
			done.acted, done.after, done.actErr = err == nil, after, err
			break
		}
		// A refused record blocks nothing else.
		done.applyErrs = append(done.applyErrs, err)
		w.Refused = append(slices.Clone(w.Refused), act)
		plan = decide.Next(w)
	}
	plan.Status.Templates = templates
	report(&plan, w, done.applyErrs)
	return done, plan
}

// act carries out one act, logs and counts it, records an event, and returns the requeue delay.
func (r *reconciler) act(ctx context.Context, w decide.World, act decide.Act) (time.Duration, error) {
	key := ctrlclient.ObjectKeyFromObject(w.Cluster)
	t, what := describeAct(w, act), act.String()
	err := r.actor.Do(ctx, w, act)
	switch {
	case err == nil:
		log.FromContext(ctx).Info("done: " + what)
		r.metrics.acted(key, t.kind, outcomeDone)
		r.event(w, t.about, corev1.EventTypeNormal, t.done, t.kind, what)
		return soon, nil
	case errors.Is(err, actor.ErrStale):
		log.FromContext(ctx).V(1).Info("not done, because the cluster changed: "+what, "why", err.Error())
		r.metrics.acted(key, t.kind, outcomeStale)
		return soon, nil
	case errors.Is(err, actor.ErrHeld):
		log.FromContext(ctx).Info("not done yet: "+what, "why", err.Error())
		r.metrics.acted(key, t.kind, outcomeHeld)
		r.event(w, t.about, corev1.EventTypeNormal, "EvictionHeld", t.kind, what+": "+actor.ErrHeld.Error())
		return heldAgain, nil
	}
	r.metrics.acted(key, t.kind, outcomeFailed)
	r.event(w, t.about, corev1.EventTypeWarning, t.failed, t.kind, err.Error())
	return 0, err
}

// writeStatus writes the status if it differs from the one that was read, and then records the events of its
// transitions and sets the metrics. The API server refuses the write if the RaftCluster has changed since it was read,
// so that an id minted from an old version never replaces another one (trap O3). It reports whether it wrote.
func (r *reconciler) writeStatus(ctx context.Context, w decide.World, plan decide.Plan) (bool, error) {
	changed := !equality.Semantic.DeepEqual(w.Cluster.Status, plan.Status)
	if changed {
		cluster := w.Cluster.DeepCopy()
		cluster.Status = plan.Status
		err := r.kube.Status().Update(ctx, cluster, ctrlclient.FieldOwner(objects.FieldOwner))
		if apierrors.IsNotFound(err) {
			return false, nil // deleted meanwhile
		}
		if err != nil {
			return false, fmt.Errorf("writing the status: %w", err)
		}
	}
	for _, e := range plan.Events {
		log.FromContext(ctx).Info(e.Message, "reason", e.Reason)
		r.event(w, nil, e.Type, e.Reason, "Observe", e.Message)
	}
	r.metrics.show(ctrlclient.ObjectKeyFromObject(w.Cluster), &plan.Status)
	return changed, nil
}

// event records an event on the RaftCluster. The recorder joins events on the same version of an object into one with
// a counter if they differ only in their message. The related object of an act, or a digest of the message in the
// action, keeps different events apart.
func (r *reconciler) event(w decide.World, about ctrlclient.Object, kind, reason, action, message string) {
	const longest = 1024 // events.k8s.io/v1 refuses longer ones
	if len(message) > longest {
		message = strings.ToValidUTF8(message[:longest], "")
	}
	if about != nil {
		r.recorder.Eventf(w.Cluster, about, kind, reason, action, "%s", message)
		return
	}
	digest := fnv.New32a()
	_, _ = digest.Write([]byte(message)) // a hash accepts everything
	r.recorder.Eventf(w.Cluster, nil, kind, reason, fmt.Sprintf("%s-%08x", action, digest.Sum32()), "%s", message)
}

// jitter spreads the passes over clusters that would otherwise run at the same time.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
