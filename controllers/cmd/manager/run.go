package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers"
	"github.com/kontiki-dev/kontiki/node/client"
)

// leaseName is the Lease, in the operator's own namespace, whose holder reconciles.
const leaseName = "kontiki-operator"

// run runs the operator until ctx ends.
func run(ctx context.Context, o options, stderr io.Writer) error {
	logger, err := newLogger(o, stderr)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	kube, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("not running in a Kubernetes cluster, and KUBECONFIG names none: %w", err)
	}
	kube.UserAgent = "kontiki-operator/" + version
	manager, err := newManager(kube, o)
	if err != nil {
		return err
	}
	nodes := client.NewDirect(client.Config{})
	defer nodes.Close()
	err = controllers.Setup(manager, controllers.Options{
		NodeImage: o.nodeImage, ClusterDomain: o.clusterDomain, MaxConcurrentReconciles: o.maxConcurrentReconciles,
		Nodes: nodes, Registry: ctrlmetrics.Registry,
	})
	if err != nil {
		return err
	}
	logger.Info("starting the operator", "version", version, "nodeImage", o.nodeImage, "namespaces", o.watchNamespaces)
	return manager.Start(ctx)
}

// newLogger returns the logger of the process, which controller-runtime and client-go use as well.
func newLogger(o options, stderr io.Writer) (logr.Logger, error) {
	level, err := o.level()
	if err != nil {
		return logr.Logger{}, err
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(stderr, options)
	if o.logFormat == "json" {
		handler = slog.NewJSONHandler(stderr, options)
	}
	return logr.FromSlogHandler(handler), nil
}

// newManager returns a manager with the operator's types, a cache of the operator's objects only, and probes.
func newManager(kube *rest.Config, o options) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	cache, err := controllers.CacheOptions(o.watchNamespaces)
	if err != nil {
		return nil, err
	}
	metrics := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	manager, err := ctrl.NewManager(kube, ctrl.Options{
		Scheme:                 scheme,
		Cache:                  cache,
		Metrics:                metrics,
		HealthProbeBindAddress: o.healthAddress,
		LeaderElection:         o.leaderElect,
		LeaderElectionID:       leaseName,
		// The process ends with the manager, so that the next one need not wait for the Lease to expire.
		LeaderElectionReleaseOnCancel: true,
		// A replica that waits for the Lease fills its caches.
		Controller: ctrlconfig.Controller{EnableWarmup: new(true)},
	})
	switch {
	case err != nil && o.leaderElect:
		return nil, fmt.Errorf("creating the manager (outside of Kubernetes it needs --leader-elect=false): %w", err)
	case err != nil:
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return manager, manager.AddReadyzCheck("ping", healthz.Ping)
}
