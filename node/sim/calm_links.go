package sim

import (
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// letPass lets time pass. It returns false if an invariant was broken meanwhile.
func (w *calm) letPass(d time.Duration) bool {
	end := w.Now() + d
	return w.until("the cluster runs on", "time did not pass", func() bool { return w.Now() >= end })
}

// other draws any of the machines but one.
func (w *calm) other(machines []*engine.Machine, than *engine.Machine) *engine.Machine {
	others := slices.DeleteFunc(slices.Clone(machines), func(m *engine.Machine) bool { return m == than })
	return others[w.Chance.IntN(len(others))]
}

// deafen cuts the link from the leader to one follower, and opens it again. All others receive from the leader, and the
// follower has the same log: it could win an election, and must not even begin one (thesis 9.6 and 4.2.3, trap T7).
func (w *calm) deafen(machines []*engine.Machine) bool {
	if !w.awaitLeader(machines) {
		return false
	}
	leader := w.Leader()
	term, deaf := leader.Seen.State.Term, w.other(machines, leader)
	way := []engine.Link{leader.To(deaf)}
	w.Note("node %d does not receive from its leader, node %d", deaf.ID, leader.ID)
	w.Network.CutForGood(way)
	if !w.letPass(6 * w.Config.ElectionTimeout) {
		return false
	}
	w.Network.Open(way)
	if !w.letPass(4 * w.Config.ElectionTimeout) {
		return false
	}
	if now := w.Leader(); now != leader || now.Seen.State.Term != term {
		w.Broken("a node that receives nothing disturbs no other",
			"node %d led term %d until node %d did not receive from it; %s", leader.ID, term, deaf.ID, w.Standing())
		return false
	}
	return w.awaitLeader(machines)
}

// goAhead brings a follower into a later term than all others: it gets an order to campaign while its messages are
// lost. The leader must continue with the others. Then the links are opened, and the leader must catch up with the term
// of the follower: the leader itself, whose appends the follower refuses (trap T6), or, every other time, a leader that
// has just started and depends on its vote (trap T5).
func (w *calm) goAhead(machines []*engine.Machine) bool {
	if !w.awaitLeader(machines) {
		return false
	}
	leader := w.Leader()
	ahead := w.other(machines, leader)
	var ways []engine.Link
	var rest []*engine.Machine
	for _, m := range machines {
		if m != ahead {
			ways = append(ways, ahead.To(m))
			rest = append(rest, m)
		}
	}
	w.Note("node %d is handed the leadership, and no node receives its messages", ahead.ID)
	w.Network.CutForGood(ways)
	if ended, _ := w.transfer(leader, ahead); !ended || !w.writeEverywhere(rest, "while one is ahead") {
		return false
	}
	if w.Chance.IntN(2) == 0 {
		if !w.needVoteOf(ahead, leader, machines, ways) {
			return false
		}
	} else {
		w.Network.Open(ways)
	}
	return w.awaitLeader(machines) && w.writeEverywhere(machines, "together again") && w.awaitConvergence(machines)
}

// needVoteOf stops so many nodes that a majority needs the one that is ahead in its term, whose log is behind, and
// restarts the leader. They must still elect a leader. Then the others come back.
func (w *calm) needVoteOf(ahead, leader *engine.Machine, machines []*engine.Machine, ways []engine.Link) bool {
	left := []*engine.Machine{ahead, leader}
	for _, m := range machines {
		switch {
		case m == ahead || m == leader:
		case len(left) < w.Quorum():
			left = append(left, m)
		default:
			m.Down()
			m.Held = true
		}
	}
	leader.Down()
	leader.Start()
	w.Network.Open(ways)
	if !w.awaitLeader(left) || !w.writeEverywhere(left, "without the others") {
		return false
	}
	for _, m := range machines {
		m.Held = false
		m.Start()
	}
	return true
}
