package node

import (
	"errors"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// DefaultScrubInterval is that of raftnode.
const DefaultScrubInterval = 24 * time.Hour

// scrubRows is how many rows a scrub reads at once, and leastScrubWait the shortest pause between two reads.
const (
	scrubRows      = 256
	leastScrubWait = 20 * time.Millisecond
)

// scrubber reads both files slowly, again and again, and has damage repaired from memory.
type scrubber struct {
	*Node
	state  string     // position in state.db; empty: its beginning
	inLog  bool       // state.db is done in this pass
	log    raft.Index // last entry that was read
	failed bool       // the last read; so that one cause is logged once
}

// scrub runs until the node ends.
func (n *Node) scrub() {
	s := scrubber{Node: n}
	for n.sched.Wait(s.pause(), scheduler.Signals{n.ended}) != 0 {
		s.step()
	}
}

// pause returns how long to wait before the next read, so that a pass takes ScrubInterval.
func (s *scrubber) pause() time.Duration {
	status := s.status.Load()
	rows := uint64(status.Store.Keys) + uint64(status.Store.HistoryVersions)
	if status.LastLogIndex >= status.FirstIndex {
		rows += status.LastLogIndex - status.FirstIndex + 1
	}
	return max(s.cfg.ScrubInterval/time.Duration(rows/scrubRows+2), leastScrubWait)
}

// step reads the next rows: of state.db, and then of the log.
func (s *scrubber) step() {
	if !s.inLog {
		next, err := s.cfg.Storage.ScrubState(s.state, scrubRows)
		if s.state = next; err != nil {
			s.state = ""
			s.found(err)
		}
		s.failed = err != nil
		s.inLog = s.state == ""
		return
	}
	last, err := s.cfg.Storage.ScrubLog(s.log+1, scrubRows)
	if err != nil {
		s.found(err)
		if errors.Is(err, snapshot.ErrDamagedLog) && last != 0 {
			s.inbox.order(func(l *loop) { l.removeDamaged(last) })
		}
	}
	s.failed = err != nil
	if s.log = max(last, s.log); err != nil || last == 0 {
		s.inLog, s.log = false, 0
	}
}

// found records damage that a scrub found, and repairs it. Another error is logged unless the read before failed too:
// the next pass tries again.
func (s *scrubber) found(found error) {
	switch {
	case errors.Is(found, snapshot.ErrDamagedState):
		s.checkpointer.found(found)
	case errors.Is(found, snapshot.ErrDamagedLog):
		s.inbox.order(func(l *loop) { l.recorder.EntryDamaged(l.currentStanding().Term, found) })
	case s.failed:
		return
	default:
		s.cfg.Logger.Warn("a scrub cannot read", "node", s.self().ID, "error", found)
		return
	}
	err := s.checkpointer.save() // of everything, if the state is damaged; else it includes what the log will lose
	switch {
	case err == nil:
	case s.checkpointer.unknown.Load(): // what is on the disk (trap T53)
		s.inbox.order(func(l *loop) { l.fail(err) })
	default:
		s.cfg.Logger.Warn("damage is not repaired yet", "node", s.self().ID, "error", err)
	}
}

// removeDamaged removes the log on the disk up to behind a damaged entry, if the checkpoint includes that. Otherwise
// the next pass does: memory has the entry, and a restart before that refuses the log (trap T54). The entry after the
// damaged one is removed too, because the log behind it continues from a digest that is in the damaged row.
func (l *loop) removeDamaged(damaged raft.Index) {
	to, h := damaged+1, &l.housekeeping
	unsafe := l.node.differs.Load() != 0 || l.node.checkpointer.damaged.Load()
	if l.failure != nil || unsafe || to <= h.removed || to > l.node.checkpointer.position() {
		return
	}
	if err := l.removeUpTo(to); err != nil {
		l.fail(err)
	}
}
