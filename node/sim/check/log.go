package check

import (
	"fmt"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// logMatching: if two logs hold an entry with the same index and term, they are the same up to it (paper, figure 3).
// It follows, by induction from the front, if no two entries with the same index and term differ in their content or
// in the term of the entry before them: so each entry is compared once, when a log gets it, and not with whole logs.
//
// Where a log changed is found from its end: back to where its terms are what they were. A change before that place
// is found when the whole log is looked at again: at each new life, and at each thousandth change.
type logMatching struct {
	known  []lineage                // by index: the first entry that was seen there
	others map[raft.Index][]lineage // and those of other terms, which are few
	nodes  perNode[logSeen]
}

// lineage is an entry with the term of the entry before it.
type lineage struct {
	previous raft.Term
	entry    raft.Entry
}

// logSeen is the log of one node as it was last.
type logSeen struct {
	start   raft.Index  // the index before the first entry
	terms   []raft.Term // after start
	changes int
}

// startAt forgets what was removed from the log.
func (s *logSeen) startAt(start raft.Index) {
	if start < s.start {
		s.terms = nil // what the disk has before the memory is seen again
	}
	removed := min(start-min(start, s.start), raft.Index(len(s.terms)))
	s.start, s.terms = start, s.terms[removed:]
}

func (c *logMatching) invariant() string { return "log matching" }

func (c *logMatching) step(w *Watch, l *Step) error {
	if !l.logChanged() {
		return nil
	}
	seen := c.nodes.of(l.node.ID())
	seen.changes++
	start, _ := l.logStart()
	seen.startAt(start)
	agreed := min(l.Now.Last, start+raft.Index(len(seen.terms)))
	if l.NewLife() || seen.changes%wholeEvery == 0 {
		agreed = start
	}
	for ; agreed > start; agreed-- {
		if l.termAt(agreed) == seen.terms[agreed-start-1] {
			break
		}
	}
	seen.terms = seen.terms[:agreed-start]
	previous, entries := l.termAt(agreed), l.entries(agreed+1, l.Now.Last)
	for i := range entries {
		e := &entries[i]
		if err := c.compare(&w.Forged, lineage{previous, *e}); err != nil {
			return fmt.Errorf("node %d: %w", l.node.ID(), err)
		}
		previous = e.Term
		seen.terms = append(seen.terms, e.Term)
	}
	return nil
}

// compare looks at an entry that a log has got.
func (c *logMatching) compare(f *Forged, mine lineage) error {
	i, term := mine.entry.Index, mine.entry.Term
	if i > raft.Index(len(c.known)) {
		if i != raft.Index(len(c.known))+1 || term < mine.previous {
			return fmt.Errorf("entry %s follows one of term %d, where entry %d must come",
				EntryName(&mine.entry), mine.previous, len(c.known)+1)
		}
		c.known = append(c.known, mine)
		return nil
	}
	other := &c.known[i-1]
	if other.entry.Term != term {
		others := c.others[i]
		at := slices.IndexFunc(others, func(o lineage) bool { return o.entry.Term == term })
		if at < 0 {
			if c.others == nil {
				c.others = map[raft.Index][]lineage{}
			}
			c.others[i] = append(others, mine)
			return nil
		}
		other = &others[at]
	}
	same := SameEntry(&other.entry, &mine.entry) || f.isForged(&other.entry, &mine.entry)
	if other.previous != mine.previous || !same {
		return fmt.Errorf("entry %s after term %d is not entry %s after term %d, which another log had",
			EntryName(&mine.entry), mine.previous, EntryName(&other.entry), other.previous)
	}
	return nil
}
