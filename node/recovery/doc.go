// Package recovery makes a new cluster of one member of what the members of a cluster without a quorum have on their
// disks. It works without a running node, and changes nothing in the directories that it reads.
package recovery
