package raft

import "fmt"

// A node enters every higher term that it receives (paper 5.1), and a term never goes back, so one false term could
// use up all of them. Terms are therefore accepted from a budget. A correct peer does not exceed a full one: a term
// takes an election, so the peer would have to be 2^32 elections ahead, 13 years of one every 100 ms without a pause.
// The budget grows by 2^18 terms per tick, more elections than a cluster can hold in one. DESIGN.md has the rest of
// the argument.
const (
	// maxTerm is the last term that a message may have. The disk stores terms up to 2^63-1.
	maxTerm Term = 1 << 62
	// fullTermBudget is how far the terms of messages may raise a node's term, and termsPerTick how fast the budget
	// refills.
	fullTermBudget uint64 = 1 << 32
	termsPerTick   uint64 = 1 << 18
)

// termBudget is how many terms a node may still enter because of messages. Its own campaigns are not charged.
type termBudget struct {
	left    uint64
	starved int // for this many ticks it grows beyond a full one, because a term was refused
}

// tick refills the budget. While terms are refused it grows without limit, slowly: a peer that a false message, or an
// election after it, took one term farther than this node may go is refused for a tick, not permanently.
func (b *termBudget) tick() {
	b.left = min(b.left+termsPerTick, uint64(maxTerm))
	if b.starved > 0 {
		b.starved--
		return
	}
	b.left = min(b.left, fullTermBudget)
}

// spend charges a term increase that checkTerm accepted.
func (b *termBudget) spend(terms Term) {
	if uint64(terms) > b.left {
		panic(fmt.Sprintf("raft: invariant broken: a step of %d terms was accepted, and %d were left", terms, b.left))
	}
	b.left -= uint64(terms)
}

// checkTerm refuses terms that cannot be followed by another, and those that a correct peer cannot have reached.
func (c *Core) checkTerm(term Term) error {
	switch {
	case term == 0 || term > maxTerm:
		return refuseAs(ErrBadTerm, "term %d is not between 1 and 2^62", term)
	case term > c.term && uint64(term-c.term) > c.budget.left:
		c.budget.starved = c.cfg.ElectionTicks // a correct peer sends again before that, because a heartbeat takes less
		return refuseAs(ErrBadTerm, "term %d is %d ahead of this node's term %d; %d are plausible now",
			term, term-c.term, c.term, c.budget.left)
	}
	return nil
}

// checkLeader refuses a second leader of a term: a message that only the leader of its term sends, from another node
// than the first leader of that term (trap T10). Either of the two may be the false one. To follow the second could
// replace what was acknowledged to the first; the refusal changes nothing. If the first was false, its messages stop,
// and this node is free to follow the other after one election timeout.
func (c *Core) checkLeader(m *Message) error {
	if m.Term != c.term {
		return nil
	}
	first := c.leader
	if c.led == c.term {
		first = c.id // it remains the leader of the term after it steps down within it
	}
	if first == 0 || first == m.From {
		return nil
	}
	return refuseAs(ErrSecondLeader, "node %d leads term %d, and now node %d does", first, m.Term, m.From)
}
