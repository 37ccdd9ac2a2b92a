package raft

import (
	"errors"
	"fmt"
	"slices"
)

// errRead is a disk that failed to read.
var errRead = errors.New("read error")

// housekeeping is what nodes do beside their passes: checkpoints, removals, reads from the disk, and snapshots.
type housekeeping struct {
	on       bool
	greedy   bool // entries are removed that active followers need
	fetches  []fetching
	removals []removing
	streams  []*stream
	late     []stream // snapshots that arrive again

	counts houseCounts
}

// houseCounts is how often something happened: the tail was trimmed, entries were removed from a disk, read from it,
// and not found there; snapshots were installed, and kept a suffix of the log.
type houseCounts struct{ trims, removed, read, gone, installs, suffixes int }

func (h *housekeeping) add(other *housekeeping) {
	a, b := &h.counts, &other.counts
	*a = houseCounts{
		a.trims + b.trims, a.removed + b.removed, a.read + b.read, a.gone + b.gone, a.installs + b.installs,
		a.suffixes + b.suffixes,
	}
}

// fetching is a read from the disk that is not reported yet.
type fetching struct {
	node *testNode
	Fetch
}

// removing is a removal that is not reported to the core yet.
type removing struct {
	node *testNode
	to   Index
}

// stream is a snapshot on its way.
type stream struct {
	transit
	opened, arrived bool
	index           Index // that is reported
}

// keepHouse does one thing that a node does beside its passes.
func (run *randomRun) keepHouse(node *testNode) error {
	switch run.rng.IntN(8) {
	case 0, 1:
		return run.compactDisk(node)
	case 2, 3, 4:
		run.fetchOne()
	case 5:
		run.reportRemoval()
	default:
		return run.moveSnapshot()
	}
	return nil
}

// compactDisk writes a checkpoint, and removes entries from the disk. The core learns of it later.
func (run *randomRun) compactDisk(node *testNode) error {
	node.disk.checkpoint = node.applied
	from, to := node.disk.start.Index, Index(len(node.applied))
	if !run.house.greedy && node.role == Leader {
		to = min(to, node.NeededFrom(testElectionTicks)-1)
	}
	if to <= from || run.rng.IntN(2) == 0 {
		return nil
	}
	to = from + 1 + Index(run.rng.IntN(int(to-from)))
	node.disk.cut(to)
	run.house.counts.removed++
	run.house.removals = append(run.house.removals, removing{node, to})
	if err := node.checkPosition(to, &node.disk.start); err != nil {
		return fmt.Errorf("node %d: %w", node.id, err)
	}
	return nil
}

// checkPosition: what the core returns for a position is what the entries up to there lead to.
func (node *testNode) checkPosition(i Index, want *LogStart) error {
	seats, cfg := node.SeatsUpTo(i), node.ConfigurationUpTo(i)
	if !slices.Equal(seats, want.Seats) && i >= node.log.offset {
		return fmt.Errorf("at %d the seats are %v, and not %v", i, seats, want.Seats)
	}
	if !cfg.Same(want.Configuration) && i >= node.log.offset {
		return fmt.Errorf("at %d the configuration is %+v, and not %+v", i, cfg, want.Configuration)
	}
	return nil
}

func (run *randomRun) reportRemoval() {
	r, ok := take(run, &run.house.removals)
	if ok && run.runs(r.node) {
		r.node.Removed(r.to)
	}
}

// runs reports whether a node was not restarted or stopped since.
func (run *randomRun) runs(node *testNode) bool {
	return run.nodes[node.id] == node && !run.down[node.id]
}

// fetchOne reads from a disk, and reports what it holds now.
func (run *randomRun) fetchOne() {
	f, ok := take(run, &run.house.fetches)
	if !ok || !run.runs(f.node) {
		return
	}
	part, err := f.node.disk.read(f.Fetch)
	switch {
	case run.rng.IntN(10) == 0:
		part, err = Log{}, errRead
	case err != nil:
		run.house.counts.gone++
	default:
		run.house.counts.read++
	}
	f.node.Fetched(f.Fetch, part, err)
}

// moveSnapshot does the next thing with one of the snapshots: open it, deliver it, or report it. Each may fail.
func (run *randomRun) moveSnapshot() error {
	if len(run.house.late) > 0 && run.rng.IntN(4) == 0 {
		s, _ := take(run, &run.house.late)
		return run.deliverSnapshot(&s)
	}
	if len(run.house.streams) == 0 {
		// A snapshot for which no leader asks now, as from one of an earlier term.
		from, to := run.anyNode(), run.anyNode()
		if run.down[from.id] || from == to {
			return nil
		}
		return run.deliverSnapshot(&stream{transit: transit{from, to.id, from.disk.snapshot()}})
	}
	i := run.rng.IntN(len(run.house.streams))
	s := run.house.streams[i]
	switch {
	case !s.opened && run.runs(s.from):
		s.snapshot, s.opened = s.from.disk.snapshot(), true
		return nil
	case s.opened && !s.arrived && run.reachable(s.from.id, s.to) && run.rng.IntN(4) > 0:
		s.arrived = true
		return run.deliverSnapshot(s)
	}
	run.house.streams = append(run.house.streams[:i], run.house.streams[i+1:]...)
	if !run.runs(s.from) {
		return nil
	}
	if s.arrived && run.rng.IntN(4) > 0 {
		s.from.SnapshotSent(s.to, s.index)
	} else {
		s.from.SnapshotFailed(s.to)
	}
	return nil
}

func (run *randomRun) anyNode() *testNode { return run.nodes[NodeID(1+run.rng.IntN(len(run.nodes)))] }

func (run *randomRun) reachable(from, to NodeID) bool {
	return !run.down[to] && run.cut[from] == run.cut[to]
}

// deliverSnapshot installs a snapshot on a node, after its pass.
func (run *randomRun) deliverSnapshot(s *stream) error {
	if run.down[s.to] {
		return nil
	}
	to := run.nodes[s.to]
	for run.pending[s.to] != nil || to.HasReady() {
		if err := run.pass(to); err != nil {
			return err
		}
		if err := run.check.checkNode(s.to); err != nil {
			return err
		}
	}
	before := to.log.last()
	if s.start.Index == 0 {
		return nil // no checkpoint yet
	}
	installed, err := to.restore(s.from.id, s.snapshot)
	if err != nil && (s.start.Term > to.term || to.isRemoved(s.from.id)) {
		return nil // the receiver was not reached in that term yet, or has committed the removal of the sender
	}
	if err != nil {
		return fmt.Errorf("node %d refuses a snapshot up to %d: %w", s.to, s.start.Index, err)
	}
	s.index = max(s.start.Index, to.log.commit)
	if installed {
		run.house.counts.installs++
		if to.log.last() > s.start.Index {
			run.house.counts.suffixes++
		}
		if last := to.disk.whole().Last(); last != to.log.last() || last > s.start.Index && last != before {
			return fmt.Errorf("node %d restored %d: its log ended at %d, now at %d, on the disk at %d", s.to, s.start.Index,
				before, to.log.last(), last)
		}
		if !s.arrived || run.rng.IntN(4) == 0 {
			run.house.late = append(run.house.late, *s)
		}
	}
	return run.check.checkNode(s.to)
}

// take removes one of the things that wait.
func take[T any](run *randomRun, list *[]T) (T, bool) {
	var none T
	if len(*list) == 0 {
		return none, false
	}
	i := run.rng.IntN(len(*list))
	one := (*list)[i]
	*list = append((*list)[:i], (*list)[i+1:]...)
	return one, true
}

// endHousekeeping reports all that is not reported yet.
func (run *randomRun) endHousekeeping() {
	for len(run.house.fetches) > 0 {
		run.fetchOne()
	}
	for len(run.house.removals) > 0 {
		run.reportRemoval()
	}
	for _, s := range run.house.streams {
		if run.runs(s.from) {
			s.from.SnapshotFailed(s.to)
		}
	}
	run.house.streams = nil
}
