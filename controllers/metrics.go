package controllers

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// The values of the label outcome.
const (
	outcomeDone   = "done"
	outcomeStale  = "stale"
	outcomeHeld   = "held"
	outcomeFailed = "failed"
)

// metrics are the operator's Prometheus metrics. No decision depends on them (trap O32).
type metrics struct {
	available    *prometheus.GaugeVec
	bootstrapped *prometheus.GaugeVec
	members      *prometheus.GaugeVec
	acts         *prometheus.CounterVec
}

// newMetrics creates and registers the metrics.
func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help},
			append([]string{"namespace", "cluster"}, labels...))
	}
	m := &metrics{
		available:    gauge("kontiki_cluster_available", "1 if a quorum of the RaftCluster serves, else 0."),
		bootstrapped: gauge("kontiki_cluster_bootstrapped", "1 once every initial member has its identity, else 0."),
		members:      gauge("kontiki_cluster_members", "Members of the RaftCluster, by health.", "health"),
		acts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kontiki_operator_acts_total",
			Help: "Acts of the operator other than applying objects, by kind and outcome (done, stale, held, failed).",
		}, []string{"namespace", "cluster", "kind", "outcome"}),
	}
	for _, c := range []prometheus.Collector{m.available, m.bootstrapped, m.members, m.acts} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// healths are all values of the label health, so that an unused value is 0 and not stale.
var healths = []v1alpha1.MemberHealth{
	v1alpha1.HealthHealthy, v1alpha1.HealthStarting, v1alpha1.HealthUnhealthy, v1alpha1.HealthUnreachable,
	v1alpha1.HealthLost,
}

// show sets the gauges of a cluster from its status.
func (m *metrics) show(key types.NamespacedName, status *v1alpha1.RaftClusterStatus) {
	one := func(condition string) float64 {
		if meta.IsStatusConditionTrue(status.Conditions, condition) {
			return 1
		}
		return 0
	}
	m.available.WithLabelValues(key.Namespace, key.Name).Set(one(v1alpha1.ConditionAvailable))
	m.bootstrapped.WithLabelValues(key.Namespace, key.Name).Set(one(v1alpha1.ConditionBootstrapped))
	count := map[v1alpha1.MemberHealth]int{}
	for i := range status.Members {
		count[status.Members[i].Health]++
	}
	for _, health := range healths {
		m.members.WithLabelValues(key.Namespace, key.Name, string(health)).Set(float64(count[health]))
	}
}

// acted counts an act.
func (m *metrics) acted(key types.NamespacedName, kind, outcome string) {
	m.acts.WithLabelValues(key.Namespace, key.Name, kind, outcome).Inc()
}

// forget removes the metrics of a deleted cluster.
func (m *metrics) forget(key types.NamespacedName) {
	labels := prometheus.Labels{"namespace": key.Namespace, "cluster": key.Name}
	m.available.DeletePartialMatch(labels)
	m.bootstrapped.DeletePartialMatch(labels)
	m.members.DeletePartialMatch(labels)
	m.acts.DeletePartialMatch(labels)
}
