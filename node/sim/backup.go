package sim

import (
	"context"
	"io"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// backupEvery is how often a linearizable read is served from a backup: the read of a client that restores it.
const backupEvery = 32

// serveBackup serves a read after the read barrier as the REST handler serves a backup, and reads the key from what the
// backup holds. committed was committed when the read came.
func (c *clients) serveBackup(
	ctx context.Context, p *engine.Process, o *check.Operation, committed raft.Index,
) func() {
	source, err := p.Node.OpenBackup(ctx, p.Node.Applied())
	if err != nil {
		return c.answer(p, o, kv.Record{}, false, err)
	}
	p.Preempt()
	store, err := restored(source)
	source.Release()
	if err != nil {
		return c.answer(p, o, kv.Record{}, false, err)
	}
	if !c.world.Watch.Astray(p.ID()) {
		c.world.check(c.world.Watch.Backup(p.ID(), committed, store))
	}
	record, found := store.Get(o.Key)
	return c.answer(p, o, record, found, nil)
}

// restored returns the state in a backup.
func restored(source snapshot.Source) (*kv.Store, error) {
	data, err := io.ReadAll(io.NewSectionReader(source, 0, source.Size()))
	if err != nil {
		return nil, err
	}
	file, err := snapshottest.Decode(data)
	if err != nil {
		return nil, err
	}
	return file.Load()
}
