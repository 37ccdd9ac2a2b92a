package controllers

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

const (
	// reconciliationTimeout limits one pass, all its requests together.
	reconciliationTimeout = 30 * time.Second
	// A failed pass is retried after a delay that doubles from the first to the longest. The default of
	// controller-runtime goes up to 17 minutes; a cluster would wait that long after the fault is over.
	firstRetry, longestRetry = 200 * time.Millisecond, 30 * time.Second
)

// Options configure the operator.
type Options struct {
	// NodeImage is the image of the nodes of a RaftCluster that names none.
	NodeImage string
	// ClusterDomain is the DNS domain of the Kubernetes cluster, such as cluster.local.
	ClusterDomain string
	// MaxConcurrentReconciles is how many RaftClusters are reconciled at the same time.
	MaxConcurrentReconciles int
	// Nodes sends requests to the nodes; it must be safe for concurrent use.
	Nodes Nodes
	// Registry registers the metrics.
	Registry prometheus.Registerer
}

// CacheOptions restricts the manager's cache to the objects with the operator's label in the given namespaces, or in
// all namespaces if none is given.
func CacheOptions(namespaces []string) (cache.Options, error) {
	labelled, err := labels.NewRequirement(v1alpha1.LabelCluster, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, err
	}
	ours := cache.ByObject{Label: labels.NewSelector().Add(*labelled)}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[ctrlclient.Object]cache.ByObject{
			&corev1.Pod{}: ours, &corev1.PersistentVolumeClaim{}: ours, &corev1.Service{}: ours,
			&appsv1.StatefulSet{}: ours, &policyv1.PodDisruptionBudget{}: ours,
		},
	}
	for _, namespace := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	return options, nil
}

// Setup adds the operator to a manager whose scheme has the types of Kubernetes and of api/v1alpha1, and whose cache
// was created with CacheOptions.
func Setup(mgr manager.Manager, o Options) error {
	r, err := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder(objects.FieldOwner), o)
	if err != nil {
		return err
	}
	byLabel := handler.EnqueueRequestsFromMapFunc(clusterOf)
	return builder.ControllerManagedBy(mgr).
		For(&v1alpha1.RaftCluster{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.StatefulSet{}).
		Owns(&corev1.Service{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Watches(&corev1.Pod{}, byLabel).
		Watches(&corev1.PersistentVolumeClaim{}, byLabel).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.MaxConcurrentReconciles,
			ReconciliationTimeout:   reconciliationTimeout,
			LogConstructor:          logsOf(mgr.GetLogger()),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				firstRetry, longestRetry),
		}).
		Complete(r)
}

// logsOf formats log lines: it names their cluster, and drops the attributes that are the same in all of them.
func logsOf(logger logr.Logger) func(*reconcile.Request) logr.Logger {
	return func(request *reconcile.Request) logr.Logger {
		if request == nil {
			return logger
		}
		return logger.WithValues("cluster", request.String())
	}
}

// clusterOf returns the RaftCluster that a pod or claim belongs to.
func clusterOf(_ context.Context, object ctrlclient.Object) []reconcile.Request {
	name := object.GetLabels()[v1alpha1.LabelCluster]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}
