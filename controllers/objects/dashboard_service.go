package objects

import (
	coreac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// DashboardService is the Service through which people reach the page. It leads to nodes that are not ready, too: the
// page is wanted most when there is no quorum, and then no node is ready (trap O22). It does not lead to nodes without
// an identity, which take one from whoever reaches them first: the operator labels the pods of members.
func DashboardService(d Desired) *coreac.ServiceApplyConfiguration {
	spec := d.Cluster.Spec.Dashboard
	return service(d, DashboardServiceName(d.Cluster.Name), spec.Annotations).WithSpec(coreac.ServiceSpec().
		WithType(spec.Type).
		WithPublishNotReadyAddresses(true).
		WithSelector(Selector(d.Cluster.Name)).
		WithSelector(map[string]string{v1alpha1.LabelState: v1alpha1.StateMember}).
		WithPorts(servicePort(PortNameAPI, spec.Port)))
}

// hasDashboard tells whether there is to be a Service for the page.
func hasDashboard(d Desired) bool { return d.Cluster.Spec.Dashboard.Mode != v1alpha1.DashboardDisabled }
