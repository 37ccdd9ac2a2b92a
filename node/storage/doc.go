// Package storage keeps a node's log and hard state in SQLite, in a file raft.db that every SQLite tool can open.
// What it reports as saved is on the disk. It checks everything that it reads, and refuses a damaged disk without
// changing it. DESIGN.md has the reasons and the costs.
package storage
