package raft

// NodeID identifies a member of the cluster. It is positive and never used twice in one cluster (trap T28). Zero
// means no node.
type NodeID uint64

// Term is the paper's logical clock (section 5.1). Terms only grow.
type Term uint64

// Index is a position in the log. The first entry has index 1; zero is the position before it.
type Index uint64

// EntryType is the kind of an entry. It is not stored: where an entry is read, from a disk or from another node, it is
// derived from the command.
type EntryType uint8

// The entry types.
const (
	// EntryCommand carries a command for the state machine.
	EntryCommand EntryType = iota
	// EntryNoOp is appended by a leader when its term begins, so that it can commit (paper, section 8).
	EntryNoOp
	// EntrySeat seats one disk of a member; see Seat.
	EntrySeat
	// EntryCheck makes each node that applies it compare its state with that of the others.
	EntryCheck
	// EntryConfig carries a Configuration, which is in force from there on.
	EntryConfig
)

// Entry is one position of the replicated log.
type Entry struct {
	Index Index
	Term  Term
	Type  EntryType
	// Timestamp is the proposer's wall clock, in microseconds since 1970. No decision uses it.
	Timestamp int64
	// Command is encoded once, when it was proposed: the log, the followers and the log viewer get the same bytes. They
	// must not be changed. The core reads only those of an EntrySeat and an EntryConfig.
	Command []byte
}

// Encoding is how the commands of the entries that the core creates itself are encoded. The core is independent of it,
// as it is of the commands of the state machine.
type Encoding struct {
	// NoOp is the command of every EntryNoOp.
	NoOp []byte
	// Check is the command of every EntryCheck.
	Check []byte
	// Seat returns the command of the EntrySeat that assigns a seat.
	Seat func(Seat) []byte
	// ParseSeat is the inverse of Seat; false for any other command.
	ParseSeat func(command []byte) (Seat, bool)
	// Configuration returns the command of the EntryConfig that carries a configuration. It is without the index.
	Configuration func(Configuration) []byte
	// ParseConfiguration is the inverse of Configuration. The error states what is wrong in the command.
	ParseConfiguration func(command []byte) (Configuration, error)
}
