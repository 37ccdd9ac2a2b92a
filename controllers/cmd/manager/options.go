package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
)

// options are the values of the flags.
type options struct {
	nodeImage, clusterDomain string
	watchNamespaces          []string
	leaderElect              bool
	metricsAddress           string
	metricsSecure            bool
	healthAddress            string
	maxConcurrentReconciles  int
	logLevel, logFormat      string
}

// off as an address disables the listener.
const off = "0"

func (o *options) bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.nodeImage, "node-image", "", "image of the nodes of a RaftCluster that names none (required)")
	flags.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local", "DNS domain of the Kubernetes cluster")
	flags.StringArrayVar(&o.watchNamespaces, "watch-namespace", nil,
		"namespace to watch for RaftClusters; can be repeated (default all)")
	flags.BoolVar(&o.leaderElect, "leader-elect", true,
		"reconcile only while holding the Lease "+leaseName+", so that one of several replicas is active")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of /metrics; 0 disables it")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true,
		"serve /metrics over HTTPS, to clients that Kubernetes authorizes")
	flags.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081",
		"address of /healthz and /readyz; 0 disables it")
	flags.IntVar(&o.maxConcurrentReconciles, "max-concurrent-reconciles", 4,
		"maximum number of concurrent reconciles")
	flags.StringVar(&o.logLevel, "log-level", "info", "log level: debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "log format: text or json")
}

// check returns all faults of the flags.
func (o *options) check() error {
	var wrong []error
	require := func(ok bool, format string, values ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, values...))
		}
	}
	require(o.nodeImage != "", "--node-image is required, for example registry.example/raftnode:1.0")
	domain := strings.Trim(o.clusterDomain, ".")
	require(len(validation.IsDNS1123Subdomain(domain)) == 0,
		"--cluster-domain %q is not a DNS domain; most clusters have cluster.local", o.clusterDomain)
	for _, namespace := range o.watchNamespaces {
		require(len(validation.IsDNS1123Label(namespace)) == 0, "--watch-namespace %q is not a namespace name", namespace)
	}
	for _, listener := range []struct{ flag, address string }{
		{"--metrics-bind-address", o.metricsAddress}, {"--health-probe-bind-address", o.healthAddress},
	} {
		_, _, err := net.SplitHostPort(listener.address)
		require(listener.address == off || err == nil, "%s %q must be host:port, :port or 0", listener.flag,
			listener.address)
	}
	require(o.maxConcurrentReconciles > 0, "--max-concurrent-reconciles is %d; must be at least 1",
		o.maxConcurrentReconciles)
	_, err := o.level()
	require(err == nil, "--log-level %q must be debug, info, warn or error", o.logLevel)
	require(slices.Contains([]string{"text", "json"}, o.logFormat), "--log-format %q must be text or json",
		o.logFormat)
	return errors.Join(wrong...)
}

func (o *options) level() (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[o.logLevel]
	if !ok {
		return 0, fmt.Errorf("unknown log level %q", o.logLevel)
	}
	return level, nil
}
