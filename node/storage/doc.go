// Package storage keeps a node's state in two SQLite files that every SQLite tool can open: term, vote and log in
// raft.db, and the checkpoint of the state machine in state.db. Snapshots are copies of the checkpoint.
// What it reports as saved is on the disk. It checks everything that it reads, and refuses a damaged disk without
// changing it. DESIGN.md has the reasons and the costs.
package storage
