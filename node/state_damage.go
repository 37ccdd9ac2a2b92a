package node

import "github.com/kontiki-dev/kontiki/node/observation"

// found records that the checkpoint on the disk is damaged while the state in memory is right. The next checkpoint is
// one of everything, which takes its place; until then, no entry is removed from the log.
func (c *checkpointer) found(damage error) {
	c.inbox.order(func(l *loop) { // before what clears the alarm
		if l.node.differs.Load() == 0 {
			l.recorder.CheckpointDamaged(damage)
		}
	})
	c.findings.Add(1)
	c.damaged.Store(true)
}

// replaced has it recorded that another checkpoint is in the place of a damaged one. The caller has entered.
func (c *checkpointer) replaced(record func(*observation.Recorder)) {
	if !c.damaged.Swap(false) {
		return
	}
	c.inbox.order(func(l *loop) {
		if l.node.differs.Load() == 0 {
			record(l.recorder)
		}
	})
}
