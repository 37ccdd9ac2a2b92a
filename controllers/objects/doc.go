// Package objects describes the Kubernetes objects that make up a RaftCluster: one file per object, each a pure
// function of a Desired. Nothing here talks to Kubernetes.
//
// The results are apply configurations, for server-side apply: what they do not mention belongs to others. Differs
// reports whether applying one would change anything, so that a steady cluster makes no write.
package objects
