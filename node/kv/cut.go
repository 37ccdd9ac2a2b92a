package kv

// cutPerEntry is how many changes one entry cuts, beside twice as many as it makes, so that no entry takes long because
// a long history goes. It may be more, by at most the changes of one revision.
const cutPerEntry = 256

// cutOff removes versions that became unreachable when the store was compacted: those that changes up to that revision
// ended, and tombstones up to it. It runs with every entry and goes by the changes alone, so that every node holds the
// same versions after the same entry. It goes through about budget changes, and ends only where a revision does, so
// that cut describes exactly what is gone.
func (s *Store) cutOff(budget int) {
	if s.cut == s.compacted {
		return
	}
	for s.uncut < s.changes.next {
		c := s.changes.at(s.uncut)
		revision := c.made.ModRevision
		if revision > s.compacted {
			break
		}
		if budget <= 0 && revision > s.cut {
			s.forget()
			return
		}
		s.cutChange(c)
		s.uncut++
		s.cut = revision
		budget--
	}
	s.cut = s.compacted
	s.forget()
}

// cutChange removes what a change ended, and its tombstone.
func (s *Store) cutChange(c listed) {
	it, revision := c.item, c.made.ModRevision
	for ended := it.ended(); len(ended) > 0 && ended[0].ModRevision < revision; ended = it.ended() {
		s.discard(ended[0])
		it.pop()
	}
	switch {
	case !c.made.isTombstone():
	case it.newest == c.made:
		s.discard(c.made)
		s.items.Delete(c.made.Key)
		it.newest = nil
		s.recent.shrink(s.items.Len())
	default:
		s.discard(c.made)
		it.pop()
	}
}

// discard counts a version of the history as gone.
func (s *Store) discard(v *version) {
	s.sum -= sumOf(&v.Record)
	s.stats.Versions--
	s.stats.HistoryBytes -= v.size()
}

// forget drops the changes that are cut and that a checkpoint has.
func (s *Store) forget() {
	first := s.changes.first
	if first < s.uncut && s.changes.at(first).made.ModRevision <= s.floor {
		s.changes.dropTo(min(s.changes.after(s.floor, first), s.uncut))
	}
}
