package node

import (
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// replayEntries and replayBytes bound how much of the log is read at once behind the snapshot that repairs a state.
const (
	replayEntries = 1024
	replayBytes   = 4 << 20
)

// ErrStateDiffers is an ErrNotReady: this node's state is not that of the others, and it waits for a snapshot.
var ErrStateDiffers = fmt.Errorf("%w: its state differs from that of a majority of the members, or was damaged on the "+
	"disk; it waits for a snapshot from the leader: ask another node", ErrNotReady)

// Sound returns nil if this node may serve from its state, else ErrStateDiffers.
func (s *shared) Sound() error {
	if s.differs.Load() != 0 {
		return ErrStateDiffers
	}
	return nil
}

// stateDiffers makes this node stop serving from its state, which differs from that of a majority at a check entry, and
// request a snapshot. Its log is right, so it goes on voting and acknowledging entries. The fact is on the disk before
// anything else follows: a restart must not serve that state, either.
func (l *loop) stateDiffers(index raft.Index) {
	l.node.differs.Store(uint64(index))
	if err := l.node.saveFacts(differsFacts(index)); err != nil {
		l.fail(err)
		return
	}
	l.recorder.StateDiffers(index, nil)
	l.core.RequestSnapshot()
	l.observe()
}

// readDiffers reads whether the state on the disk differs.
func (n *Node) readDiffers(facts map[string]string) error {
	text := facts[snapshot.FactStateDiffers]
	if text == "" {
		return nil
	}
	index, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("node: the fact %s must be the index of an entry; it is %q", snapshot.FactStateDiffers, text)
	}
	n.differs.Store(index)
	return nil
}

// differsFacts are the facts of a node whose state differs since a check entry, or lacks the entries up to an index.
func differsFacts(index raft.Index) map[string]string {
	return map[string]string{snapshot.FactStateDiffers: strconv.FormatUint(uint64(index), 10)}
}

// repaired records the repair of a state that differed, after the snapshot is installed on the disk. The fact was
// removed with that.
func (l *loop) repaired(start raft.Index) {
	if index := raft.Index(l.node.differs.Load()); index != 0 {
		l.recorder.StateRepaired(index, start)
	}
}

// replay applies to a state what the log on the disk has after it, up to an index: entries that were committed and
// applied before, to the state that it replaces. It notes their seats and configurations.
func (a *applier) replay(c *committed) error {
	for next := raft.Index(c.restored.Applied()) + 1; next <= c.replay; next = raft.Index(c.restored.Applied()) + 1 {
		part, err := a.readLog(next, replayEntries, replayBytes)
		if err != nil {
			return fmt.Errorf("node: cannot read the log behind a snapshot: %w", err)
		}
		for i := range part.Entries {
			e := &part.Entries[i]
			if e.Index > c.replay {
				break
			}
			c.restored.Apply(forStore(e))
			if c.position, err = noteMembers(c.position, e); err != nil {
				return fmt.Errorf("node: cannot read the log behind a snapshot: %w", err)
			}
		}
	}
	return nil
}
