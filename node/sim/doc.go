// Package sim runs whole clusters of production nodes on simulated disks, networks and clocks, in one thread of
// control, from one seed: the same seed lives through the same story to the letter. After every step it asks whether
// each promise of consensus is kept; at the end it heals a majority and demands that the cluster serves again; and it
// has the clients' history judged by a checker that is not ours. DESIGN.md says how.
package sim
