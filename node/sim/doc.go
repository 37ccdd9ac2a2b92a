// Package sim runs whole clusters of production nodes on simulated disks, networks and clocks, in one thread of
// control, from one seed that determines the run completely. After every step it checks the invariants of consensus.
// At the end it heals a majority, checks that the cluster serves again, and judges the clients' history with an
// independent checker. DESIGN.md describes what is simulated and how.
//
// Package engine simulates nodes, package check holds the invariants, and package scenario plays scenario files on a
// Cluster of this package.
package sim
