// Package identity is who a node is: its id, its cluster and the members, what its disk has of them, which disk of a
// member counts, and the agreement of the members on who founds the cluster. It is pure: package founding asks the
// members.
package identity
