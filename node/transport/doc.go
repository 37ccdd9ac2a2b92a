// Package transport carries messages between nodes as JSON over HTTP/1.1: what the Raft papers call remote
// procedure calls, plus the proposals and reads that a follower hands to its leader. The data of a snapshot follows a
// line of JSON as it is.
//
// Sending never blocks the caller: each peer has an urgent lane (heartbeats, votes, timeout-now) and a bulk lane
// (entries), each with a bounded queue, goroutines and connections of its own. What does not fit is dropped and
// reported, because Raft sends again.
package transport
