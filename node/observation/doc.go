// Package observation is what a node shows of itself and of its cluster: its events and alarms, the statuses of the
// other members, and the verdict on the cluster's health. The loop reports facts to it; it takes no part in consensus.
package observation
