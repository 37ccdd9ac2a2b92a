package objects

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// The ports of a node, and their names in pods and Services.
const (
	PortPeer     int32 = 7080
	PortAPI      int32 = 8080
	PortNamePeer       = "peer"
	PortNameAPI        = "api"
)

// FieldOwner is the name under which the operator owns the fields that it writes.
const FieldOwner = "kontiki-operator"

// ContainerNode is the name of the container in which a node runs.
const ContainerNode = "raftnode"

// AnnotationApplied is on every object that All describes: a short digest of that description. A description that no
// longer sets a field has another digest, which is how Differs detects a removed field.
const AnnotationApplied = "raft.kontiki.dev/applied"

// AnnotationTemplate is on every StatefulSet: the revision of its pod template, see Templates.
const AnnotationTemplate = "raft.kontiki.dev/template"

// volumeData is the name of the claim template, and the prefix of every claim: data-<pod>.
const volumeData = "data"

// StatefulSetName returns the name of a cluster's StatefulSet.
func StatefulSetName(cluster string) string { return cluster }

// ClientServiceName returns the name of the Service through which clients reach a cluster.
func ClientServiceName(cluster string) string { return cluster }

// PeerServiceName returns the name of the headless Service under which the nodes of a cluster find each other.
func PeerServiceName(cluster string) string { return cluster + "-peers" }

// DashboardServiceName returns the name of the Service through which browsers reach a cluster's dashboard.
func DashboardServiceName(cluster string) string { return cluster + "-dashboard" }

// DisruptionBudgetName returns the name of a cluster's PodDisruptionBudget.
func DisruptionBudgetName(cluster string) string { return cluster }

// PodName returns the name of the pod of an ordinal, counted from 0.
func PodName(cluster string, ordinal int32) string {
	return fmt.Sprintf("%s-%d", StatefulSetName(cluster), ordinal)
}

// ClaimName returns the name of the PersistentVolumeClaim of an ordinal's pod.
func ClaimName(cluster string, ordinal int32) string {
	return volumeData + "-" + PodName(cluster, ordinal)
}

// Ordinal is the inverse of PodName. It returns false if no pod of this cluster has that name.
func Ordinal(cluster, podName string) (int32, bool) {
	digits, ours := strings.CutPrefix(podName, StatefulSetName(cluster)+"-")
	ordinal, err := strconv.ParseInt(digits, 10, 32)
	if !ours || err != nil || PodName(cluster, int32(ordinal)) != podName || ordinal < 0 {
		return 0, false
	}
	return int32(ordinal), true
}

// ClaimOrdinal is the inverse of ClaimName. It returns false if no claim of this cluster has that name.
func ClaimOrdinal(cluster, claimName string) (int32, bool) {
	podName, ours := strings.CutPrefix(claimName, volumeData+"-")
	if !ours {
		return 0, false
	}
	return Ordinal(cluster, podName)
}

// PeerURL returns the peer URL of the node of an ordinal. domain is the DNS domain of the Kubernetes cluster, such as
// cluster.local.
func PeerURL(cluster, namespace string, ordinal int32, domain string) string {
	return nodeURL(cluster, namespace, PodName(cluster, ordinal), domain, PortPeer)
}

// APIURL returns the URL of the API of the node of an ordinal, for programs inside the Kubernetes cluster.
func APIURL(cluster, namespace string, ordinal int32, domain string) string {
	return nodeURL(cluster, namespace, PodName(cluster, ordinal), domain, PortAPI)
}

// nodeURL ends the name with a dot: a fully qualified name is looked up once, and not along the search path
// (trap O20).
func nodeURL(cluster, namespace, pod, domain string, port int32) string {
	domain = strings.Trim(domain, ".")
	return fmt.Sprintf("http://%s.%s.%s.svc.%s.:%d", pod, PeerServiceName(cluster), namespace, domain, port)
}

// Endpoint is the URL of the API of the node at an address, of whichever IP family.
func Endpoint(podIP string) string {
	return "http://" + net.JoinHostPort(podIP, strconv.Itoa(int(PortAPI)))
}

// Selector selects everything that belongs to a cluster, its pods and claims among it. Labels that people may want to
// change have no part in it, because the selector of a StatefulSet can never change.
func Selector(cluster string) map[string]string {
	return map[string]string{v1alpha1.LabelCluster: cluster}
}

// Labels returns the labels of all objects of a cluster: Selector, and those that Kubernetes recommends
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/). They contain no version: they
// are on the pods too, where every change is a restart.
func Labels(cluster string) map[string]string {
	return map[string]string{
		v1alpha1.LabelCluster:          cluster,
		"app.kubernetes.io/name":       "kontiki",
		"app.kubernetes.io/instance":   cluster,
		"app.kubernetes.io/component":  "node",
		"app.kubernetes.io/managed-by": "kontiki-operator",
	}
}
