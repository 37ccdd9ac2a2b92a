package kv

// change is what an operation changes: one key, or how far the history reaches.
type change struct {
	kind        changeKind
	item        *item // of the key; nil: it has no version
	key         []byte
	created     string // the key that the change creates, once it was needed
	value       []byte
	contentType string
	revision    uint64 // of a compaction
}

type changeKind uint8

const (
	written changeKind = iota
	removed
	compacted
)

// write returns the change that sets the value of a key.
func write(key []byte, it *item, value []byte, contentType string) change {
	return change{kind: written, key: key, item: it, value: value, contentType: contentType}
}

// name returns the key of a change, which is not one of the history.
func (c *change) name() string {
	if c.item != nil {
		return c.item.newest.Key
	}
	if c.created == "" {
		c.created = string(c.key)
	}
	return c.created
}

// removal returns the change that removes a key that is present.
func removal(it *item) change { return change{kind: removed, item: it} }

// carryOut makes the changes of an entry, which are to different keys. Nothing else changes the content of a store, but
// for cutOff, which removes what can no longer be read. The first change has this position in the revision.
func (s *Store) carryOut(revision uint64, position int, changes []change) {
	for i := range changes {
		c := &changes[i]
		switch c.kind {
		case written:
			s.write(revision, position, c)
			position++
		case removed:
			s.remove(revision, position, c)
			position++
		case compacted:
			s.compacted = c.revision
		}
	}
}

// write makes a new version of a key. It copies key and value out of the entry: the log is cut one day, and a small
// value would retain the memory of its entry, and on a follower that of the message that it came in.
func (s *Store) write(revision uint64, position int, c *change) {
	r := Record{
		Value: make([]byte, len(c.value)), ContentType: s.types.intern(c.contentType),
		CreateRevision: revision, ModRevision: revision, Version: 1, Modified: s.time, Position: position,
	}
	copy(r.Value, c.value)
	it := c.item
	if it == nil {
		r.Key = c.name()
		it = &item{}
		s.items.Set(r.Key, it)
	} else {
		r.Key = it.newest.Key
	}
	var freed int64
	if old := it.newest; old != nil && !old.isTombstone() {
		r.CreateRevision, r.Version = old.CreateRevision, old.Version+1
		freed = s.end(old)
	}
	s.stats.Keys++
	s.stats.LiveBytes += r.size()
	s.push(it, r, freed)
	s.recent.add(it, s.items.Len())
}

// remove makes the tombstone of a key.
func (s *Store) remove(revision uint64, position int, c *change) {
	old := c.item.newest
	freed := s.end(old)
	r := Record{Key: old.Key, ModRevision: revision, Modified: s.time, Position: position}
	s.stats.Versions++
	s.stats.HistoryBytes += r.size()
	s.push(c.item, r, freed+r.size())
}

// end moves the newest version of a key to the history, and returns its size.
func (s *Store) end(v *version) int64 {
	delete(s.facts, v.Key)
	size := v.size()
	s.stats.Keys--
	s.stats.LiveBytes -= size
	s.stats.Versions++
	s.stats.HistoryBytes += size
	return size
}

func (s *Store) push(it *item, r Record, freed int64) {
	v := &version{r}
	s.sum += sumOf(&v.Record)
	it.push(v)
	s.changes.append(listed{v, it}, freed)
	s.volume.count(v, freed)
}
