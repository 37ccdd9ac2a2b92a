package raft

import "fmt"

// The memory holds only a tail of the log: at least what is not saved or not returned as committed yet, and as much of
// the rest as MaxTailBytes allows. A follower that needs earlier entries gets them from the disk (fetch.go), or a
// snapshot if they are no longer there (snapshot.go).

// entryMemory is what an entry takes in memory besides its command: the Entry, its digest, and spare room in the array.
const entryMemory = 64

func memoryOf(e *Entry) int { return entryMemory + len(e.Command) }

// reaches reports whether the entry at an index is in memory, to come, or on the disk.
func (l *raftLog) reaches(i Index) bool { return i > l.offset || i > l.removed }

// trim drops entries from the front of the tail if it takes more memory than limit, down to half of that, so that
// entries are moved rarely. It drops only what is saved and was returned as committed, and never the last entry, so
// that a leader always has an entry with which to probe.
func (l *raftLog) trim(limit int) {
	if l.bytes <= limit {
		return
	}
	for upTo := min(l.saved, l.handed, l.last()-1); l.settled < upTo; l.settled++ {
		l.settledBytes += memoryOf(&l.entries[l.settled-l.offset])
	}
	if l.settledBytes < limit/4 {
		return // too little to be worth moving the others
	}
	upTo := l.offset
	for freed := 0; upTo < l.settled && l.bytes-freed > limit/2; upTo++ {
		freed += memoryOf(&l.entries[upTo-l.offset])
	}
	l.dropUpTo(upTo)
}

// dropUpTo drops the entries up to an index from memory. The others move to an array of their own, because the array
// would keep the dropped commands in memory, and they cannot be erased there: slices of them may be in use.
func (l *raftLog) dropUpTo(i Index) {
	if i <= l.offset {
		return
	}
	if i > min(l.saved, l.handed) {
		panic(fmt.Sprintf("raft: invariant broken: entry %d would leave the memory; entries up to %d are saved, and up "+
			"to %d were returned as committed", i, l.saved, l.handed))
	}
	start, count := l.at(i), int(i-l.offset)
	for k := range count {
		l.bytes -= memoryOf(&l.entries[k])
		if l.offset+Index(k) < l.settled {
			l.settledBytes -= memoryOf(&l.entries[k])
		}
	}
	rest := make([]Entry, len(l.entries)-count, len(l.entries)+len(l.entries)/16)
	copy(rest, l.entries[count:])
	l.entries = rest
	l.digests = l.digests[:copy(l.digests, l.digests[count:])]
	l.offset, l.offsetTerm, l.offsetDigest = start.index, start.term, start.digest
	l.settled = max(l.settled, l.offset)
}

// Removed reports that the disk no longer holds the entries up to an index. They must have been returned as committed.
// Entries that are in memory stay there.
func (c *Core) Removed(to Index) {
	if to > c.log.handed {
		panic(fmt.Sprintf("raft: invariant broken: entry %d was removed from the disk; entries up to %d were returned as "+
			"committed", to, c.log.handed))
	}
	c.log.removed = max(c.log.removed, to)
	c.log.trimConfigurations(c.log.removed)
}

// NeededFrom returns the first index that a follower needs which answered within the last silentTicks: the caller
// should keep entries from there on, if there are not too many. It is LastIndex+1 if there is none, or if this node
// does not lead. A follower that is sent a snapshot needs everything that is left.
func (c *Core) NeededFrom(silentTicks int) Index {
	needed := c.log.last() + 1
	for i := range c.lead.progress {
		if p := &c.lead.progress[i]; p.ackTicks < silentTicks {
			needed = min(needed, max(p.match, c.log.removed)+1)
		}
	}
	return needed
}
