package raft

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// Digest is a checksum over a log up to and including one entry: a CRC-32C that continues from entry to entry over
// index, term, timestamp and command. Two logs with the same digest at an index hold the same entries up to there.
// The digest of the empty log is 0, and no other log has that digest.
//
// Log Matching (paper 5.3) compares logs by index and term alone. That is enough for logs that only correct leaders
// wrote; the digest also detects an entry that damaged memory, a damaged disk or a forged message replaced.
type Digest uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Extend returns the digest of the log that e is appended to; d is the digest before it.
func (d Digest) Extend(e *Entry) Digest {
	sum := ^uint32(d)
	for _, number := range [...]uint64{uint64(e.Index), uint64(e.Term), uint64(e.Timestamp)} {
		// Inlined, little-endian: crc32.Update would allocate, once for each entry.
		for range 8 {
			sum = castagnoli[byte(sum)^byte(number)] ^ sum>>8
			number >>= 8
		}
	}
	return max(1, Digest(crc32.Update(^sum, castagnoli, e.Command)))
}

// maxTimestamp is the latest timestamp that a log keeps, and negated the earliest: 2^33 seconds, the year 2242. The
// disk stores seconds as a floating-point number, which is exact to the microsecond up to there.
const maxTimestamp = 1<<33*1_000_000 - 1

// storable returns the timestamp as every disk returns it, so that a digest is the same before and after a restart.
func storable(timestamp int64) int64 { return max(-maxTimestamp, min(timestamp, maxTimestamp)) }

// ErrDiverged is wrapped by every DivergedError.
var ErrDiverged = errors.New("raft: two logs differ where index and term are the same")

// DivergedError reports that a message shows another log than this node's at one index and term: one of the two was
// damaged or forged. The message was refused, and nothing changed. The error does not identify which of the two is
// wrong.
type DivergedError struct {
	Peer         NodeID // the sender
	Index        Index
	Term         Term // of the entry at Index, in both logs
	Ours, Theirs Digest
}

// Error implements error.
func (e *DivergedError) Error() string {
	return fmt.Sprintf("%v: up to entry %d of term %d the digest is %08x here and %08x in a message from node %d",
		ErrDiverged, e.Index, e.Term, uint32(e.Ours), uint32(e.Theirs), e.Peer)
}

// Unwrap returns ErrDiverged.
func (e *DivergedError) Unwrap() error { return ErrDiverged }

// Digest returns the term of the entry at an index and the digest of the log up to it; false if the memory does not
// hold it. It holds the position before the first entry in memory.
func (c *Core) Digest(i Index) (Term, Digest, bool) {
	term, ok := c.log.term(i)
	if !ok {
		return 0, 0, false
	}
	return term, c.log.digest(i), true
}

// checkMatch refuses the acknowledgement of a log that differs from this leader's: an append was damaged in transit,
// or forged. What the follower holds instead does not count for a commit (trap T54).
func (c *Core) checkMatch(m *Message) error {
	if !m.Success || m.MatchDigest == 0 {
		return nil
	}
	var ours position
	if m.MatchIndex >= c.log.offset {
		ours = c.log.at(m.MatchIndex)
	} else {
		p := c.progressOf(m.From)
		if p == nil {
			return nil // it was removed
		}
		sent, known := p.find(m.RequestID)
		if !known || sent.end.index != m.MatchIndex {
			return nil // it commits nothing, and the digest is not in memory
		}
		ours = sent.end
	}
	if m.MatchDigest == ours.digest {
		return nil
	}
	return &DivergedError{m.From, m.MatchIndex, ours.term, ours.digest, m.MatchDigest}
}

// DropDiverged removes the entries from index i on. The caller asserts that a majority without this node holds
// another log up to i, with the same term there: then everything that this node acknowledged of that log is safe
// without it, and the leader sends it again (trap T54). Entries before i that match the leader's log stay: the leader
// counts them as this node's, and does not send them again. If this node leads, it steps down: the outcome of its
// uncommitted proposals is unknown, and another entry may be written at their index with the same term. DropDiverged
// changes nothing and returns false if the entry at i is committed here, which cannot be undone. It must not be
// called between Ready and Advance.
func (c *Core) DropDiverged(i Index) bool {
	if c.readyOut {
		panic("raft: invariant broken: DropDiverged was called between Ready and Advance")
	}
	if i <= c.log.commit || i > c.log.last() {
		return false
	}
	if c.role == Leader {
		c.leader = 0
	}
	// Votes for a candidate were granted to the longer log.
	c.becomeFollower(c.term, fmt.Sprintf("its log is damaged from entry %d on", i))
	c.log.truncate(i - 1)
	c.configure()
	return true
}

// checkDigest refuses an append whose sender has another log where index and term agree (traps T17, T54): at
// PrevLogIndex, if the message has the digest there, and at each entry that this node already holds. Such an entry
// may have been acknowledged, so the first one stays, committed or not. Term conflicts are left to the protocol.
func (c *Core) checkDigest(m *Message) error {
	if m.Term < c.term {
		return nil // answered with this node's term
	}
	m = c.log.fromStart(m)
	if t, ok := c.log.term(m.PrevLogIndex); !ok || t != m.PrevLogTerm {
		return nil
	}
	diverged := func(i Index, theirs Digest) error {
		return &DivergedError{m.From, i, c.log.mustTerm(i), c.log.digest(i), theirs}
	}
	d := c.log.digest(m.PrevLogIndex)
	if m.PrevLogDigest != 0 && m.PrevLogDigest != d {
		return diverged(m.PrevLogIndex, m.PrevLogDigest)
	}
	for _, e := range m.Entries {
		if t, ok := c.log.term(e.Index); !ok || t != e.Term {
			return nil
		}
		e.Timestamp = storable(e.Timestamp)
		if d = d.Extend(&e); d != c.log.digest(e.Index) {
			return diverged(e.Index, d)
		}
	}
	return nil
}
