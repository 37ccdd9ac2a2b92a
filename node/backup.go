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
	source, err := c.openCopy(including)
	if !errors.Is(err, snapshot.ErrDamagedState) {
		return source, err
	}
	c.found(err)
	if err := c.reach(including); err != nil {
		return nil, err
	}
	return c.openCopy(including)
}

func (c *checkpointer) openCopy(including raft.Index) (snapshot.Source, error) {
	findings := c.findings.Load() // before, so that none is missed
	source, err := c.cfg.Storage.OpenSnapshot(including)
	if err != nil {
		return nil, err
	}
	return &copyOf{Source: source, checkpointer: c, findings: findings}, nil
}

// copyOf is a copy of the checkpoint that ends when it is found out that its content may be wrong: its hash would be
// right all the same.
type copyOf struct {
	snapshot.Source
	checkpointer *checkpointer
	findings     uint64 // of damage, when it was opened
}

// ReadAt implements io.ReaderAt. Its error is ErrStateDiffers, or wraps snapshot.ErrGivenUp, if the state differs or
// the checkpoint was found damaged since the copy was opened.
func (s *copyOf) ReadAt(part []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(part, offset)
	if unsound := s.checkpointer.Sound(); unsound != nil {
		return 0, unsound
	}
	if s.checkpointer.findings.Load() != s.findings {
		return 0, fmt.Errorf("%w: the checkpoint was found damaged after it was copied; begin anew", snapshot.ErrGivenUp)
	}
	return n, err
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
