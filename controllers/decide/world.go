package decide

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// World is everything that one pass observed of a RaftCluster and its objects. Next reads nothing else.
type World struct {
	// Cluster is the resource, with its defaults.
	Cluster *v1alpha1.RaftCluster
	// Set is its StatefulSet, or nil.
	Set *appsv1.StatefulSet
	// Others are the cluster's other objects, by their Ref. They are read only while the cluster is paused, when
	// nothing is applied; nil if they were not read.
	Others map[string]metav1.Object
	// Seats are the places for nodes: one for each ordinal below spec.replicas, and for every higher one that has a
	// pod, a claim or a member. They are in the order of their ordinals, without a gap.
	Seats []Seat

	// NodeImage is the operator's default for spec.image, ClusterDomain the DNS domain of the Kubernetes cluster.
	NodeImage     string
	ClusterDomain string
	// Templates are the pod templates that the operator supports.
	Templates objects.Templates
	// Mutations are the fields for which the API server, or another writer, does not keep the value that the operator
	// applies. Only an apply finds them; before that there are none.
	Mutations []Mutation
	// Refused are the acts of this pass that the API server refused, and that nothing else waits for.
	Refused []Act
	// FreshID is a new cluster id, for a cluster that has none yet.
	FreshID string
	// Now is the time of the pass.
	Now time.Time
}

// Refuses reports whether the API server refused an act in this pass.
func (w *World) Refuses(act Act) bool {
	return slices.ContainsFunc(w.Refused, func(refused Act) bool { return refused.String() == act.String() })
}

// Mutation is an object that does not keep its applied fields, and how it differs.
type Mutation struct {
	Ref    objects.Ref
	Fields []objects.Difference
	// Writer names the client that changes it, for people.
	Writer string
}

// MemberID identifies a member in the Raft configuration. It is never reused in its cluster, and is independent of the
// member's seat.
type MemberID uint64

// Seat is the place of one node: its Kubernetes objects under one ordinal, and what the node reports.
type Seat struct {
	Ordinal int32
	// Pod is nil if there is none.
	Pod *corev1.Pod
	// Claim is the claim of the node's volume, or nil.
	Claim *corev1.PersistentVolumeClaim
	// View is the node's answer, or nil. No answer never means an empty disk (trap O4).
	View *api.ClusterView
	// Silence explains why there is no view, for people.
	Silence string
}
