// Package controllers is the operator: it runs each RaftCluster as a StatefulSet of nodes, gives the nodes their
// identities once, and replaces their pods one by one.
//
// One pass observes, decides, applies, acts and writes the status: observe reads Kubernetes and asks every node,
// package decide is a pure function of the observation, and package actor carries out at most one act. DESIGN.md
// describes one pass, function by function.
package controllers
