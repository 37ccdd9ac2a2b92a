package raft

// Nothing in the core removes entries or installs snapshots. Here both happen between two runs of a node, on its disk.

// comeBack restarts a node, sometimes after it removed entries that were committed on its disk.
func (run *randomRun) comeBack(id NodeID) {
	disk := &run.nodes[id].disk
	if from, to := disk.start.Index, disk.state.Commit; run.compacts && to > from && run.rng.IntN(2) == 0 {
		upTo := from + 1 + Index(run.rng.IntN(int(to-from)))
		disk.start = run.startAt(upTo)
		disk.log = disk.log[upTo-from:]
		run.removals++
	}
	node := run.restart(id)
	// The state machine has what was removed.
	node.applied = append(node.applied, run.check.done[:disk.start.Index]...)
}

// startAt returns the start of a log from which everything up to a committed entry was removed.
func (run *randomRun) startAt(upTo Index) LogStart { return cutLog(run.check.done, upTo).Start }

// installSnapshots gives each follower that waits for one a snapshot that ends where the leader's log starts.
func (run *randomRun) installSnapshots(leader *testNode) {
	start := run.startAtOf(leader)
	for i := range leader.lead.progress {
		p := &leader.lead.progress[i]
		if p.state != awaitingSnapshot || run.down[leader.id] {
			continue
		}
		run.crash(p.id)
		delete(run.pending, p.id)
		disk := &run.nodes[p.id].disk
		if disk.state.Term < leader.term {
			disk.state = HardState{Term: leader.term, Commit: disk.state.Commit}
		}
		if start.Index <= disk.start.Index {
			run.comeBack(p.id)
			continue
		}
		var kept []Entry
		if term, is := disk.whole().Term(start.Index); is && term == start.Term {
			kept = disk.log[start.Index-disk.start.Index:]
		}
		disk.start, disk.log = start, kept
		disk.state.Commit = max(disk.state.Commit, start.Index)
		run.installs++
		run.comeBack(p.id)
	}
}

func (run *randomRun) startAtOf(node *testNode) LogStart {
	if node.log.offset == 0 {
		return LogStart{}
	}
	return run.startAt(node.log.offset)
}
