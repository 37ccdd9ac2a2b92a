// Package objects describes the Kubernetes objects of a RaftCluster: one file per object, each a pure function of a
// Desired. It makes no requests to Kubernetes.
//
// The results are apply configurations, for server-side apply: fields that they do not set belong to others. Differs
// reports whether applying one would change anything, so that the operator makes no write for a steady cluster.
package objects
