package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// An acknowledged write survives the loss of any minority of disks at any moment, also during the first start and while
// other members never ran or are silent; and no loss makes a member vote twice (trap T28). The faults in this file make
// such losses: several at one instant, of those that a write depends on, while the others are silent.

// isMember reports whether the disk makes its node one that counts for votes and acknowledgements. One that does not
// count yet may wait for ever if others are lost.
func (m *machine) isMember() bool {
	return m.gone == "" && !m.flipped && identity.HoldsSeat(m.disk.image.facts)
}

// isLost reports whether the disk was lost or damaged, so that what was on it counts as gone.
func (m *machine) isLost() bool { return m.wiped || m.flipped || m.gone != "" }

// mayBeLost reports whether the machine's disk may be lost for good, without taking the majority that can go on: that
// many members must stay.
func (m *machine) mayBeLost() bool {
	stay := 0
	for _, other := range m.world.machines {
		if other != m && other.isMember() && !other.wiped {
			stay++
		}
	}
	return m.gone == "" && !m.flipped && stay > len(m.world.machines)/2 && (m.wiped || m.world.lossesLeft() > 0)
}

// lossesLeft is how many more disks may be lost in a chapter: a minority in all, whoever they belong to.
func (w *World) lossesLeft() int {
	if w.forgery.target != nil {
		return 0 // it may have to stop, and so may those that took the forged entry from it
	}
	left := (len(w.machines) - 1) / 2
	for _, m := range w.machines {
		if m.isLost() {
			left--
		}
	}
	return left
}

// lose makes the disk an empty one.
func (m *machine) lose() {
	w := m.world
	m.disk.wipe()
	m.wiped = true
	w.count(LostDisk)
	w.note(note{kind: noteFault, node: m.id, text: "its disk comes back empty"})
}

// loseDisks lets the power fail. Every other time a minority is cut off before, so that what is committed meanwhile
// depends on the disks of the others, and it is those that are lost.
func (w *World) loseDisks() {
	behind := map[raft.NodeID]bool{}
	for range w.chance.IntN(len(w.machines) - w.quorum() + 1) {
		behind[w.any().id] = true
	}
	links := w.around(behind, 2)
	if len(links) == 0 || w.chance.IntN(2) == 0 {
		w.failPower(nil, false)
		return
	}
	lasts := w.hold("before the power fails", LostDisks, links)
	w.after(lasts, nil, func() {
		if !w.healed {
			w.failPower(behind, false)
		}
	})
}

// loseFounders lets the power fail soon after the first election, every other time, if some members have not started.
// Few disks then know that the cluster is founded. The members whose disks are lost, and those that start now, may be
// enough to found another one (trap T28).
func (w *World) loseFounders() {
	if w.founded || w.mix[LostDisks] == 0 || w.healed {
		return
	}
	w.founded = true
	if !slices.ContainsFunc(w.machines, func(m *machine) bool { return m.lives == 0 }) || w.chance.IntN(2) == 0 {
		return
	}
	w.after(time.Duration(w.chance.Int64N(int64(100*time.Millisecond))), nil, func() {
		if !w.healed {
			w.count(LostDisks)
			w.failPower(nil, true)
		}
	})
}

// failPower hits all nodes at one instant and takes the disks of some with it, as many as may be lost, but none of
// those that are spared. Unlike the losses of single crashes it does not ask who is a member yet: it may strike during
// the first start. The empty ones come back soon, and meet. Of the others some stay away for long, or come back where
// nothing reaches them.
//
// If all of them are to be silent, no node that keeps its disk answers for some seconds, and those that have never run
// start at once.
func (w *World) failPower(spared map[raft.NodeID]bool, silent bool) {
	victims := w.drawVictims(spared)
	for _, m := range w.machines {
		if m.process != nil {
			w.note(note{kind: noteCrash, node: m.id})
			m.down(m.process)
		}
	}
	for _, m := range victims {
		m.lose()
	}
	for _, m := range w.machines {
		back := w.mix.lasts(w.chance, PowerLoss)
		isVictim := slices.Contains(victims, m)
		if silent && !isVictim && m.lives > 0 {
			back += catalogue[LostDisks].longest / 4
		} else if !isVictim && m.lives > 0 {
			switch silence := w.mix.lasts(w.chance, LostDisks); w.chance.IntN(5) {
			case 0, 1:
				back = silence
			case 2:
				w.network.hold(w.around(map[raft.NodeID]bool{m.id: true}, w.chance.IntN(3)), silence)
			}
		}
		if m.lives > 0 || silent { // else a node that has never run starts when it was to start
			w.after(back, nil, m.start)
		}
	}
}

// drawVictims draws whose disks are lost: every other time the leader's among them, because what only the leader knew
// is gone then.
func (w *World) drawVictims(spared map[raft.NodeID]bool) []*machine {
	var first *machine
	if w.chance.IntN(2) == 0 {
		first = w.leader()
	}
	order := slices.Clone(w.machines)
	w.chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	left := w.lossesLeft()
	if left > 1 && w.chance.IntN(2) == 0 {
		left = 1 + w.chance.IntN(left)
	}
	var victims []*machine
	take := func(m *machine) {
		if m == nil || spared[m.id] || m.lives == 0 || m.gone != "" || m.flipped || slices.Contains(victims, m) {
			return
		}
		if !m.wiped { // who lost one before may lose another
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

// begin is the first start of a machine. It may come late, when the others have worked for a while or are gone again;
// every other time after a first run that was too short for much.
func (m *machine) begin() {
	w := m.world
	if !w.mix.happens(w.chance, LateStart) {
		m.start()
		return
	}
	w.count(LateStart)
	late, short := w.mix.lasts(w.chance, LateStart), w.chance.IntN(2) == 0
	w.note(note{kind: noteFault, node: m.id, text: fmt.Sprintf("starts %v late", late.Round(time.Millisecond))})
	if !short {
		w.after(late, nil, m.start)
		return
	}
	m.start()
	runs := time.Duration(w.chance.Int64N(int64(300 * time.Millisecond)))
	w.after(runs, nil, func() {
		if !w.healed {
			m.crash(late)
		}
	})
}
