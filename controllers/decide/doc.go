// Package decide makes the operator's decisions. Next is a pure function from a World, everything that one pass
// observed, to a Plan: the desired objects, the one act of the pass, and the status.
//
// Seats and members are independent. A Seat is a place in Kubernetes: an ordinal of the StatefulSet, with its pod and
// claim. A member is an id in the Raft configuration; it may have a seat of any ordinal, or none.
package decide
