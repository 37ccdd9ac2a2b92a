// Package decide decides what the operator does. Next is a pure function: from a World, all that one pass saw, it makes
// a Plan, which says what the objects should be, what the one act of the pass is, and what the status says.
//
// Seats and members are apart. A Seat is a place in Kubernetes: an ordinal of the StatefulSet, with its pod and claim.
// A member is an id in the Raft configuration, and has a seat, another seat than its id suggests, or none.
package decide
