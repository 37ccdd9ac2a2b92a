package raft

import (
	"errors"
	"fmt"
)

// Fetch is a part of the log that a leader needs for a follower, and that is no longer in memory.
type Fetch struct {
	Peer       NodeID // the follower
	From       Index
	MaxEntries int
	MaxBytes   int // command bytes; one entry always fits
}

// readAhead is a part of the log that was fetched for a follower, and not sent yet.
type readAhead struct {
	start   position // before entries[0]
	entries []Entry
}

// follows reports whether the entries begin after an index.
func (a *readAhead) follows(prev Index) bool { return len(a.entries) > 0 && a.start.index == prev }

// advance drops the entries up to a position, which were sent.
func (a *readAhead) advance(sent position) {
	switch last := a.start.index + Index(len(a.entries)); {
	case sent.index >= last:
		*a = readAhead{}
	case sent.index > a.start.index:
		a.start, a.entries = sent, a.entries[sent.index-a.start.index:]
	}
}

// wantsFetch reports whether a follower needs entries from the disk. While it takes appends, they are read ahead.
func (c *Core) wantsFetch(p *progress) bool {
	if p.fetching != 0 || p.paused || p.state == awaitingSnapshot || p.state == probing && len(p.inflight) > 0 {
		return false
	}
	next := c.nextFor(p)
	return next <= c.log.offset && !p.ahead.follows(next-1)
}

func (c *Core) fetch(p *progress) {
	p.fetching = c.nextFor(p)
	c.fetches = append(c.fetches, Fetch{p.id, p.fetching, c.cfg.MaxMessageEntries, c.cfg.MaxMessageBytes})
}

// Fetched reports what the disk returned for a Fetch: entries from f.From on, at least one, or an error, which wraps
// ErrRemoved if the disk no longer holds them: then the follower needs a snapshot. After any other error the core tries
// again. Every Fetch must be reported once; what is no longer wanted is ignored.
func (c *Core) Fetched(f Fetch, part Log, err error) {
	p := c.progressOf(f.Peer)
	if p == nil || p.fetching != f.From {
		return // of an earlier term
	}
	p.fetching = 0
	switch {
	case errors.Is(err, ErrRemoved):
		c.log.removed = max(c.log.removed, f.From) // the disk removed it, and Removed was not called yet
		if p.state != awaitingSnapshot && !c.log.reaches(p.next) {
			p.awaitSnapshot()
		}
	case err != nil:
		p.pause(c.lead.ticks)
	default:
		checkPart(f, &part)
		// What is in memory is sent from there. Beyond that, the disk may hold entries that were replaced since.
		upTo := min(part.Last(), c.log.offset)
		if f.From <= upTo {
			start := position{part.Start.Index, part.Start.Term, part.Start.Digest}
			p.ahead = readAhead{start, part.Entries[:upTo-part.Start.Index]}
		}
	}
}

// checkPart panics if a part of the log is not what was asked for.
func checkPart(f Fetch, part *Log) {
	good := part.Start.Index+1 == f.From && len(part.Entries) > 0
	for i := range part.Entries {
		good = good && part.Entries[i].Index == f.From+Index(i)
	}
	if !good {
		panic(fmt.Sprintf("raft: invariant broken: entries from %d on were fetched, and %d entries after %d came", f.From,
			len(part.Entries), part.Start.Index))
	}
}
