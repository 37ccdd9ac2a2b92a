// Package storage is a node's disk: the log and the hard state in SQLite, in a file raft.db that every SQLite
// tool can open. What it reports as saved is on the disk; what it reads it has checked; what it cannot trust
// it refuses, and leaves as it is. DESIGN.md says why it is built this way and what it costs.
package storage
