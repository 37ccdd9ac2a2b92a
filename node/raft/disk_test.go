package raft

import "slices"

// disk is what a node has after a crash: its hard state, its log, and a checkpoint of its state machine.
type disk struct {
	state      HardState
	start      LogStart // up to here, entries were removed
	log        []Entry  // after start
	checkpoint []Entry  // what the state machine had applied; it reaches start at least
}

// snapshot is a copy of the state machine and its position.
type snapshot struct {
	start LogStart
	state []Entry
}

// whole returns the log on the disk with its start.
func (d *disk) whole() *Log { return &Log{Start: d.start, Entries: d.log, Removed: d.start.Index} }

// load returns the log behind the checkpoint, as a node does when it starts.
func (d *disk) load() Log {
	after := max(d.start.Index, Index(len(d.checkpoint)))
	return Log{
		Start: d.positionAt(after), Entries: slices.Clone(d.log[after-d.start.Index:]), Removed: d.start.Index,
	}
}

// positionAt returns a position in the log on the disk.
func (d *disk) positionAt(i Index) LogStart {
	at := LogStart{d.start.Index, d.start.Term, d.start.Digest, slices.Clone(d.start.Seats), d.start.Configuration}
	for _, e := range d.log[:i-d.start.Index] {
		var err error
		if at, err = at.After(&e, at.Digest.Extend(&e), testEncoding); err != nil {
			panic(err)
		}
	}
	return at
}

// save stores a Ready.
func (d *disk) save(rd Ready) {
	d.state = rd.HardState
	if len(rd.Entries) > 0 {
		kept := d.log[:rd.Entries[0].Index-1-d.start.Index]
		d.log = append(slices.Clip(kept), rd.Entries...)
	}
}

// cut removes entries up to an index.
func (d *disk) cut(to Index) {
	d.start, d.log = d.positionAt(to), d.log[to-d.start.Index:]
}

// read returns a part of the log for a Fetch.
func (d *disk) read(f Fetch) (Log, error) {
	if f.From <= d.start.Index {
		return Log{}, ErrRemoved
	}
	part := Log{Start: d.positionAt(f.From - 1), Removed: d.start.Index}
	bytes := 0
	for _, e := range d.log[f.From-d.start.Index-1:] {
		bytes += len(e.Command)
		if n := len(part.Entries); n == f.MaxEntries || n > 0 && bytes > f.MaxBytes {
			break
		}
		part.Entries = append(part.Entries, e)
	}
	return part, nil
}

// snapshot returns the checkpoint.
func (d *disk) snapshot() snapshot {
	return snapshot{d.positionAt(Index(len(d.checkpoint))), d.checkpoint}
}

// install replaces the checkpoint, and the log if it does not hold the snapshot's last entry.
func (d *disk) install(s snapshot) {
	i := s.start.Index
	if e := d.whole().Entry(i); e != nil && e.Term == s.start.Term && d.positionAt(i).Digest == s.start.Digest {
		d.log = d.log[i-d.start.Index:]
	} else {
		d.log = nil
	}
	d.start, d.checkpoint = s.start, s.state
	d.state.Commit = max(d.state.Commit, i)
}

// restore installs a snapshot on a node that has nothing else to do. It returns whether the node needed it.
func (node *testNode) restore(from NodeID, s snapshot) (bool, error) {
	installed, err := node.Restore(from, s.start)
	if installed {
		node.disk.install(s)
		node.applied = slices.Clip(s.state)
		node.cfg.Seated = node.Seated()
	}
	return installed, err
}
