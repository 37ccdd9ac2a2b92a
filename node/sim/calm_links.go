package sim

import (
	"fmt"
	"slices"
	"time"
)

// letPass lets time pass. False if a promise was broken meanwhile.
func (w *World) letPass(d time.Duration) bool {
	end := w.now + d
	return w.until("the cluster runs on", "time did not pass", func() bool { return w.now >= end })
}

// other draws any of the machines but one.
func (w *World) other(machines []*machine, than *machine) *machine {
	others := slices.DeleteFunc(slices.Clone(machines), func(m *machine) bool { return m == than })
	return others[w.chance.IntN(len(others))]
}

// deafen cuts the way from the leader to one follower, and opens it again. All others hear the leader, and the follower
// has all that they have: it could win an election, and must not even begin one (thesis 9.6 and 4.2.3, trap T7).
func (w *World) deafen(machines []*machine) bool {
	if !w.awaitLeader(machines) {
		return false
	}
	leader := w.leader()
	term, deaf := leader.seen.state.Term, w.other(machines, leader)
	way := []link{{leader.id, deaf.id}}
	w.note(note{kind: notePhase, text: fmt.Sprintf("node %d does not hear its leader, node %d", deaf.id, leader.id)})
	w.network.cutForGood(way)
	if !w.letPass(6 * w.cfg.ElectionTimeout) {
		return false
	}
	w.network.open(way)
	if !w.letPass(4 * w.cfg.ElectionTimeout) {
		return false
	}
	if now := w.leader(); now != leader || now.seen.state.Term != term {
		w.broken("a deaf node disturbs nobody", "node %d led term %d until node %d did not hear it; %s",
			leader.id, term, deaf.id, w.standing())
		return false
	}
	return w.awaitLeader(machines)
}

// goAhead brings a follower into a later term than everyone else: it is told to campaign, and nobody hears it. The
// leader must go on with the others. Then the follower is heard again, and must be caught up with: by the leader, whose
// appends it refuses (trap T6), or, every other time, by a leader that has just started and depends on its vote
// (trap T5).
func (w *World) goAhead(machines []*machine) bool {
	if !w.awaitLeader(machines) {
		return false
	}
	leader := w.leader()
	ahead := w.other(machines, leader)
	var ways []link
	var rest []*machine
	for _, m := range machines {
		if m != ahead {
			ways = append(ways, link{ahead.id, m.id})
			rest = append(rest, m)
		}
	}
	w.note(note{kind: notePhase, text: fmt.Sprintf("node %d is handed the leadership, and nobody hears it", ahead.id)})
	w.network.cutForGood(ways)
	if ended, _ := w.transfer(leader, ahead); !ended || !w.writeEverywhere(rest, "while one is ahead") {
		return false
	}
	if w.chance.IntN(2) == 0 {
		if !w.needVoteOf(ahead, leader, machines, ways) {
			return false
		}
	} else {
		w.network.open(ways)
	}
	return w.awaitLeader(machines) && w.writeEverywhere(machines, "together again") && w.awaitConvergence(machines)
}

// needVoteOf lets so many nodes go down that a majority is left only with the one that is ahead, whose log is behind,
// and starts the leader anew. They must elect one all the same. Then the others come back.
func (w *World) needVoteOf(ahead, leader *machine, machines []*machine, ways []link) bool {
	left := []*machine{ahead, leader}
	for _, m := range machines {
		switch {
		case m == ahead || m == leader:
		case len(left) < w.quorum():
			left = append(left, m)
		default:
			w.takeDown(m)
			m.held = true
		}
	}
	w.takeDown(leader)
	leader.start()
	w.network.open(ways)
	if !w.awaitLeader(left) || !w.writeEverywhere(left, "without the others") {
		return false
	}
	for _, m := range machines {
		m.held = false
		m.start()
	}
	return true
}

// takeDown ends a node's process, if it runs.
func (w *World) takeDown(m *machine) {
	if m.process != nil {
		m.down(m.process)
	}
}
