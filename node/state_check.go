package node

import (
	"context"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// keptDigests is how many digests of the state a node remembers, of the last check entries.
const keptDigests = 16

// The others are asked again when too few have answered: after a heartbeat interval, and then after twice as long each
// time, up to longestStateWait, for stateQuestions times in all. After pendingQuestions a member that has not applied
// the entry counts as one that does not answer: it may wait for a snapshot that the leader holds back.
const (
	stateQuestions   = 12
	pendingQuestions = 5
	longestStateWait = 10 * time.Second
)

// stateDigest is the digest of the state after a check entry.
type stateDigest struct {
	index  raft.Index
	digest uint64
}

// stateDigests are the digests of the last check entries, in order.
type stateDigests struct {
	last []stateDigest
}

// add records a digest.
func (d *stateDigests) add(index raft.Index, digest uint64) {
	if len(d.last) == keptDigests {
		d.last = append(d.last[:0], d.last[1:]...)
	}
	d.last = append(d.last, stateDigest{index, digest})
}

// find returns the digest of a check entry; false if it is not remembered.
func (d *stateDigests) find(index raft.Index) (uint64, bool) {
	for _, one := range d.last {
		if one.index == index {
			return one.digest, true
		}
	}
	return 0, false
}

// checkPace is what the loop remembers of a term in which this node leads.
type checkPace struct {
	term  raft.Term
	began int64      // when it began to lead, in microseconds since 1970
	last  raft.Index // of the last check entry that it proposed
}

// due is checkDue for the present term. A clock that was set back does not put the checks off: the term began at the
// latest now.
func (p *checkPace) due(now, last int64, interval time.Duration) bool {
	p.began = min(p.began, now)
	return checkDue(now, last, p.began, interval)
}

// checkDue reports whether a check entry is due: one interval after the last one, whichever leader proposed that, so
// that leaders who change more often than the interval put none off. All times are in microseconds since 1970. The last
// one has the time of the clock of its leader: if that was ahead, the term counts from its beginning.
func checkDue(now, last, began int64, interval time.Duration) bool {
	if last > now {
		last = began
	}
	return now-last >= interval.Microseconds()
}

// proposeCheck proposes a check entry on the leader, every CheckInterval, if anything was applied after the last one: a
// cluster without writes appends nothing.
func (l *loop) proposeCheck() {
	if l.cfg.CheckInterval <= 0 || l.standing.Role != raft.Leader || len(l.node.members()) < 2 {
		return
	}
	p, a, now := &l.checks, l.node.applier, l.cfg.Now().UnixMicro()
	if p.term != l.standing.Term {
		*p = checkPace{term: l.standing.Term, began: now}
	}
	if !p.due(now, a.checkedAt.Load(), l.cfg.CheckInterval) || !l.core.TakesProposals() {
		return
	}
	if l.node.Applied() <= max(p.last, raft.Index(a.checked.Load())) {
		return
	}
	if index, err := l.core.ProposeCheck(); err == nil {
		p.last = index
	}
}

// noteCheck records the digest of the state after a check entry that was applied last. The caller holds the lock.
func (a *applier) noteCheck(e *raft.Entry) {
	a.digests.add(e.Index, a.store.Digest())
	a.checked.Store(uint64(e.Index))
	a.checkedAt.Store(e.Timestamp)
}

// lastCheck returns the time from which the next check entry counts at a start: that of the last one among entries that
// were applied, or of the first of them, after which there was none. Without entries it is now.
func lastCheck(applied []raft.Entry, now int64) int64 {
	for _, e := range slices.Backward(applied) {
		if e.Type == raft.EntryCheck {
			return e.Timestamp
		}
	}
	if len(applied) > 0 {
		return applied[0].Timestamp
	}
	return now
}

// HandleStateDigest returns the digest of this node's state after the check entry at an index, to a member that
// compares the states. For the transport.
func (n *Node) HandleStateDigest(_ context.Context, index raft.Index) (divergence.State, error) {
	return n.applier.stateAt(index), nil
}

// stateAt returns what this node has recorded of its state after the check entry at an index.
func (a *applier) stateAt(index raft.Index) divergence.State {
	a.mu.RLock()
	defer a.mu.RUnlock()
	state := divergence.State{Index: index}
	if a.differs.Load() != 0 {
		return state // it is proven wrong, and proves nothing
	}
	state.Digest, state.Known = a.digests.find(index)
	state.Pending = raft.Index(a.store.Applied()) < index
	return state
}

// stateInquiry compares the state of this node after one check entry with those of the others. It runs beside the loop.
type stateInquiry struct {
	*Node
	ours     divergence.State
	replaced uint64 // how often the state had been replaced by then
}

// compareStates begins to compare the state after a check entry. For the applier.
func (n *Node) compareStates(index raft.Index) {
	if n.differs.Load() != 0 || len(n.members()) < 2 {
		return
	}
	q := stateInquiry{Node: n, ours: n.applier.stateAt(index), replaced: n.applier.replaced.Load()}
	n.sched.Go(q.run)
}

// run asks the others until the answers decide, another check entry is applied, or all attempts are used up. That the
// states differ and no majority agrees is reported before: a member that does not answer yet may decide it.
func (q stateInquiry) run() {
	wait := q.cfg.HeartbeatInterval
	verdict := divergence.Undecided
	for questions := range stateQuestions {
		// The others apply the entry when they learn that it is committed, with the next heartbeat at the latest.
		if q.sched.Wait(wait, scheduler.Signals{q.stopped}) == 0 || q.isOver() {
			return
		}
		wait = min(2*wait, longestStateWait)
		answers, count := q.ask()
		verdict = q.judge(answers, count, questions)
		if found := verdict; found != divergence.Undecided {
			q.inbox.order(func(l *loop) { l.judgeState(q, found) })
		}
		if verdict == divergence.Same || verdict == divergence.Differs {
			break
		}
	}
	q.metrics.StateChecked(verdict.String())
}

// isOver reports whether another state, or a later check entry, has taken the place of what is compared.
func (q stateInquiry) isOver() bool {
	return q.applier.replaced.Load() != q.replaced || raft.Index(q.applier.checked.Load()) != q.ours.Index
}

// ask asks all other voters at once, and returns of how many nodes a majority decides.
func (q stateInquiry) ask() (answers []divergence.State, count int) {
	ctx, cancel := q.sched.WithTimeout(q.base, q.cfg.LeaderPatience)
	defer cancel()
	voters, count := q.deciders()
	return askEach(inquiry{q.shared}, voters, func(peer raft.NodeID) (divergence.State, bool) {
		state, err := q.cfg.Transport.StateDigest(ctx, peer, q.ours.Index)
		return state, err == nil
	}), count
}

// judge returns the verdict on this node's state after so many questions.
func (q stateInquiry) judge(answers []divergence.State, count, questions int) divergence.Verdict {
	if questions >= pendingQuestions {
		for i := range answers {
			answers[i].Pending = false
		}
	}
	return divergence.JudgeState(count, q.ours, answers)
}

// judgeState acts on the verdict.
func (l *loop) judgeState(q stateInquiry, verdict divergence.Verdict) {
	switch {
	case l.node.Applied() < l.node.checkpointer.position():
		return // another state is installed on the disk, and is about to replace the one that was compared
	case l.node.applier.replaced.Load() != q.replaced || l.node.differs.Load() != 0:
		return
	}
	switch verdict {
	case divergence.Differs:
		l.stateDiffers(q.ours.Index)
	case divergence.Split:
		l.recorder.StatesSplit(q.ours.Index)
	case divergence.Same:
		l.recorder.StatesAgree(q.ours.Index, l.node.checkpointer.damaged.Load())
	case divergence.Undecided:
	}
}
