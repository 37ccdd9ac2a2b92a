// Package budget divides what one process has, memory and descriptors, among its connections: clients' requests, peers'
// messages, probes. It bounds both, so that no number of slow, large or silent connections ends the process or keeps
// Raft from its peers. DESIGN.md has the shares and their reasons.
package budget
