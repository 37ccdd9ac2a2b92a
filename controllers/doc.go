// Package controllers is the operator: it makes of each RaftCluster a StatefulSet of nodes, gives the nodes their
// identities once, and replaces their pods one by one.
//
// One pass is observe, decide, apply, act, and the status: observe reads Kubernetes and asks every node, package decide
// is a pure function of what was seen, and at most one act follows from it, which package actor carries out. DESIGN.md
// has the walk through one pass, function by function.
package controllers
