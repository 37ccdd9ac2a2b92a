package raft

import "fmt"

// Incarnation identifies one disk of a member: a random number that is drawn when the disk is first used, and lost
// with it. A member id may have had several disks; at most one of them is seated.
type Incarnation uint64

// Seat records that a member counts with one disk: the disk votes, and its acknowledgements count for commits. A seat
// is assigned once and never moves, so an empty disk under a seated id is a lost disk (trap T28).
type Seat struct {
	Member      NodeID      `json:"member"`
	Incarnation Incarnation `json:"incarnation"`
}

// placedSeat is a seat and the index of the entry that assigned it; 0 for a founder's, and for one from before the
// start of the log.
type placedSeat struct {
	Seat
	index Index
}

// placeSeats returns seats from before the start of a log.
func placeSeats(seats []Seat) []placedSeat {
	placed := make([]placedSeat, len(seats))
	for i, seat := range seats {
		placed[i].Seat = seat
	}
	return placed
}

// seatOf returns a member's seat by the founders and the whole log, committed or not; false if it has none.
func (c *Core) seatOf(id NodeID) (placedSeat, bool) {
	for _, s := range c.founders {
		if s.Member == id {
			return placedSeat{Seat: s}, true
		}
	}
	for _, s := range c.log.seats {
		if s.Member == id {
			return s, true
		}
	}
	return placedSeat{}, false
}

// Seats returns the founders' seats and those whose entry is committed. They are permanent.
func (c *Core) Seats() []Seat {
	seats := append([]Seat{}, c.founders...)
	for _, s := range c.log.seats {
		if s.index <= c.log.commit {
			seats = append(seats, s.Seat)
		}
	}
	return seats
}

// SeatsUpTo returns the seats that entries up to a committed index assigned to members: those of a LogStart with that
// index. The founders' are not among them.
func (c *Core) SeatsUpTo(i Index) []Seat {
	if i > c.log.commit {
		panic(fmt.Sprintf("raft: invariant broken: seats up to entry %d were asked for; the commit index is %d",
			i, c.log.commit))
	}
	var seats []Seat
	cfg := c.log.configurationAt(i)
	for _, s := range c.log.seats {
		if s.index <= i && !cfg.removed(s.Member) {
			seats = append(seats, s.Seat)
		}
	}
	return seats
}

// Seated reports whether this node's disk is seated according to this node's log: its seat is committed. Until then
// it accepts entries, but it does not campaign or vote, and no leader counts its acknowledgements. Once true it stays
// true, and the node must save it before it sends anything else: after a restart the commit index may be behind the
// seat.
func (c *Core) Seated() bool { return c.seated }

// SeatLost reports whether this member's seat belongs to another disk, which had entries or votes that this one does
// not have (trap T28). This node can never take part.
func (c *Core) SeatLost() bool {
	s, found := c.seatOf(c.id)
	return found && s.index <= c.log.commit && s.Incarnation != c.cfg.Incarnation
}

// takeSeat seats this node if the commit index has reached its seat.
func (c *Core) takeSeat() {
	if c.seated {
		return
	}
	s, found := c.seatOf(c.id)
	c.seated = found && s.index <= c.log.commit && s.Incarnation == c.cfg.Incarnation
}

// handleUnseated handles a response whose sender has no seat. The leader proposes a seat for that disk, if the log
// holds none for the member. The seat counts once it is committed, which takes a quorum without that member.
func (c *Core) handleUnseated(p *progress, incarnation Incarnation) {
	p.unseated = incarnation != 0
	if !p.unseated {
		return
	}
	if p.incarnation != incarnation {
		p.incarnation = incarnation
		if p.match > 0 { // another disk acknowledged it
			p.restart()
		}
	}
	if _, found := c.seatOf(p.id); found || c.lead.transfer.target != 0 || !c.members.current.Contains(p.id) {
		return // a new entry would delay the transfer (trap T11); the node will ask again
	}
	c.appendOwn(EntrySeat, c.cfg.Encoding.Seat(Seat{Member: p.id, Incarnation: incarnation}))
}
