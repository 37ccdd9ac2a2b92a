package sim

import (
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// An acknowledged write survives the loss of any minority of disks at any moment, also during the first start and while
// other members have never run or are unreachable; and no loss makes a member vote twice (trap T28). The faults in this
// file cause such losses: several at one instant, of the disks that a write depends on, while the others are
// unreachable.

// mayBeLost reports whether the machine's disk may be lost permanently, so that a majority of the members remains.
func (w *nemesis) mayBeLost(m *engine.Machine) bool {
	stay := 0
	for _, other := range w.Machines {
		if other != m && other.IsMember() && !other.Wiped {
			stay++
		}
	}
	return m.Gone == "" && !m.Flipped && stay > len(w.Machines)/2 && (m.Wiped || w.lossesLeft() > 0)
}

// lossesLeft returns how many more disks may be lost in a chapter: a minority in total, of any nodes.
func (w *nemesis) lossesLeft() int {
	if w.forger.target != nil {
		return 0 // it may have to stop, and so may the nodes that took the forged entry from it
	}
	left := (len(w.Machines) - 1) / 2
	for _, m := range w.Machines {
		if m.IsLost() || m.Disk.Spoiled || w.Watch.Lacks(m.ID) {
			left--
		}
	}
	return max(left, 0) // more than a minority may have damaged checkpoints
}

// damage is what may happen to the disk while a machine is down. It never affects so many that no majority of whole
// disks is left: no consensus survives that.
func (w *nemesis) damage(m *engine.Machine) {
	if w.Mix.Happens(w.Chance, engine.BitFlip) && w.mayBeLost(m) && m.Disk.FlipBit() {
		m.Flipped = true
		w.Count(engine.BitFlip)
		w.NoteFault(m.ID, "a bit flips on its disk")
	}
	if w.Mix.Happens(w.Chance, engine.LostDisk) && w.mayBeLost(m) {
		m.LoseDisk()
		return
	}
	if w.Mix.Happens(w.Chance, engine.SpoiledState) && w.maySpoil(m) && w.Spoil(m) {
		w.Count(engine.SpoiledState)
	}
	if w.Mix.Happens(w.Chance, engine.DamagedState) && w.mayDamage(m) && w.DamageState(m) {
		w.Count(engine.DamagedState)
	}
}

// mayDamage reports whether the checkpoint of a machine may be damaged. All others must have begun, so that a majority
// stays that can elect one of its own: the machine may have the longest log, leads at most to hand over, and votes for
// no shorter log.
func (w *nemesis) mayDamage(m *engine.Machine) bool {
	return (w.maySpoil(m) || w.isRecoverable(m)) && !slices.ContainsFunc(w.Machines, func(other *engine.Machine) bool {
		return !other.IsMember() && !other.IsLost()
	})
}

// isRecoverable reports whether all states come back if that of a machine is damaged, and of others may have been: one
// member has its state, and lacks no entry that is missing in the log of one which has none. Such logs are not cut.
func (w *nemesis) isRecoverable(m *engine.Machine) bool {
	if w.forger.target != nil || w.Watch.AnySpoiled() || w.Watch.Lacks(m.ID) || !m.IsMember() {
		return false
	}
	from := m.Disk.LogFrom()
	for _, other := range w.Machines {
		if other.IsLost() {
			return false
		}
		if w.Watch.Lacks(other.ID) {
			from = max(from, other.Disk.LogFrom())
		}
	}
	return slices.ContainsFunc(w.Machines, func(other *engine.Machine) bool {
		return other != m && !w.Watch.Lacks(other.ID) && other.Disk.Committed() >= from
	})
}

// maySpoil reports whether the state of a machine may get a wrong value: one at a time, and only if a majority of the
// members stays that can prove it.
func (w *nemesis) maySpoil(m *engine.Machine) bool {
	return !w.Watch.AnySpoiled() && !w.Watch.Lacks(m.ID) && m.IsMember() && !m.IsLost() && w.lossesLeft() > 0
}

// Spoil changes a value in the checkpoint of a machine that is down, and reports whether there is one.
func (c *Cluster) Spoil(m *engine.Machine) bool {
	if !m.Disk.SpoilState() {
		return false
	}
	c.Watch.Spoil(m.ID)
	c.NoteFault(m.ID, "a value in its checkpoint changes")
	return true
}

// DamageState makes the checkpoint of a machine that is down unreadable, and reports whether there is one.
func (c *Cluster) DamageState(m *engine.Machine) bool {
	if !m.Disk.DamageState() {
		return false
	}
	c.Watch.Damage(m.ID)
	c.NoteFault(m.ID, "its checkpoint is damaged")
	return true
}

// loseDisks makes the power fail. Every other time a minority is cut off before, so that what is committed meanwhile
// depends on the disks of the others, which are the ones that are lost.
func (w *nemesis) loseDisks() {
	behind := map[raft.NodeID]bool{}
	for range w.Chance.IntN(len(w.Machines) - w.Quorum() + 1) {
		behind[w.any().ID] = true
	}
	links := w.around(behind, 2)
	if len(links) == 0 || w.Chance.IntN(2) == 0 {
		w.failPower(nil, false)
		return
	}
	lasts := w.hold("before the power fails", engine.LostDisks, links)
	w.After(lasts, nil, func() {
		if !w.healed {
			w.failPower(behind, false)
		}
	})
}

// loseFounders makes the power fail soon after the first election, every other time, if some members have not started.
// Few disks then hold the founding of the cluster. The members whose disks are lost, and those that start now, may be
// enough to found another one (trap T28).
func (w *nemesis) loseFounders() {
	if w.founded || w.Mix[engine.LostDisks] == 0 || w.healed {
		return
	}
	w.founded = true
	if !slices.ContainsFunc(w.Machines, func(m *engine.Machine) bool { return m.Lives == 0 }) || w.Chance.IntN(2) == 0 {
		return
	}
	w.After(time.Duration(w.Chance.Int64N(int64(100*time.Millisecond))), nil, func() {
		if !w.healed {
			w.Count(engine.LostDisks)
			w.failPower(nil, true)
		}
	})
}

// failPower hits all nodes at one instant and takes the disks of some with it, as many as may be lost, but none of
// those that are spared. Unlike the losses of single crashes it is independent of membership: it may strike during the
// first start. The empty nodes come back soon, and reach each other. Of the others some stay down for long, or come
// back where no message reaches them.
//
// If all of them are to be silent, no node that keeps its disk answers for some seconds, and those that have never run
// start at once.
func (w *nemesis) failPower(spared map[raft.NodeID]bool, silent bool) {
	victims := w.drawVictims(spared)
	for _, m := range w.Machines {
		m.Kill()
	}
	for _, m := range victims {
		m.LoseDisk()
	}
	for _, m := range w.Machines {
		back := w.Mix.Lasts(w.Chance, engine.PowerLoss)
		isVictim := slices.Contains(victims, m)
		if silent && !isVictim && m.Lives > 0 {
			back += engine.LostDisks.Longest() / 4
		} else if !isVictim && m.Lives > 0 {
			switch silence := w.Mix.Lasts(w.Chance, engine.LostDisks); w.Chance.IntN(5) {
			case 0, 1:
				back = silence
			case 2:
				w.Network.Hold(w.around(map[raft.NodeID]bool{m.ID: true}, w.Chance.IntN(3)), silence)
			}
		}
		if m.Lives > 0 || silent { // else a node that has never run starts when it was to start
			w.After(back, nil, m.Start)
		}
	}
}

// drawVictims draws whose disks are lost: every other time the leader's is among them, because then everything that
// only the leader had is lost.
func (w *nemesis) drawVictims(spared map[raft.NodeID]bool) []*engine.Machine {
	var first *engine.Machine
	if w.Chance.IntN(2) == 0 {
		first = w.Leader()
	}
	order := slices.Clone(w.Machines)
	w.Chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	left := w.lossesLeft()
	if left > 1 && w.Chance.IntN(2) == 0 {
		left = 1 + w.Chance.IntN(left)
	}
	var victims []*engine.Machine
	take := func(m *engine.Machine) {
		if m == nil || spared[m.ID] || m.Lives == 0 || m.Gone != "" || m.Flipped || slices.Contains(victims, m) {
			return
		}
		if !m.Wiped { // a node that has lost one may lose another
			if left == 0 {
				return
			}
			left--
		}
		victims = append(victims, m)
	}
	take(first)
	for _, m := range order {
		take(m)
	}
	return victims
}

// begin starts a machine for the first time. It may be late, when the others have run for a while or are down again;
// every other time it comes after a first run that was very short.
func (w *nemesis) begin(m *engine.Machine) {
	if !w.Mix.Happens(w.Chance, engine.LateStart) {
		m.Start()
		return
	}
	w.Count(engine.LateStart)
	late, short := w.Mix.Lasts(w.Chance, engine.LateStart), w.Chance.IntN(2) == 0
	w.NoteFault(m.ID, "starts %v late", late.Round(time.Millisecond))
	if !short {
		w.After(late, nil, m.Start)
		return
	}
	m.Start()
	runs := time.Duration(w.Chance.Int64N(int64(300 * time.Millisecond)))
	w.After(runs, nil, func() {
		if !w.healed {
			w.Crash(m, late)
		}
	})
}
