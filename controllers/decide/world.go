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

// World is all that one pass saw of a RaftCluster and of what belongs to it. Next reads nothing else.
type World struct {
	// Cluster is the resource, with its defaults.
	Cluster *v1alpha1.RaftCluster
	// Set is its StatefulSet; nil: there is none.
	Set *appsv1.StatefulSet
	// Others are the cluster's other objects, by their Ref. They are only read while the cluster is paused, when nothing
	// is applied; nil: they were not read.
	Others map[string]metav1.Object
	// Seats are the places for nodes: one for each ordinal below spec.replicas, and for every further one that has a
	// pod, a claim or a member. In the order of their ordinals, without a gap.
	Seats []Seat

	// NodeImage is the operator's default for spec.image, ClusterDomain the DNS domain of the Kubernetes cluster.
	NodeImage     string
	ClusterDomain string
	// Templates are the pod templates that the operator can make.
	Templates objects.Templates
	// Mutations are the fields that the API server, or another writer, does not leave as the operator applies them. They
	// are found out by applying; before that there are none.
	Mutations []Mutation
	// Refused are the acts of this pass that the API server refused, and that nothing else has to wait for.
	Refused []Act
	// FreshID is a cluster id that nobody has, for a cluster that has none yet.
	FreshID string
	// Now is the time of the pass.
	Now time.Time
}

// Refuses reports whether an act was tried in this pass, and refused.
func (w *World) Refuses(act Act) bool {
	return slices.ContainsFunc(w.Refused, func(refused Act) bool { return refused.String() == act.String() })
}

// Mutation is an object that does not stay as it is applied, and how it differs.
type Mutation struct {
	Ref    objects.Ref
	Fields []objects.Difference
	// Writer is who changes it, for people.
	Writer string
}

// MemberID identifies a member in the Raft configuration. It is never used again in its cluster, and says nothing about
// the seat that the member has.
type MemberID uint64

// Seat is the place of one node: what Kubernetes has under one ordinal, and what the node there reports.
type Seat struct {
	Ordinal int32
	// Pod is nil where there is none.
	Pod *corev1.Pod
	// Claim is the claim of the node's volume; nil where there is none.
	Claim *corev1.PersistentVolumeClaim
	// View is what the node answered; nil: it did not. No answer never means an empty disk (trap O4).
	View *api.ClusterView
	// Silence says why there is no view, for people.
	Silence string
}
