package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// Desired determines the objects of a cluster.
type Desired struct {
	// Cluster is the resource, with its defaults. Its name, namespace, UID and spec are used, never its status.
	Cluster *v1alpha1.RaftCluster
	// Image is the nodes' image: the recorded one of the status, not the operator's current default.
	Image string
	// Templates are the pod templates that the operator can make, and Template the revision for the image: the
	// recorded one of the status, not the newest. A value below 1 means 1.
	Templates Templates
	Template  int32
	// Replicas is the number of pods.
	Replicas int32
	// Quorum is the number of pods that drains must leave; 1 or less: a drain may take every pod.
	Quorum int32
	// ClusterDomain is the DNS domain of the Kubernetes cluster, such as cluster.local. The nodes' addresses end in
	// it, so a change means other pods.
	ClusterDomain string
}

// Ref identifies an object in the namespace of a cluster.
type Ref struct {
	schema.GroupVersionKind
	Name string
}

// String returns the object for logs and events: "Service demo-peers".
func (r Ref) String() string { return r.Kind + " " + r.Name }

// Object is an object that must exist, and its description.
type Object struct {
	Ref
	Config runtime.ApplyConfiguration
	// Needs are the objects that must exist before this one is applied. It is independent of all others.
	Needs []Ref
}

// All describes the objects that must exist, each after those that it needs. The StatefulSet needs the peer Service:
// the name of a node must resolve when its pod starts, because DNS caches a failure for 30 seconds (trap O20).
func All(d Desired) []Object {
	peers, set := stamp(PeerService(d)), stamp(StatefulSet(d))
	set.Needs = []Ref{peers.Ref}
	all := []Object{peers, stamp(ClientService(d))}
	if hasDashboard(d) {
		all = append(all, stamp(DashboardService(d)))
	}
	if hasBudget(d) {
		all = append(all, stamp(DisruptionBudget(d)))
	}
	return append(all, set)
}

// Unwanted names the objects that must not exist, although All describes them for other clusters.
func Unwanted(d Desired) []Ref {
	var refs []Ref
	if !hasDashboard(d) {
		refs = append(refs, Ref{corev1.SchemeGroupVersion.WithKind("Service"), DashboardServiceName(d.Cluster.Name)})
	}
	if !hasBudget(d) {
		kind := policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
		refs = append(refs, Ref{kind, DisruptionBudgetName(d.Cluster.Name)})
	}
	return refs
}

// Others names every object except the StatefulSet that a cluster of this name can have.
func Others(cluster string) []Ref {
	service := corev1.SchemeGroupVersion.WithKind("Service")
	budget := policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget")
	return []Ref{
		{service, PeerServiceName(cluster)},
		{service, ClientServiceName(cluster)},
		{service, DashboardServiceName(cluster)},
		{budget, DisruptionBudgetName(cluster)},
	}
}

// configuration is the common interface of the apply configurations of all kinds.
type configuration[T any] interface {
	runtime.ApplyConfiguration
	GetAPIVersion() *string
	GetKind() *string
	GetName() *string
	WithAnnotations(entries map[string]string) T
}

// stamp adds the digest of a description to it.
func stamp[T configuration[T]](config T) Object {
	sum := sha256.Sum256(encode(config))
	config.WithAnnotations(map[string]string{AnnotationApplied: hex.EncodeToString(sum[:8])})
	kind := schema.FromAPIVersionAndKind(*config.GetAPIVersion(), *config.GetKind())
	return Object{Ref: Ref{GroupVersionKind: kind, Name: *config.GetName()}, Config: config}
}

// owner sets the cluster as the owner of an object: the garbage collector deletes the object with the cluster, and a
// foreground deletion of the cluster waits for it.
func owner(c *v1alpha1.RaftCluster) *metaac.OwnerReferenceApplyConfiguration {
	return metaac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("RaftCluster").
		WithName(c.Name).WithUID(c.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}

// withTheirs adds the entries of the spec to those of the operator, which take precedence.
func withTheirs(operators, theirs map[string]string) map[string]string {
	both := maps.Clone(theirs)
	if both == nil {
		return operators
	}
	maps.Copy(both, operators)
	return both
}

// as converts a part of the spec to its apply configuration. Both are generated from the same source and have the
// same JSON, so nothing is lost, and nothing can fail, since the API server decoded it before.
func as[T any](part any) *T {
	into := new(T)
	if err := json.Unmarshal(encode(part), into); err != nil {
		panic(fmt.Sprintf("objects: %T does not fit into %T: %v", part, into, err))
	}
	return into
}

// encode returns the JSON of a value that always has one: API types contain no channel, function, cycle or NaN.
func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("objects: %T has no JSON: %v", value, err))
	}
	return text
}
