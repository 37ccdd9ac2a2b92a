package engine

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// A disk that is full takes no more writes. The model has no file system: a disk has endless room until the fault
// full-disk leaves it little, of which each write then takes what a node may expect at most.

// ErrFull reports that a disk has no room for a write. No node may get that far.
var ErrFull = errors.New("sim: no space left on the disk")

// reserve is that of the nodes, if disks may be full in a run.
const reserve = 4 << 20

// leastLeft and mostLeft bound what the fault leaves: from a little less than what a node keeps for votes, to a little
// more than its reserve.
const (
	leastLeft = 768 << 10
	mostLeft  = 9 << 19
)

// endless is what is free of a disk that is not full.
const endless = 1 << 40

// What a write takes beside its entries: what a node expects (package node), and less if it has none.
const (
	entriesCost = 8 << 10
	stateCost   = 512
)

// DrawApart draws how often a fault happens: not at all in three seeds of four. It is drawn apart from the other
// faults, so that the mix of a seed stays what it was before there was this fault.
func DrawApart(f Fault, rng *rand.Rand) float64 {
	takesPart, at := rng.IntN(4) == 0, rng.Float64()
	if !takesPart {
		return 0
	}
	low, high := math.Log(catalogue[f].low), math.Log(catalogue[f].high)
	return math.Exp(low + at*(high-low))
}

// Fill leaves little free on the machine's disk for some time.
func (m *Machine) Fill(rng *rand.Rand, lasts time.Duration) {
	m.Disk.left = int64(leastLeft * math.Pow(float64(mostLeft)/leastLeft, rng.Float64()))
	m.Disk.filled++
	number := m.Disk.filled
	m.world.NoteFault(m.ID, "its disk has %d KiB left", m.Disk.left>>10)
	m.world.After(lasts, nil, func() {
		if m.Disk.filled == number {
			m.Disk.clear()
		}
	})
}

// LiftQuota starts nodes without a quota from now on.
func (w *World) LiftQuota() { w.cfg.Limits.Quota = 0 }

// clear removes what filled a disk.
func (d *disk) clear() { d.left = endless }

// sizes is what a node measures.
func (d *disk) sizes() api.Disk { return api.Disk{FreeBytes: d.left} }

// occupy takes room for a record, and fails if there is none.
func (d *disk) occupy(r record) error {
	cost := int64(stateCost)
	if len(r.entries) > 0 {
		cost = entriesCost
	}
	for i := range r.entries {
		cost += 2 * int64(len(r.entries[i].Command))
	}
	if cost > d.left {
		return ErrFull
	}
	if d.left < endless {
		d.left -= cost
	}
	return nil
}

// roomApart refuses what is not the log's, a checkpoint or a snapshot, if less than a part of the reserve is left.
func (d *disk) roomApart(least int64) error {
	if d.left < least {
		return fmt.Errorf("%w: %w", snapshot.ErrNoRoom, ErrFull)
	}
	return nil
}
