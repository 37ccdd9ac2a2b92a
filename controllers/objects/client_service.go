package objects

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
)

// ClientService is the Service through which clients reach the API. It routes to ready nodes only: those that belong
// to the cluster, have a leader and are not far behind (trap O22).
func ClientService(d Desired) *coreac.ServiceApplyConfiguration {
	spec := d.Cluster.Spec.ClientService
	return service(d, ClientServiceName(d.Cluster.Name), spec.Annotations).WithSpec(coreac.ServiceSpec().
		WithType(spec.Type).
		WithSelector(Selector(d.Cluster.Name)).
		WithPorts(servicePort(PortNameAPI, spec.Port)))
}

// service returns what all Services of a cluster have in common.
func service(d Desired, name string, annotations map[string]string) *coreac.ServiceApplyConfiguration {
	return coreac.Service(name, d.Cluster.Namespace).
		WithLabels(Labels(d.Cluster.Name)).
		WithAnnotations(annotations).
		WithOwnerReferences(owner(d.Cluster))
}

// servicePort maps a port of a Service to the nodes' port with the given name.
func servicePort(name string, port int32) *coreac.ServicePortApplyConfiguration {
	return coreac.ServicePort().
		WithName(name).WithPort(port).WithProtocol("TCP").WithTargetPort(intstr.FromString(name))
}
