package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// nemesis begins the faults that come by themselves, each at its own pace.
func (w *World) nemesis() {
	strikes := []struct {
		fault  Fault
		strike func()
	}{
		{Cut, w.cutLink},
		{Partition, w.partition},
		{LeaderCut, w.cutLeader},
		{PowerLoss, w.powerLoss},
		{Restart, w.restartOne},
		{Pause, w.pauseOne},
		{ClockJump, w.jumpClock},
		{Transfer, w.orderTransfer},
		{Suspend, w.suspendOne},
		{LostDisks, w.loseDisks},
	}
	for _, s := range strikes {
		if w.mix[s.fault] > 0 {
			w.again(s.fault, s.strike)
		}
	}
}

// again plans the next time of a fault, and so on until the world heals.
func (w *World) again(f Fault, strike func()) {
	w.after(w.mix.next(w.chance, f), nil, func() {
		if w.healed {
			return
		}
		w.count(f)
		strike()
		w.again(f, strike)
	})
}

func (w *World) any() *machine { return w.machines[w.chance.IntN(len(w.machines))] }

func (w *World) hold(why string, f Fault, links []link) time.Duration {
	lasts := w.mix.lasts(w.chance, f)
	text := fmt.Sprintf("%s: cut for %v: %s", why, lasts.Round(time.Millisecond), nameLinks(links))
	w.note(note{kind: noteFault, text: text})
	w.network.hold(links, lasts)
	return lasts
}

func (w *World) cutLink() {
	from, to := w.any(), w.any()
	if from != to {
		w.hold("one way", Cut, []link{{from.id, to.id}})
	}
}

// partition divides the nodes into two groups that do not hear each other; sometimes only one is deaf.
func (w *World) partition() {
	direction := []int{0, 2, 2, 2}[w.chance.IntN(4)]
	group := map[raft.NodeID]bool{}
	for _, m := range w.machines {
		group[m.id] = w.chance.IntN(2) == 0
	}
	links := w.around(group, direction)
	if len(links) > 0 {
		w.hold("partition", Partition, links)
	}
}

// cutLeader takes whoever leads off the network, in one direction or in both. Some may stay with it, too few for a
// majority: who asks them must not be served from the past. Sometimes the next leader is cut off at the moment when
// this one comes back: then the logs of several short leaders compete. Sometimes it is cut off in the moment when it
// is elected, and nobody hears of what it appended. And sometimes somebody gives the office back to the one that lost
// it, while its clients still wait.
func (w *World) cutLeader() {
	leader := w.leader()
	if leader == nil {
		return
	}
	w.ambush = w.chance.IntN(3) == 0
	links := w.around(w.minorityOf(leader), w.chance.IntN(3))
	if len(links) == 0 {
		return
	}
	lasts := w.hold("leader", LeaderCut, links)
	next := w.chance.IntN(4)
	w.after(lasts, nil, func() {
		switch {
		case w.healed:
		case next < 2:
			w.count(LeaderCut)
			w.cutLeader()
		case next == 2:
			w.count(Transfer)
			w.orderTransferTo(leader)
		}
	})
}

// springs cuts a leader off that has just been elected, if it was waited for.
func (w *World) springs(elected *machine) {
	if !w.ambush || w.healed {
		return
	}
	w.ambush = false
	if links := w.around(map[raft.NodeID]bool{elected.id: true}, 2); len(links) > 0 {
		w.count(LeaderCut)
		w.hold("new leader", LeaderCut, links)
	}
}

// minorityOf draws companions for a leader, so few that it has no majority with them.
func (w *World) minorityOf(leader *machine) map[raft.NodeID]bool {
	minority := map[raft.NodeID]bool{leader.id: true}
	size := 1 + w.chance.IntN(max(1, w.quorum()-1))
	for len(minority) < size {
		minority[w.any().id] = true
	}
	return minority
}

// around lists the links between a group and the others: from it (0), to it (1), or both (2).
func (w *World) around(group map[raft.NodeID]bool, direction int) []link {
	var links []link
	for _, a := range w.machines {
		for _, b := range w.machines {
			if from, to := group[a.id], group[b.id]; from != to && (direction == 2 || from == (direction == 0)) {
				links = append(links, link{a.id, b.id})
			}
		}
	}
	return links
}

func (w *World) powerLoss() {
	for _, m := range w.machines {
		m.crash(w.mix.lasts(w.chance, PowerLoss))
	}
}

func (w *World) restartOne() { w.any().shutDown() }

func (w *World) pauseOne() {
	m, d := w.any(), w.mix.lasts(w.chance, Pause)
	w.note(note{kind: noteFault, node: m.id, text: fmt.Sprintf("is stopped for %v", d.Round(time.Millisecond))})
	m.freeze(d)
}

// suspendOne sends a machine to sleep: when it wakes, its clock for durations goes on where it stood.
func (w *World) suspendOne() {
	m, d := w.any(), w.mix.lasts(w.chance, Suspend)
	w.note(note{kind: noteFault, node: m.id, text: fmt.Sprintf("sleeps for %v", d.Round(time.Millisecond))})
	m.suspend(d)
}

func (w *World) jumpClock() {
	m := w.any()
	jump := w.mix.lasts(w.chance, ClockJump)
	if w.chance.IntN(2) == 0 {
		jump = -jump
	}
	m.clockOffset += jump
	w.note(note{kind: noteFault, node: m.id, text: fmt.Sprintf("its wall clock jumps by %v", jump.Round(time.Second))})
}

// orderTransfer asks whoever leads to hand over, to anyone.
func (w *World) orderTransfer() { w.orderTransferTo(w.any()) }

func (w *World) orderTransferTo(to *machine) {
	leader := w.leader()
	if leader == nil {
		return
	}
	p := leader.process
	w.note(note{kind: noteFault, node: leader.id, text: fmt.Sprintf("is told to hand over to node %d", to.id)})
	ctx, cancel := context.WithCancel(p.ctx)
	p.mayCancel(cancel)
	p.Go(func() {
		defer cancel()
		_ = p.node.TransferLeadership(ctx, to.id) // may fail for many good reasons
	})
	w.settle(p)
}
