package kv

// Entry is an entry of the log, as the state machine applies it.
type Entry struct {
	// Revision is the log index of the entry, and the revision of what it changes.
	Revision uint64
	// Timestamp is the proposer's clock, in microseconds since 1970. It is the only time that Apply may use.
	Timestamp int64
	// Command is the text of the command; nil if the entry has none for the state machine, as those that consensus
	// creates itself. The store keeps no part of it.
	Command []byte
}

// Apply applies an entry of the log, and returns the result of its command. It depends on the state and the entry
// alone (trap T45), and does all of a command or nothing: a command that cannot be parsed, or that the state does not
// allow, changes nothing, and the entry counts as applied.
//
// The revision must be the one after Applied; anything else is a broken invariant, and panics.
func (s *Store) Apply(e Entry) Result {
	s.advance(&e)
	before := s.changes.next
	result := s.do(e)
	s.cutOff(cutPerEntry + 2*int(s.changes.next-before))
	return result
}

// do executes the command of an entry.
func (s *Store) do(e Entry) Result {
	if e.Command == nil {
		return Result{}
	}
	o, _, err := s.parser.parse(e.Command)
	if err != nil {
		return Result{Code: CodeInvalid, Message: err.Error()}
	}
	if t, is := o.(*Txn); is {
		return s.transact(t, e)
	}
	result, changes := o.(decider).decide(s, e, s.pending[:0])
	s.carryOut(e.Revision, 0, changes)
	s.recycle(changes)
	return result
}

// mostPending is how many changes the memory of which is kept for the next entry.
const mostPending = 1024

// recycle keeps the memory of changes that were made for the next entry. They refer to their command.
func (s *Store) recycle(changes []change) {
	clear(changes)
	if s.pending = nil; cap(changes) <= mostPending {
		s.pending = changes[:0]
	}
}

// recycleSteps does so for the steps of a transaction.
func (s *Store) recycleSteps(steps []step) {
	clear(steps)
	if s.steps = nil; cap(steps) <= mostPending {
		s.steps = steps[:0]
	}
	if len(s.changed) > mostPending { // also by one delete of a range
		s.changed = map[string]int{}
	}
	clear(s.changed)
}

func revisionOf(current *Record) uint64 {
	if current == nil {
		return 0
	}
	return current.ModRevision
}
