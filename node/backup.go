package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// OpenBackup returns a copy of the state that includes the entries up to an index, which this node has applied. It has
// a checkpoint written first if the last one does not include them. The caller must release it. It fails with
// ErrOverloaded if an older copy is still in use, and with ErrNotReady, also if this node's state differs from that of
// the others.
func (n *Node) OpenBackup(ctx context.Context, including raft.Index) (snapshot.Source, error) {
	if n.view.Load().lifeCycle != api.StateMember {
		return nil, ErrNotReady
	}
	if err := n.Sound(); err != nil {
		return nil, err
	}
	if err := cmp.Or(n.checkpointer.reach(including), n.Sound()); err != nil { // it may have been found out meanwhile
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	source, err := n.checkpointer.open(including)
	switch {
	case errors.Is(err, snapshot.ErrBusy):
		return nil, fmt.Errorf("%w: a copy of an older state is being sent; retry when that has ended, or gives way "+
			"because it is read too slowly", ErrOverloaded)
	case err != nil:
		n.cfg.Logger.Warn("a backup cannot be made", "node", n.self().ID, "error", err)
		return nil, fmt.Errorf("%w: it cannot make a backup; see its log", ErrNotReady)
	}
	if err := n.Sound(); err != nil { // also while it was copied
		source.Release()
		return nil, err
	}
	return source, nil
}

// open opens a copy of the checkpoint that includes an index. If that finds the checkpoint damaged, one of everything
// takes its place, and is copied.
func (c *checkpointer) open(including raft.Index) (snapshot.Source, error) {
	source, err := c.cfg.Storage.OpenSnapshot(including)
	if !errors.Is(err, snapshot.ErrDamagedState) {
		return source, err
	}
	c.found(err)
	if err := c.reach(including); err != nil {
		return nil, err
	}
	return c.cfg.Storage.OpenSnapshot(including)
}

// reach returns when a checkpoint that is not known to be damaged includes an index that is applied. ErrNotReady if
// none is written, because the node stops, installs a snapshot, or has no room on the disk.
func (c *checkpointer) reach(index raft.Index) error {
	if c.position() >= index && !c.damaged.Load() {
		return nil
	}
	if err := c.save(); err != nil {
		c.cfg.Logger.Warn("a checkpoint cannot be written", "node", c.self().ID, "error", err)
		if c.unknown.Load() { // what is on the disk (trap T53)
			c.inbox.order(func(l *loop) { l.fail(err) })
		}
		return fmt.Errorf("%w: a checkpoint cannot be written; see its log", ErrNotReady)
	}
	if c.position() < index || c.damaged.Load() {
		return fmt.Errorf("%w: no checkpoint can be written now", ErrNotReady)
	}
	return nil
}
