package kv

// change is what an operation changes of one key. The zero value changes nothing.
type change struct {
	kind        changeKind
	key         []byte
	current     *Record // nil: the key is absent
	value       []byte
	contentType string
}

type changeKind uint8

const (
	nothing changeKind = iota
	written
	removed
)

// write returns the change that sets the value of a key.
func write(key []byte, current *Record, value []byte, contentType string) change {
	return change{kind: written, key: key, current: current, value: value, contentType: contentType}
}

// removal returns the change that removes a key.
func removal(current *Record) change { return change{kind: removed, current: current} }

// carryOut makes a change. Nothing else changes the content of a store.
func (s *Store) carryOut(revision uint64, c *change) {
	switch {
	case c.kind == removed:
		s.remove(c.current.Key)
	case c.kind == written && c.current == nil:
		s.create(revision, c)
	case c.kind == written:
		s.update(revision, c)
	}
}
