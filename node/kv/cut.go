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
	for s.changes.first < s.changes.next {
		c := s.changes.at(s.changes.first)
		revision := c.made.ModRevision
		if revision > s.compacted {
			break
		}
		if budget <= 0 && revision > s.cut {
			return
		}
		s.changes.drop()
		s.cutChange(c)
		s.cut = revision
		budget--
	}
	s.cut = s.compacted
}

// cutChange removes what a change ended, and its tombstone. If a later change of the key was made, only that one
// matters to a checkpoint, which has no more than the newest record of a key beside the history.
func (s *Store) cutChange(c listed) {
	it, revision := c.item, c.made.ModRevision
	if it.newest == c.made && revision > s.floor {
		s.late.append(c, 0)
	}
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
