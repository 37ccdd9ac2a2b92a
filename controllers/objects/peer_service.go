package objects

import (
	corev1 "k8s.io/api/core/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
)

// PeerService is the headless Service under which the nodes find each other, and under which a program can reach one
// node by name. It also publishes the addresses of nodes that are not ready: a node becomes ready only after it has
// found the others, and one that transfers its leadership while it stops is no longer ready (traps O20, O21).
func PeerService(d Desired) *coreac.ServiceApplyConfiguration {
	return service(d, PeerServiceName(d.Cluster.Name), nil).WithSpec(coreac.ServiceSpec().
		WithType(corev1.ServiceTypeClusterIP).
		WithClusterIP(corev1.ClusterIPNone).
		WithPublishNotReadyAddresses(true).
		WithSelector(Selector(d.Cluster.Name)).
		WithPorts(servicePort(PortNamePeer, PortPeer), servicePort(PortNameAPI, PortAPI)))
}
