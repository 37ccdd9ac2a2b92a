package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// fillDisk leaves little room on the disk of a node for some time; sometimes of the leader's, and sometimes of all, as
// where they share a volume.
func (w *nemesis) fillDisk() {
	lasts := w.Mix.Lasts(w.Chance, engine.FullDisk)
	switch leader := w.Leader(); {
	case w.Chance.IntN(6) == 0:
		for _, m := range w.Machines {
			m.Fill(w.Chance, lasts)
		}
	case leader != nil && w.Chance.IntN(2) == 0:
		leader.Fill(w.Chance, lasts)
	default:
		w.any().Fill(w.Chance, lasts)
	}
}

// burst writes many new keys at once, through any node, if there is a quota: clients alone write few new keys, so that
// little is in flight. Each burst begins while the one before may be in flight.
func (w *nemesis) burst(number int) {
	if w.healed || w.Config.Limits.Quota == 0 {
		return
	}
	const keys, every = 10, 20 * time.Millisecond
	if p := w.any().Process; p != nil && p.Node != nil {
		for i := range keys {
			put := &kv.Put{Key: fmt.Appendf(nil, "burst %d %d", number, i)}
			text := put.AppendJSON(nil)
			p.Go(func() { p.Node.Propose(context.Background(), [][]byte{text}) })
		}
		w.Settle(p)
	}
	w.After(every, nil, func() { w.burst(number + 1) })
}

// oneCommand is more than one command of a client adds to the live bytes.
const oneCommand = 1000

// checkQuota ends the run if a store has more than its quota, by more than one command.
func (c *Cluster) checkQuota(m *engine.Machine, l *engine.Look) {
	quota := int64(c.Config.Limits.Quota)
	if live := l.Store.Stats().LiveBytes; quota > 0 && live > quota+oneCommand && !c.healed {
		c.Broken("the quota is kept", "node %d has %d live bytes, and the quota is %d", m.ID, live, quota)
	}
}

// liftQuota starts the survivors again without a quota, if there was one, so that what follows can be written.
func (w *calm) liftQuota(survivors []*engine.Machine) {
	if w.Config.Limits.Quota == 0 {
		return
	}
	w.LiftQuota()
	for _, m := range survivors {
		m.ShutDown()
	}
}
