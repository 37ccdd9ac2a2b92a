// Package v1alpha1 is the API of the operator: RaftCluster, group raft.kontiki.dev.
//
// +kubebuilder:object:generate=true
// +groupName=raft.kontiki.dev
package v1alpha1
