// Package budget divides the memory and descriptors of one process among its connections: clients' requests, peers'
// messages, probes. It bounds both, so that no number of slow, large or silent connections ends the process or
// separates Raft from its peers. DESIGN.md has the shares and their reasons.
package budget
