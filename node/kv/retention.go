package kv

// Retention is how much history is kept: as much as lies within every window. A window of 0 is not limited.
type Retention struct {
	Age       int64 // microseconds
	Revisions uint64
	Bytes     int64 // as HistoryBytes of Stats
}

// Overdue returns the revision to compact to, if the history exceeds a window of a retention by more than a sixteenth
// of it, so that there are few compactions. Time is the replicated one, of the last applied entry. It returns the
// revision of the last compaction again if all that is due is to apply entries that remove the rest of what that made
// unreachable.
func (s *Store) Overdue(r Retention) (revision uint64, due bool) {
	oldest := s.changes.after(s.compacted)
	if oldest < s.changes.next {
		revision = max(s.tooOld(r.Age, oldest), s.tooMany(r.Revisions, oldest), s.tooLarge(r.Bytes, oldest))
	}
	if revision > s.compacted {
		return revision, true
	}
	return s.compacted, s.cut < s.compacted
}

// tooOld returns the last revision that lies before an age; 0 if not even the oldest change is older by a sixteenth.
func (s *Store) tooOld(age int64, oldest uint64) uint64 {
	if age <= 0 || s.time-s.changes.at(oldest).made.Modified <= age+age/16 {
		return 0
	}
	low, high := oldest, s.changes.next // low is older than age, high is not
	for low+1 < high {
		if middle := low + (high-low)/2; s.changes.at(middle).made.Modified <= s.time-age {
			low = middle
		} else {
			high = middle
		}
	}
	return s.changes.at(low).made.ModRevision
}

func (s *Store) tooMany(revisions, oldest uint64) uint64 {
	if revisions == 0 || s.applied-s.changes.at(oldest).made.ModRevision <= revisions+revisions/16 {
		return 0
	}
	return s.applied - revisions
}

// tooLarge returns the revision up to which the history must go so that what is left is within a number of bytes.
func (s *Store) tooLarge(bytes int64, oldest uint64) uint64 {
	limit := bytes + bytes/16
	if bytes <= 0 || s.changes.freed-s.changes.freedAtLeast(oldest) <= limit ||
		s.changes.freed-s.changes.freedBefore(oldest) <= limit {
		return 0
	}
	return s.changes.at(s.changes.freeing(s.changes.freed-bytes, oldest)).made.ModRevision
}
