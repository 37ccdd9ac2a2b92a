package node

import (
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// load reads the checkpoint, and the log behind it.
func (n *Node) load() (raft.HardState, raft.Log, error) {
	store, damage := n.cfg.Storage.LoadState()
	applied := raft.Index(0)
	switch {
	case damage == nil:
		applied = raft.Index(store.Applied())
	case !errors.Is(damage, snapshot.ErrDamagedState):
		return raft.HardState{}, raft.Log{}, fmt.Errorf("node: cannot load the checkpoint: %w", damage)
	}
	state, log, err := n.cfg.Storage.LoadLog(applied, n.cfg.TailBytes)
	if err != nil {
		return raft.HardState{}, raft.Log{}, fmt.Errorf("node: cannot load the log: %w", err)
	}
	if damage != nil {
		members, err := n.membersOf(&log)
		if err != nil {
			return raft.HardState{}, raft.Log{}, err
		}
		if store, err = n.beginWithoutState(damage, log.Start.Index, len(members)); err != nil {
			return raft.HardState{}, raft.Log{}, err
		}
	}
	log.Applied = raft.Index(store.Applied())
	if err := n.applier.begin(store, &log); err != nil {
		return raft.HardState{}, raft.Log{}, fmt.Errorf("node: cannot start from what is on the disk: %w", err)
	}
	n.applier.checkedAt.Store(lastCheck(log.Entries[:log.Applied-log.Start.Index], n.cfg.Now().UnixMicro()))
	if damage == nil {
		n.checkpointer.restored(store)
	}
	return state, log, nil
}

// beginWithoutState returns the state to begin with when the checkpoint on the disk cannot be used (trap T54), and has
// that set aside. start is where the log begins, and members how many there are.
//
// A log from entry 1 on is the whole state, and is applied again. Otherwise the state is one that lacks what was
// removed from the log, so it counts as one that differs: the node serves nothing, leads only if no other can, and is
// repaired by a snapshot. That is recorded before the file is set aside: without both, the next start would take the
// state for an empty one. An only member has no other node to ask, and changes nothing on its disk.
func (n *Node) beginWithoutState(damage error, start raft.Index, members int) (*kv.Store, error) {
	n.stateDamage = damage
	if start == 0 {
		n.cfg.Logger.Warn("the checkpoint is damaged; the log has everything and is applied again", "node", n.self().ID,
			"error", damage)
		return kv.New(), n.cfg.Storage.SetStateAside()
	}
	if members < 2 {
		return nil, fmt.Errorf("node: cannot load the checkpoint: %w; the log begins at entry %d, and this node is the only "+
			"member, so no other node has what came before: keep this directory, and restore the last backup into another one "+
			"(raftctl restore)", damage, start+1)
	}
	if n.differs.Load() == 0 {
		n.differs.Store(uint64(start))
		if err := n.saveFacts(differsFacts(start)); err != nil {
			return nil, err
		}
	}
	if err := n.cfg.Storage.SetStateAside(); err != nil {
		return nil, err
	}
	return kv.NewLoader(kv.Meta{Applied: uint64(start)}).Store()
}
