package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// nemesis injects faults: those that strike by themselves or after a step of a node, and those of disks.
type nemesis struct {
	*Cluster
	founded bool // a leader was elected
	ambush  bool // the next leader is cut off when it is elected
	// received is how much of a snapshot each node had after its last step.
	received map[raft.NodeID]int
}

// start starts the faults that strike by themselves, each at its own rate.
func (w *nemesis) start() {
	strikes := []struct {
		fault  engine.Fault
		strike func()
	}{
		{engine.Cut, w.cutLink},
		{engine.Partition, w.partition},
		{engine.LeaderCut, w.cutLeader},
		{engine.PowerLoss, w.powerLoss},
		{engine.Restart, w.restartOne},
		{engine.Pause, w.pauseOne},
		{engine.ClockJump, w.jumpClock},
		{engine.Transfer, w.orderTransfer},
		{engine.Suspend, w.suspendOne},
		{engine.LostDisks, w.loseDisks},
		{engine.Away, w.sendAway},
		{engine.FullDisk, w.fillDisk},
	}
	for _, s := range strikes {
		if w.Mix[s.fault] > 0 {
			w.again(s.fault, s.strike)
		}
	}
	w.burst(0)
}

// again schedules a fault repeatedly until the world heals.
func (w *nemesis) again(f engine.Fault, strike func()) {
	w.After(w.Mix.Next(w.Chance, f), nil, func() {
		if w.healed {
			return
		}
		w.Count(f)
		strike()
		w.again(f, strike)
	})
}

func (w *nemesis) any() *engine.Machine { return w.Machines[w.Chance.IntN(len(w.Machines))] }

func (w *nemesis) hold(why string, f engine.Fault, links []engine.Link) time.Duration {
	lasts := w.Mix.Lasts(w.Chance, f)
	text := fmt.Sprintf("%s: cut for %v: %s", why, lasts.Round(time.Millisecond), engine.NameLinks(links))
	w.NoteFault(0, "%s", text)
	w.Network.Hold(links, lasts)
	return lasts
}

func (w *nemesis) cutLink() {
	from, to := w.any(), w.any()
	if from != to {
		w.hold("one way", engine.Cut, []engine.Link{from.To(to)})
	}
}

// partition divides the nodes into two groups that are cut off from each other, sometimes in one direction only.
func (w *nemesis) partition() {
	direction := []int{0, 2, 2, 2}[w.Chance.IntN(4)]
	group := map[raft.NodeID]bool{}
	for _, m := range w.Machines {
		group[m.ID] = w.Chance.IntN(2) == 0
	}
	links := w.around(group, direction)
	if len(links) > 0 {
		w.hold("partition", engine.Partition, links)
	}
}

// cutLeader cuts the leader off from the network, in one direction or in both. Some nodes may stay with it, too few for
// a majority: their clients must not get an old state. Sometimes the next leader is cut off at the moment when this one
// comes back: then the logs of several short leaders compete. Sometimes it is cut off at the moment when it is elected,
// and no node receives what it appended. And sometimes leadership is transferred back to the node that lost it, while
// its clients still wait.
func (w *nemesis) cutLeader() {
	leader := w.Leader()
	if leader == nil {
		return
	}
	w.ambush = w.Chance.IntN(3) == 0
	links := w.around(w.minorityOf(leader), w.Chance.IntN(3))
	if len(links) == 0 {
		return
	}
	lasts := w.hold("leader", engine.LeaderCut, links)
	next := w.Chance.IntN(4)
	w.After(lasts, nil, func() {
		switch {
		case w.healed:
		case next < 2:
			w.Count(engine.LeaderCut)
			w.cutLeader()
		case next == 2:
			w.Count(engine.Transfer)
			w.orderTransferTo(leader)
		}
	})
}

// springs cuts off a leader that has just been elected, if one was waited for.
func (w *nemesis) springs(elected *engine.Machine) {
	if !w.ambush || w.healed {
		return
	}
	w.ambush = false
	if links := w.around(map[raft.NodeID]bool{elected.ID: true}, 2); len(links) > 0 {
		w.Count(engine.LeaderCut)
		w.hold("new leader", engine.LeaderCut, links)
	}
}

// minorityOf draws nodes to stay with a leader, too few for a majority.
func (w *nemesis) minorityOf(leader *engine.Machine) map[raft.NodeID]bool {
	minority := map[raft.NodeID]bool{leader.ID: true}
	size := 1 + w.Chance.IntN(max(1, w.Quorum()-1))
	for len(minority) < size {
		minority[w.any().ID] = true
	}
	return minority
}

// around lists the links between a group and the others: from it (0), to it (1), or both (2).
func (w *nemesis) around(group map[raft.NodeID]bool, direction int) []engine.Link {
	var links []engine.Link
	for _, a := range w.Machines {
		for _, b := range w.Machines {
			if from, to := group[a.ID], group[b.ID]; from != to && (direction == 2 || from == (direction == 0)) {
				links = append(links, a.To(b))
			}
		}
	}
	return links
}

// One in so many nodes is killed after it received a part of a snapshot, and at each step of an installation.
const installRisk = 12

// strikeAfterStep may kill or freeze a node between two of its steps.
func (w *nemesis) strikeAfterStep(m *engine.Machine) {
	switch {
	case w.Mix.Happens(w.Chance, engine.Crash):
		w.Crash(m, w.Mix.Lasts(w.Chance, engine.Crash))
	case w.Mix[engine.Crash] > 0 && w.takesSnapshot(m) && w.Chance.IntN(installRisk) == 0:
		w.Crash(m, w.Mix.Lasts(w.Chance, engine.Crash))
	case w.Mix.Happens(w.Chance, engine.Halt):
		w.Count(engine.Halt)
		d := w.Mix.Lasts(w.Chance, engine.Halt)
		w.NoteFault(m.ID, "is halted for %v", d.Round(time.Millisecond))
		m.Freeze(d)
	}
}

// takesSnapshot reports whether a node received a part of a snapshot in its last step, or installs one.
func (w *nemesis) takesSnapshot(m *engine.Machine) bool {
	if w.received == nil {
		w.received = map[raft.NodeID]int{}
	}
	before, now := w.received[m.ID], m.Disk.Received()
	w.received[m.ID] = now
	return now > before || m.Disk.IsAhead()
}

// Crash kills a node, as a loss of power would, and starts it again later.
func (c *Cluster) Crash(m *engine.Machine, comesBack time.Duration) {
	if m.Process == nil {
		return
	}
	c.Count(engine.Crash)
	m.Kill()
	c.nemesis.damage(m)
	c.After(comesBack, nil, m.Start)
}

func (w *nemesis) powerLoss() {
	for _, m := range w.Machines {
		w.Crash(m, w.Mix.Lasts(w.Chance, engine.PowerLoss))
	}
}

// sendAway kills a node for so long that the others may remove what it lacks from their logs.
func (w *nemesis) sendAway() {
	w.Crash(w.any(), time.Duration(w.Chance.Int64N(int64(engine.Away.Longest()))))
}

func (w *nemesis) restartOne() { w.any().ShutDown() }

func (w *nemesis) pauseOne() {
	m, d := w.any(), w.Mix.Lasts(w.Chance, engine.Pause)
	w.NoteFault(m.ID, "is stopped for %v", d.Round(time.Millisecond))
	m.Freeze(d)
}

// suspendOne suspends a machine: when it wakes, its monotonic clock continues where it stood.
func (w *nemesis) suspendOne() {
	m, d := w.any(), w.Mix.Lasts(w.Chance, engine.Suspend)
	w.NoteFault(m.ID, "sleeps for %v", d.Round(time.Millisecond))
	m.Suspend(d)
}

func (w *nemesis) jumpClock() {
	m := w.any()
	jump := w.Mix.Lasts(w.Chance, engine.ClockJump)
	if w.Chance.IntN(2) == 0 {
		jump = -jump
	}
	m.ClockOffset += jump
	w.NoteFault(m.ID, "its wall clock jumps by %v", jump.Round(time.Second))
}

// orderTransfer orders the leader to transfer leadership to any node.
func (w *nemesis) orderTransfer() { w.orderTransferTo(w.any()) }

func (w *nemesis) orderTransferTo(to *engine.Machine) {
	leader := w.Leader()
	if leader == nil {
		return
	}
	p := leader.Process
	w.NoteFault(leader.ID, "is told to hand over to node %d", to.ID)
	ctx, cancel := context.WithCancel(p.Ctx)
	p.MayCancel(cancel)
	p.Go(func() {
		defer cancel()
		_ = p.Node.TransferLeadership(ctx, to.ID) // may fail for many valid reasons
	})
	w.Settle(p)
}
