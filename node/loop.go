package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/forward"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/observation"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// loop is what only one goroutine touches, that of Run: the core and what goes with it (trap T21). What others
// touch as well is in the Node. Nothing outside of its methods reaches into it, but for Inspect.
type loop struct {
	node  *Node
	cfg   *Options            // of node
	sched scheduler.Scheduler // of node

	core            *raft.Core
	pending         pendings
	exchanges       map[uint64]*exchange
	reads           map[raft.ReadToken][]*forward.Read
	tag             uint64
	outgoing        []raft.Message
	seatSaved       bool                 // that this disk is seated
	removalSaved    bool                 // that this node was removed
	standing        observation.Standing // as it was recorded last
	recorder        *observation.Recorder
	leaderlessTicks int
	search          *divergence.Search
	changes         []*memberChange // of the members, whose fate is not known
	joiners         joiners
	housekeeping    housekeeping
	keeper          keeper
	checks          checkPace
	failure         error // after which the node must end
	slowStatusAt    time.Time
	busy            bool // something happened since the status was published
	changed         bool // something else than heartbeats did
}

// run makes pass after pass: when something came in, and when a tick is due on which something may follow. Whatever
// ended the wait, the clock is asked which ticks are due: under load something always came in, and ticks would be lost,
// and heartbeats with them.
func (l *loop) run(ctx context.Context) error {
	ticks := scheduler.NewMetronome(l.sched.Now(), l.cfg.tick())
	for {
		wait := ticks.Plan(l.sched.Now(), l.quietTicks())
		if l.sched.Wait(wait, scheduler.Signals{ctx.Done(), l.node.inbox.wake}) == 0 {
			return l.saveLast()
		}
		if err := l.pass(ticks.Beats(l.sched.Now())); err != nil {
			return err
		}
	}
}

// quietTicks returns the number of ticks after which the loop has something to do if nothing comes in.
func (l *loop) quietTicks() int {
	if l.changed || len(l.pending.list) > 0 {
		return 1
	}
	return l.core.QuietTicks()
}

// pass is one turn of the loop: everything that waits, then the ticks, then what follows from it. What came in
// goes first, so that a node that was slow to look does not take its leader for dead.
func (l *loop) pass(ticks int) error {
	l.node.watchdog.Turn()
	l.core.SetTime(l.cfg.Now().UnixMicro())
	for range ticks - 1 {
		l.tick() // these passed before anything came in
	}
	in := l.node.inbox.take()
	l.core.SetClock(l.node.clock()) // after what came in, or an answer would seem to be from the future
	l.handle(in)
	if l.failure != nil {
		return l.failure
	}
	if proof := l.search.Proof(); proof != nil {
		return proof // nothing that follows from the damaged log may leave
	}
	l.keepRoom()
	if l.core.TakesProposals() || l.isBlocked() {
		l.append(l.node.inbox.takeProposals())
	}
	if ticks > 0 {
		l.tick()
		l.handOverForRoom()
		l.compactHistory()
		l.proposeCheck()
		l.reportLostDisks()
	}
	if err := l.drain(); err != nil {
		return err // what was not saved is not published
	}
	if ticks > 0 {
		if err := l.cutLog(); err != nil {
			return err
		}
	}
	l.failExchanges()
	l.publishFreshness()
	l.publishLease()
	l.publish(ticks > 0)
	return l.end()
}

// tick advances the time by one tick.
func (l *loop) tick() {
	l.core.Tick()
	l.observe()
	l.ticked()
}

// handle steps the core through everything that came in.
func (l *loop) handle(in *intake) {
	for _, order := range in.orders {
		order(l)
		l.observe()
	}
	if len(in.requests) > 0 {
		l.takeStock() // with what the last pass saved
	}
	for _, r := range in.requests {
		l.stepRequest(r)
	}
	l.busy = l.busy || len(in.responses) > 0
	for _, m := range in.responses {
		l.recorder.Received(&m)
		if err := l.core.Step(m); err != nil { // a malformed answer is as good as none
			l.refused(&m, err)
		}
		l.observe()
	}
	for _, id := range in.unreachable {
		l.core.ReportUnreachable(id)
	}
	l.ask(in.reads)
}

// stepRequest steps a peer's request, and keeps its exchange until the core's answer may leave.
func (l *loop) stepRequest(r request) {
	l.tag++
	r.message.Tag = l.tag
	l.exchanges[l.tag] = r.exchange
	if len(r.message.Entries) > 0 && !l.fits(&r.message) {
		l.core.SetDisk(raft.DiskFull)
	}
	if err := l.core.Step(r.message); err != nil {
		delete(l.exchanges, l.tag)
		r.exchange.finish(raft.Message{}, err)
		l.refused(&r.message, err)
	}
	l.observe()
}

// observe has every change of the core's standing recorded. It is called after each step, so that none is missed.
func (l *loop) observe() {
	before, now := l.standing, l.currentStanding()
	if now == before {
		return
	}
	l.standing, l.changed = now, true
	l.recorder.Changed(before, now, l.core.Status().Reason)
}

func (l *loop) currentStanding() observation.Standing {
	role, term, leader := l.core.Standing()
	return observation.Standing{Role: role, Term: term, Leader: leader}
}

// refused has a message recorded that the core refused, and finds out which log is damaged if it shows another one.
func (l *loop) refused(m *raft.Message, err error) {
	l.recorder.Refused(m.From, l.currentStanding().Term, err)
	var diverged *raft.DivergedError
	if errors.As(err, &diverged) {
		l.suspect(diverged.Index)
	}
}

// append proposes all waiting commands in one go.
func (l *loop) append(proposals []proposal) {
	proposals = l.admit(proposals)
	if len(proposals) == 0 {
		return
	}
	commands := make([][]byte, len(proposals))
	for i := range proposals {
		commands[i] = proposals[i].command
	}
	first, term, err := l.core.Propose(l.cfg.Now().UnixMicro(), commands)
	if err != nil {
		outcome := Outcome{Err: fromCore(err)}
		for _, p := range proposals {
			p.call.finish(p.slot, outcome)
		}
		return
	}
	l.pending.add(first, term, proposals)
}

// ask answers the followers' questions that need no round, and gives all other reads one token.
func (l *loop) ask(reads []*forward.Read) {
	reads = slices.DeleteFunc(reads, func(r *forward.Read) bool {
		index, ok := l.core.ReadIndexFor(r.From, r.Term)
		if ok {
			r.Finish(raft.ReadPoint{Index: index}, nil)
		}
		return ok
	})
	if len(reads) == 0 {
		return
	}
	token, err := l.core.ReadIndex()
	if err != nil {
		for _, r := range reads {
			r.Finish(raft.ReadPoint{}, fromCore(err))
		}
		return
	}
	l.reads[token] = append(l.reads[token], reads...)
}

// drain does what the core wants done, in the one order that is safe: what may leave before the disk; the save,
// one transaction and one fsync; what may not leave before it; then the application (design section 4).
func (l *loop) drain() error {
	for l.core.HasReady() {
		l.busy = true
		began := l.sched.Now()
		if err := l.saveSeat(); err != nil {
			return err
		}
		rd := l.core.Ready()
		l.publishLease()
		l.changed = l.changed || rd.MustSave || len(rd.Committed) > 0
		if err := l.followMembers(rd.Membership); err != nil {
			return err
		}
		l.send(rd.Messages)
		if rd.MustSave {
			if len(rd.Messages) > 0 {
				// Let the senders put the messages on the wire before this goroutine sits in the disk: on one processor
				// they would run only when a system call has lasted long enough for Go to notice.
				l.sched.Yield()
			}
			if err := l.save(rd.HardState, rd.Entries); err != nil {
				return err
			}
		}
		if err := l.noteCommit(&rd); err != nil {
			return err
		}
		l.settleChanges(&rd)
		l.publishView()
		l.send(rd.AfterSave)
		l.handOver(rd.Committed)
		l.answerReads(rd)
		l.core.Advance(rd)
		l.core.StoodStill(int(l.sched.Now().Sub(began) / l.cfg.tick()))
		l.housekeeping.sizes.Add(rd.Entries)
		l.keeper.track(rd.Entries)
		l.fetch(rd.Fetches)
		l.sendSnapshots(rd.SnapshotTo)
		l.observe()
	}
	return nil
}

// save writes to the disk. An error ends the node: it is unknown what is on the disk now (trap T53).
func (l *loop) save(state raft.HardState, entries []raft.Entry) error {
	start := l.sched.Now()
	err := l.node.watchdog.Save(func() error { return l.cfg.Storage.Save(state, entries) })
	l.node.space.wrote(entries, l.cfg.Room.Reserve)
	l.node.metrics.Saved(l.sched.Now().Sub(start))
	return err
}

// noteCommit records what is committed before anything is answered that follows from it, where no save has done so: a
// restart then refuses whatever contradicts it.
func (l *loop) noteCommit(rd *raft.Ready) error {
	if rd.MustSave || len(rd.Committed) == 0 {
		return nil
	}
	return l.node.watchdog.Save(func() error { return l.cfg.Storage.NoteCommit(rd.HardState.Commit) })
}

// saveFacts writes pairs to the disk. An error ends the node (trap T53).
func (n *Node) saveFacts(facts map[string]string) error {
	return n.watchdog.Save(func() error { return n.cfg.Storage.SaveFacts(facts) })
}

// saveSeat makes it durable that this disk is seated, before anything leaves that follows from it (trap T28): after a
// restart the commit index may be behind the seat's entry, and the others may need this node's vote to commit anything.
func (l *loop) saveSeat() error {
	if l.seatSaved || !l.core.Seated() {
		return nil
	}
	l.seatSaved = true
	return l.node.saveFacts(identity.SeatedFacts())
}

// send hands answers to the exchanges that wait for them, and everything else to the transport.
func (l *loop) send(messages []raft.Message) {
	out := l.outgoing[:0]
	answered := false
	for _, m := range messages {
		l.recorder.Sent(&m)
		if !m.IsResponse() {
			out = append(out, m)
			continue
		}
		if x, ok := l.exchanges[m.Tag]; ok {
			delete(l.exchanges, m.Tag)
			x.finish(m, nil)
			answered = true
		}
	}
	if answered {
		l.sched.Preempt() // the answers may leave now
	}
	if len(out) > 0 {
		l.cfg.Transport.Send(out)
	}
	clear(out)
	l.outgoing = out
}

// failExchanges answers the requests for which the core had no answer, in the order in which they came: one seed
// must give one run.
func (l *loop) failExchanges() {
	if len(l.exchanges) == 0 {
		return // the usual case: the core answers each request in the pass that steps it
	}
	for _, tag := range slices.Sorted(maps.Keys(l.exchanges)) {
		l.exchanges[tag].finish(raft.Message{}, ErrNotReady)
	}
	clear(l.exchanges)
}

// handOver hands committed entries to the applier, with the callers who wait for them.
func (l *loop) handOver(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	first, last := entries[0].Index, entries[len(entries)-1].Index
	l.node.applier.enqueue(committed{entries: entries, waiters: l.pending.take(first, last)})
}

func (l *loop) answerReads(rd raft.Ready) {
	for _, state := range rd.Reads {
		for _, r := range l.reads[state.Token] {
			r.Finish(raft.ReadPoint{Index: state.Index}, nil)
		}
		delete(l.reads, state.Token)
	}
	for _, token := range rd.DroppedReads {
		for _, r := range l.reads[token] {
			r.Finish(raft.ReadPoint{}, ErrNotLeader)
		}
		delete(l.reads, token)
	}
}

// ticked does what time alone asks for. Proposals that outlive this node's leadership by two election timeouts
// are answered as unknown, rather than kept hanging: their fate lies with the next leader (trap T49).
func (l *loop) ticked() {
	if l.standing.Role == raft.Leader || len(l.pending.list) == 0 {
		l.leaderlessTicks = 0
		return
	}
	l.leaderlessTicks++
	if l.leaderlessTicks > 2*l.cfg.ticks(l.cfg.ElectionTimeout) {
		l.pending.fail(ErrOutcomeUnknown)
	}
}

// fail makes the node end with an error after what the loop is doing.
func (l *loop) fail(err error) {
	if l.failure == nil {
		l.failure = err
	}
}

// saveLast writes the commit index down, so that a restart has it at once.
func (l *loop) saveLast() error {
	status := l.core.Status()
	return l.save(raft.HardState{Term: status.Term, Vote: status.Vote, Commit: status.Commit}, nil)
}
