package objects

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

const (
	// nonRoot is the user and the group of the image's process, and the group of the files on the volume (trap O28),
	// unless the platform assigns them.
	nonRoot int64 = 65532
	// shutdownDelay is how long a stopping node continues to serve after it has failed its readiness probe: until
	// then every proxy has received that it is not ready (trap O25).
	shutdownDelay = 5 * time.Second
	// dataDir is below the mount, so that the process creates it itself and no other user can read it (trap O28).
	dataMount = "/data"
	dataDir   = dataMount + "/node"
	// tmpSize is the size of the volume for SQLite's temporary files.
	tmpSize = "64Mi"
)

// podTemplate describes each node's pod, in the template revision of d.
func podTemplate(d Desired) *coreac.PodTemplateSpecApplyConfiguration {
	template := firstTemplate(d)
	for _, amend := range d.Templates[:max(d.Template, 1)-1] {
		amend(d, template)
	}
	return template
}

// firstTemplate is revision 1 of the pod template. It never changes: see Templates.
func firstTemplate(d Desired) *coreac.PodTemplateSpecApplyConfiguration {
	pod := d.Cluster.Spec.Pod
	spec := coreac.PodSpec().
		WithSecurityContext(securityContext(pod.UserAssignment)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(pod.TerminationGracePeriodSeconds).
		WithContainers(nodeContainer(d)).
		WithVolumes(coreac.Volume().WithName("tmp").
			WithEmptyDir(coreac.EmptyDirVolumeSource().WithSizeLimit(resource.MustParse(tmpSize)))).
		WithNodeSelector(pod.NodeSelector)
	for _, secret := range d.Cluster.Spec.ImagePullSecrets {
		spec.WithImagePullSecrets(as[coreac.LocalObjectReferenceApplyConfiguration](secret))
	}
	for _, toleration := range pod.Tolerations {
		spec.WithTolerations(as[coreac.TolerationApplyConfiguration](toleration))
	}
	if pod.PriorityClassName != "" {
		spec.WithPriorityClassName(pod.PriorityClassName)
	}
	place(spec, d.Cluster)
	labels := withTheirs(Labels(d.Cluster.Name), pod.Labels)
	delete(labels, v1alpha1.LabelState) // a new pod has no state yet
	return coreac.PodTemplateSpec().
		WithLabels(labels).
		WithAnnotations(pod.Annotations).
		WithSpec(spec)
}

// securityContext returns that of the pods. If the platform assigns the user, the pods name none: OpenShift refuses a
// user outside of the namespace's range, and sets the user and the group of the volume if there is none.
func securityContext(assignment v1alpha1.UserAssignment) *coreac.PodSecurityContextApplyConfiguration {
	context := coreac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
		WithSeccompProfile(coreac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	if assignment != v1alpha1.UserFromPlatform {
		context.WithRunAsUser(nonRoot).WithRunAsGroup(nonRoot).WithFSGroup(nonRoot)
	}
	return context
}

// place spreads the pods over hosts and zones, unless the spec places them. Both are preferences, so that a cluster
// can run on fewer hosts than it has nodes.
func place(spec *coreac.PodSpecApplyConfiguration, c *v1alpha1.RaftCluster) {
	together := metaac.LabelSelector().WithMatchLabels(Selector(c.Name))
	if c.Spec.Pod.Affinity != nil {
		spec.WithAffinity(as[coreac.AffinityApplyConfiguration](c.Spec.Pod.Affinity))
	} else {
		spec.WithAffinity(coreac.Affinity().WithPodAntiAffinity(coreac.PodAntiAffinity().
			WithPreferredDuringSchedulingIgnoredDuringExecution(coreac.WeightedPodAffinityTerm().
				WithWeight(100).
				WithPodAffinityTerm(coreac.PodAffinityTerm().
					WithTopologyKey(corev1.LabelHostname).
					WithLabelSelector(together)))))
	}
	for _, constraint := range c.Spec.Pod.TopologySpreadConstraints {
		spec.WithTopologySpreadConstraints(as[coreac.TopologySpreadConstraintApplyConfiguration](constraint))
	}
	if len(c.Spec.Pod.TopologySpreadConstraints) == 0 {
		spec.WithTopologySpreadConstraints(coreac.TopologySpreadConstraint().
			WithMaxSkew(1).
			WithTopologyKey(corev1.LabelTopologyZone).
			WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(together))
	}
}

// nodeContainer runs one node. It adds no CPU limit: a throttled leader misses its heartbeats (trap O27).
func nodeContainer(d Desired) *coreac.ContainerApplyConfiguration {
	return coreac.Container().
		WithName(ContainerNode).
		WithImage(d.Image).
		WithImagePullPolicy(d.Cluster.Spec.ImagePullPolicy).
		WithArgs(arguments(d)...).
		WithEnv(environment()...).
		WithPorts(containerPort(PortNamePeer, PortPeer), containerPort(PortNameAPI, PortAPI)).
		WithResources(as[coreac.ResourceRequirementsApplyConfiguration](d.Cluster.Spec.Resources)).
		WithStartupProbe(startupProbe()).
		WithLivenessProbe(livenessProbe()).
		WithReadinessProbe(readinessProbe()).
		WithVolumeMounts(
			coreac.VolumeMount().WithName(volumeData).WithMountPath(dataMount),
			coreac.VolumeMount().WithName("tmp").WithMountPath("/tmp")).
		WithSecurityContext(coreac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(coreac.Capabilities().WithDrop("ALL")))
}

// arguments start a node without an identity, which waits to be bootstrapped. It listens on every address, because a
// port-forward arrives on the loopback one (trap O26).
func arguments(d Desired) []string {
	c := d.Cluster
	self := func(port int32) string { return nodeURL(c.Name, c.Namespace, "$(POD_NAME)", d.ClusterDomain, port) }
	milliseconds := func(n int32) string { return (time.Duration(n) * time.Millisecond).String() }
	return []string{
		"serve", "--join",
		"--data-dir", dataDir,
		"--listen-api", fmt.Sprintf(":%d", PortAPI),
		"--listen-peer", fmt.Sprintf(":%d", PortPeer),
		"--advertise-peer", self(PortPeer),
		"--advertise-api", self(PortAPI),
		"--heartbeat-interval", milliseconds(c.Spec.Raft.HeartbeatPeriodMilliseconds),
		"--election-timeout", milliseconds(c.Spec.Raft.ElectionTimeoutMilliseconds),
		"--shutdown-delay", shutdownDelay.String(),
	}
}

// environment sets the pod's name, and the Go runtime's memory limit: as many megabytes as the limit has mebibytes,
// which leaves 5 % for memory outside of its heap, mostly SQLite's pages. The limit is read where it is enforced, so
// that one from a LimitRange counts; without a limit it is the memory of the host. GOMAXPROCS needs nothing, because
// Go reads the CPU limit itself. A variable can only refer to those before it.
func environment() []*coreac.EnvVarApplyConfiguration {
	return []*coreac.EnvVarApplyConfiguration{
		coreac.EnvVar().WithName("POD_NAME").WithValueFrom(coreac.EnvVarSource().
			WithFieldRef(coreac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath("metadata.name"))),
		coreac.EnvVar().WithName("MEMORY_LIMIT_MEBIBYTES").WithValueFrom(coreac.EnvVarSource().
			WithResourceFieldRef(coreac.ResourceFieldSelector().
				WithResource("limits.memory").WithDivisor(resource.MustParse("1Mi")))),
		coreac.EnvVar().WithName("GOMEMLIMIT").WithValue("$(MEMORY_LIMIT_MEBIBYTES)000000"),
	}
}

func containerPort(name string, port int32) *coreac.ContainerPortApplyConfiguration {
	return coreac.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

// startupProbe gives a node half an hour to read and apply its log; until then there is no liveness probe (trap O23).
// It runs often, because a node with a short log starts at once.
func startupProbe() *coreac.ProbeApplyConfiguration {
	return probe("/startupz").WithPeriodSeconds(1).WithTimeoutSeconds(2).WithFailureThreshold(1800)
}

// livenessProbe restarts a node after a minute without a response. It does not depend on a slow disk or the quorum:
// restarts make both worse (trap O23).
func livenessProbe() *coreac.ProbeApplyConfiguration {
	return probe("/livez").WithPeriodSeconds(10).WithTimeoutSeconds(5).WithFailureThreshold(6)
}

// readinessProbe removes a node from the client Service within 4 seconds after it lost its leader for longer than an
// election, or began to stop. Nothing else depends on it (trap O22).
func readinessProbe() *coreac.ProbeApplyConfiguration {
	return probe("/readyz").WithPeriodSeconds(2).WithTimeoutSeconds(2).WithFailureThreshold(2)
}

func probe(path string) *coreac.ProbeApplyConfiguration {
	return coreac.Probe().
		WithHTTPGet(coreac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(PortNameAPI)))
}
