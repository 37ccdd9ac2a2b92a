package raft

import (
	"fmt"
	"slices"
	"sort"
)

// Log is a part of a log, as a disk returns it.
type Log struct {
	Start   LogStart
	Entries []Entry // from Start.Index+1 on, without a gap
	// Removed is the last index that the disk no longer holds, at most Start.Index; 0: it holds all.
	Removed Index
	// Applied is the last index whose effect is in the state machine, for New; Start.Index if that is later. Entries that
	// were applied before a restart stay in memory for followers, and to compare logs with (trap T54).
	Applied Index
}

// LogStart is the position before the first entry of a log or a part of one. What lies up to the start of a node's log
// is committed, and its effect is in the state machine. It is zero before the first entry of all. A snapshot of the
// state machine carries it, as the last entry that the snapshot includes (paper, section 7).
type LogStart struct {
	Index  Index
	Term   Term
	Digest Digest // of the log up to Index
	Seats  []Seat // assigned by entries up to Index; they are permanent
	// Configuration is the one at Index; zero: the initial configuration.
	Configuration Configuration `json:"Configuration,omitzero"`
}

// After returns the position after an entry that follows this one; digest is that of the log up to it. Seats of members
// that the entry removes go: they never return (trap T28), and the position stays small. A seat or a configuration that
// the position has already is not added again. The error states why the entry cannot be read.
func (s LogStart) After(e *Entry, digest Digest, encoding Encoding) (LogStart, error) {
	next := LogStart{Index: e.Index, Term: e.Term, Digest: digest, Seats: s.Seats, Configuration: s.Configuration}
	switch e.Type {
	case EntrySeat:
		seat, is := encoding.ParseSeat(e.Command)
		if !is {
			return s, fmt.Errorf("raft: entry %d is of type seat, but its command is not a seat's", e.Index)
		}
		if !slices.Contains(s.Seats, seat) {
			next.Seats = append(slices.Clip(s.Seats), seat)
		}
	case EntryConfig:
		cfg, err := encoding.readConfiguration(e)
		if err != nil {
			return s, fmt.Errorf("raft: %w", err)
		}
		if e.Index > s.Configuration.Index {
			next.Configuration = cfg
			next.Seats = slices.DeleteFunc(slices.Clone(s.Seats), func(seat Seat) bool { return cfg.removed(seat.Member) })
		}
	case EntryCommand, EntryNoOp, EntryCheck:
	}
	return next, nil
}

// Last returns the index of the last entry; that of the start if there are no entries.
func (l *Log) Last() Index { return l.Start.Index + Index(len(l.Entries)) }

// Entry returns the entry at an index; nil if the log does not hold it. It must not be changed.
func (l *Log) Entry(i Index) *Entry {
	if i <= l.Start.Index || i > l.Last() {
		return nil
	}
	return &l.Entries[i-l.Start.Index-1]
}

// Term returns the term at an index; false if the log does not hold it. It holds the position before its first entry.
func (l *Log) Term(i Index) (Term, bool) {
	if i == l.Start.Index {
		return l.Start.Term, true
	}
	if e := l.Entry(i); e != nil {
		return e.Term, true
	}
	return 0, false
}

// validate returns an error for a position at which no log can start.
func (s *LogStart) validate() error {
	if (s.Index == 0) != (s.Term == 0) || (s.Index == 0) != (s.Digest == 0) || s.Index == 0 && len(s.Seats) > 0 {
		return fmt.Errorf("it starts after index %d of term %d with digest %08x and %d seats",
			s.Index, s.Term, uint32(s.Digest), len(s.Seats))
	}
	if cfg := s.Configuration; cfg.Index > 0 {
		if err := cfg.Validate(); err != nil {
			return fmt.Errorf("it starts after index %d with a broken configuration of index %d: %w", s.Index, cfg.Index, err)
		}
	}
	return nil
}

// raftLog is the log: its tail in memory (see tail.go), and what is on the disk. Messages and Ready share slices of it,
// so its array is only appended to: after a truncation the next append copies. Digests are not shared, so their array
// is overwritten.
//
// Invariants: offset <= handed <= commit <= last(), offset <= saved <= last(), removed <= handed; indexes have no gap
// and terms never decrease.
type raftLog struct {
	offset       Index  // the index before entries[0]
	offsetTerm   Term   // the term there
	offsetDigest Digest // of the log up to there
	entries      []Entry
	digests      []Digest // of the log up to each entry
	removed      Index    // entries up to here are no longer on this node's disk
	saved        Index    // entries up to here were saved on this node's disk
	commit       Index
	handed       Index        // entries up to here were returned as committed
	seats        []placedSeat // from all entries ever, in log order
	encoding     *Encoding

	configurations []*Configuration // see log_configurations.go
	initial        Configuration

	bytes        int   // memory that the entries take
	settled      Index // entries up to here are saved and handed; counted only while the tail is too long
	settledBytes int   // memory of those after offset
}

// position is a place in the log: an index, the term of its entry, and the digest of the log up to there.
type position struct {
	index  Index
	term   Term
	digest Digest
}

// newLog validates what was read from the disk: a log with a gap or with decreasing terms is damaged. The saved commit
// index may be behind the start of the log, as it may be behind the current one.
func newLog(cfg *Config, state HardState, log Log) (raftLog, error) {
	start, entries := &log.Start, log.Entries
	if err := start.validate(); err != nil {
		return raftLog{}, fmt.Errorf("raft: saved log is broken: %w", err)
	}
	if log.Removed > start.Index {
		return raftLog{}, fmt.Errorf("raft: saved log is broken: it starts after index %d, and entries up to %d are removed",
			start.Index, log.Removed)
	}
	previous := Entry{Index: start.Index, Term: start.Term}
	for i := range entries {
		e := &entries[i]
		if e.Index != previous.Index+1 {
			return raftLog{}, fmt.Errorf("raft: saved log is broken: index %d follows index %d", e.Index, previous.Index)
		}
		if e.Term < previous.Term || e.Term == 0 {
			return raftLog{}, fmt.Errorf("raft: saved log is broken: term %d at index %d follows term %d",
				e.Term, e.Index, previous.Term)
		}
		previous = *e
	}
	applied := max(start.Index, log.Applied)
	if applied > previous.Index {
		return raftLog{}, fmt.Errorf("raft: saved log is broken: it ends at %d, and entries up to %d are applied",
			previous.Index, applied)
	}
	if previous.Term > state.Term {
		return raftLog{}, fmt.Errorf("raft: saved state is broken: the log ends in term %d, the current term is %d",
			previous.Term, state.Term)
	}
	if state.Commit > previous.Index {
		return raftLog{}, fmt.Errorf("raft: saved state is broken: the commit index is %d, the log ends at %d",
			state.Commit, previous.Index)
	}
	if cfg := start.Configuration; cfg.Index > applied { // that of the state, which may be later than the start
		return raftLog{}, fmt.Errorf("raft: saved log is broken: entries up to %d are applied, and it starts with the "+
			"configuration of index %d", applied, cfg.Index)
	}
	l := raftLog{
		offset: start.Index, offsetTerm: start.Term, offsetDigest: start.Digest, entries: slices.Clip(entries),
		removed: log.Removed, saved: previous.Index, commit: max(state.Commit, applied), handed: applied,
		seats: placeSeats(start.Seats), encoding: &cfg.Encoding, initial: cfg.Initial, settled: start.Index,
	}
	if err := cfg.Encoding.checkConfigurations(entries); err != nil {
		return raftLog{}, fmt.Errorf("raft: saved log is broken: %w", err)
	}
	l.startConfigurations(start.Configuration)
	l.noteOwn(entries)
	l.extendDigests()
	return l, nil
}

func (l *raftLog) last() Index { return l.offset + Index(len(l.entries)) }

func (l *raftLog) lastTerm() Term {
	if len(l.entries) == 0 {
		return l.offsetTerm
	}
	return l.entries[len(l.entries)-1].Term
}

// at returns a position between offset and last.
func (l *raftLog) at(i Index) position { return position{i, l.mustTerm(i), l.digest(i)} }

// term returns the term at an index; false if the memory does not hold it. It holds the position before the tail.
func (l *raftLog) term(i Index) (Term, bool) {
	switch {
	case i < l.offset || i > l.last():
		return 0, false
	case i == l.offset:
		return l.offsetTerm, true
	}
	return l.entries[i-l.offset-1].Term, true
}

// mustTerm returns the term at an index that the memory must hold.
func (l *raftLog) mustTerm(i Index) Term {
	t, ok := l.term(i)
	if !ok {
		panic(fmt.Sprintf("raft: invariant broken: index %d is not in the log, which holds (%d, %d]",
			i, l.offset, l.last()))
	}
	return t
}

// slice returns the entries with from <= index <= to. Appending to it does not change the log.
func (l *raftLog) slice(from, to Index) []Entry {
	if from > to {
		return nil
	}
	if from <= l.offset || to > l.last() {
		panic(fmt.Sprintf("raft: invariant broken: entries %d to %d were asked of a log that holds (%d, %d]",
			from, to, l.offset, l.last()))
	}
	a, b := from-l.offset-1, to-l.offset
	return l.entries[a:b:b]
}

// merge makes the log agree with a leader's entries: entries that are present already stay, because the request may
// be old and the log longer (paper 5.3, trap T17); from the first conflict on the log is replaced. The entries must
// follow an index on which both logs agree.
func (l *raftLog) merge(entries []Entry) {
	for i := range entries {
		t, ok := l.term(entries[i].Index)
		if ok && t == entries[i].Term {
			continue
		}
		if ok {
			l.truncate(entries[i].Index - 1)
		}
		l.append(entries[i:]...)
		return
	}
}

// fromStart returns an append request as if it began where the tail begins, if it begins earlier. What lies up to there
// is committed, so the leader has the same entries (paper 5.4.3, Leader Completeness).
func (l *raftLog) fromStart(m *Message) *Message {
	if m.PrevLogIndex >= l.offset {
		return m
	}
	rest := *m
	rest.PrevLogIndex, rest.PrevLogTerm, rest.PrevLogDigest = l.offset, l.offsetTerm, l.offsetDigest
	rest.Entries = m.Entries[min(uint64(len(m.Entries)), uint64(l.offset-m.PrevLogIndex)):]
	return &rest
}

// append adds entries at the end.
func (l *raftLog) append(entries ...Entry) {
	if entries[0].Index != l.last()+1 {
		panic(fmt.Sprintf("raft: invariant broken: index %d appended to a log that ends at %d",
			entries[0].Index, l.last()))
	}
	l.entries = append(l.entries, entries...)
	l.noteOwn(entries)
	l.extendDigests()
}

// noteOwn records what entries of the log carry for the core: seats and configurations.
func (l *raftLog) noteOwn(entries []Entry) {
	for i := range entries {
		switch e := &entries[i]; e.Type {
		case EntrySeat:
			l.noteSeat(e)
		case EntryConfig:
			l.noteConfiguration(e)
		case EntryCommand, EntryNoOp, EntryCheck:
		}
	}
}

// noteSeat records the seat of an entry. One that a checkpoint named already, from behind the start of the log on the
// disk, keeps its place.
func (l *raftLog) noteSeat(e *Entry) {
	seat, is := l.encoding.ParseSeat(e.Command)
	if !is {
		panic(fmt.Sprintf("raft: invariant broken: entry %d is of type seat, but its command is not a seat's", e.Index))
	}
	if !slices.ContainsFunc(l.seats, func(s placedSeat) bool { return s.Seat == seat }) {
		l.seats = append(l.seats, placedSeat{Seat: seat, index: e.Index})
	}
}

// extendDigests computes the digests of the entries that have none yet.
func (l *raftLog) extendDigests() {
	d := l.digest(l.offset + Index(len(l.digests)))
	l.digests = slices.Grow(l.digests, len(l.entries)-len(l.digests))
	for i := len(l.digests); i < len(l.entries); i++ {
		l.entries[i].Timestamp = storable(l.entries[i].Timestamp)
		d = d.Extend(&l.entries[i])
		l.digests = append(l.digests, d)
		l.bytes += memoryOf(&l.entries[i])
	}
}

// digest returns the digest of the log up to an index that it holds.
func (l *raftLog) digest(i Index) Digest {
	if i == l.offset {
		return l.offsetDigest
	}
	return l.digests[i-l.offset-1]
}

// truncate drops the entries after an index. Clipping makes the next append copy, so that slices of the dropped
// entries stay valid.
func (l *raftLog) truncate(after Index) {
	if after < l.commit {
		panic(fmt.Sprintf("raft: invariant broken: committed entry %d would be removed; the commit index is %d (trap T17)",
			after+1, l.commit))
	}
	l.digests = l.digests[:after-l.offset]
	for i := len(l.digests); i < len(l.entries); i++ {
		l.bytes -= memoryOf(&l.entries[i])
	}
	l.entries = slices.Clip(l.entries[:after-l.offset])
	l.saved = min(l.saved, after)
	for n := len(l.seats); n > 0 && l.seats[n-1].index > after; n = len(l.seats) {
		l.seats = l.seats[:n-1]
	}
	l.dropConfigurations(after)
}

// commitTo moves the commit index forward, never back (trap T18).
func (l *raftLog) commitTo(i Index) {
	if i <= l.commit {
		return
	}
	if i > l.last() {
		panic(fmt.Sprintf("raft: invariant broken: commit index %d is beyond the end of the log, %d", i, l.last()))
	}
	l.commit = i
}

// savedTo records that entries up to e are on the disk, if e is still in the log: it may have been replaced during
// the save (trap T20). By Log Matching the same index and term means the same log up to there.
func (l *raftLog) savedTo(e Entry) {
	if t, ok := l.term(e.Index); ok && t == e.Term {
		l.saved = max(l.saved, e.Index)
	}
}

// isUpToDate reports whether a log that ends in (term, index) is at least as up-to-date as this one. It compares the
// term first, then the index (paper 5.4.1, trap T3).
func (l *raftLog) isUpToDate(term Term, index Index) bool {
	return term > l.lastTerm() || term == l.lastTerm() && index >= l.last()
}

// firstOfTermAt returns the first index in memory that has the term of the entry at i.
func (l *raftLog) firstOfTermAt(i Index) Index {
	t := l.mustTerm(i)
	k := sort.Search(len(l.entries), func(k int) bool { return l.entries[k].Term >= t })
	return l.offset + 1 + Index(k)
}

// lastUpToTerm returns the last index up to limit whose term is at most t, and the position before the tail if there is
// none in memory.
func (l *raftLog) lastUpToTerm(t Term, limit Index) Index {
	n := int(max(min(limit, l.last()), l.offset) - l.offset)
	k := sort.Search(n, func(k int) bool { return l.entries[k].Term > t })
	return l.offset + Index(k)
}
