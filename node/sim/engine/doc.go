// Package engine simulates the machines of a cluster: tasks, clocks, disks, the network, and the processes of
// production nodes on them, in one thread of control. It makes the faults that strike in the middle of an operation,
// and shows every step to an Observer. It contains no invariant.
package engine
