package objects

import (
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// DashboardService is the Service through which browsers reach the dashboard. It also routes to nodes that are not
// ready: the dashboard is needed most after a quorum loss, when no node is ready (trap O22). It does not route to
// nodes without an identity, which any client could bootstrap: the operator labels the pods of members.
func DashboardService(d Desired) *coreac.ServiceApplyConfiguration {
	spec := d.Cluster.Spec.Dashboard
	return service(d, DashboardServiceName(d.Cluster.Name), spec.Annotations).WithSpec(coreac.ServiceSpec().
		WithType(spec.Type).
		WithPublishNotReadyAddresses(true).
		WithSelector(Selector(d.Cluster.Name)).
		WithSelector(map[string]string{v1alpha1.LabelState: v1alpha1.StateMember}).
		WithPorts(servicePort(PortNameAPI, spec.Port)))
}

// hasDashboard reports whether the dashboard has a Service.
func hasDashboard(d Desired) bool { return d.Cluster.Spec.Dashboard.Mode != v1alpha1.DashboardDisabled }
