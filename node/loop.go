package node

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// Run starts the node and returns when ctx ends (nil) or when it cannot go on (why). It may be called once.
// The loop in it is the only goroutine that touches the core (trap T21).
func (n *Node) Run(ctx context.Context) error {
	defer n.closeDown()
	if err := n.admit(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	if err := n.boot(); err != nil {
		return err
	}
	applierDone := make(chan struct{})
	n.sched.Go(func() {
		defer close(applierDone)
		n.runApplier()
	})
	defer n.sched.Wait(Forever, Signals{applierDone})
	defer close(n.loopEnded)
	n.sched.Go(n.watch)
	n.sched.Go(n.measureDisk)
	return n.loop(ctx)
}

// loop makes pass after pass: when something came in, and when a tick is due. Whatever ended the wait, the clock is
// asked whether a tick is due: under load something always came in, and ticks would be lost, and heartbeats with them.
func (n *Node) loop(ctx context.Context) error {
	ticks := newMetronome(n.sched.Now(), n.cfg.tick())
	for {
		if n.sched.Wait(ticks.left(n.sched.Now()), Signals{ctx.Done(), n.inbox.wake}) == 0 {
			return n.saveLast()
		}
		if err := n.pass(ticks.beat(n.sched.Now())); err != nil {
			return err
		}
	}
}

// pass is one turn of the loop: everything that waits, then the tick, then what follows from it. What came in
// goes first, so that a node that was slow to look does not take its leader for dead.
func (n *Node) pass(tick bool) error {
	n.turns.Add(1)
	n.core.SetTime(n.cfg.Now().UnixMicro())
	in := n.inbox.take()
	n.core.SetClock(n.clock()) // after what came in, or an answer would seem to be from the future
	n.handle(in)
	if n.suspicion.proof != nil {
		return n.suspicion.proof // nothing that the damaged log says may leave
	}
	if n.core.TakesProposals() {
		n.append(n.inbox.takeProposals())
	}
	if tick {
		n.core.Tick()
		n.observe()
		n.ticked()
	}
	if err := n.drain(); err != nil {
		return err // what was not saved is not published
	}
	n.failExchanges()
	n.publishFreshness()
	n.publish(tick)
	if !n.core.Seated() && n.core.SeatLost() {
		return lostDisk(n.self().id, "the log gives its seat to another disk")
	}
	return nil
}

// handle steps the core through everything that came in.
func (n *Node) handle(in *intake) {
	for _, order := range in.orders {
		order()
		n.observe()
	}
	for _, r := range in.requests {
		n.stepRequest(r)
	}
	n.busy = n.busy || len(in.responses) > 0
	for _, m := range in.responses {
		n.noteResponse(m)
		if err := n.core.Step(m); err != nil { // a malformed answer is as good as none
			n.noteRefused(&m, err)
		}
		n.observe()
	}
	for _, id := range in.unreachable {
		n.core.ReportUnreachable(id)
	}
	n.ask(in.reads)
}

// stepRequest steps a peer's request, and keeps its exchange until the core's answer may leave.
func (n *Node) stepRequest(r request) {
	n.tag++
	r.message.Tag = n.tag
	n.exchanges[n.tag] = r.exchange
	if err := n.core.Step(r.message); err != nil {
		delete(n.exchanges, n.tag)
		r.exchange.finish(raft.Message{}, err)
		n.noteRefused(&r.message, err)
	}
	n.observe()
}

// append proposes all waiting commands in one go.
func (n *Node) append(proposals []proposal) {
	if len(proposals) == 0 {
		return
	}
	commands := make([][]byte, len(proposals))
	for i := range proposals {
		commands[i] = proposals[i].command
	}
	first, term, err := n.core.Propose(n.cfg.Now().UnixMicro(), commands)
	if err != nil {
		outcome := Outcome{Err: fromCore(err)}
		for _, p := range proposals {
			p.call.finish(p.slot, outcome)
		}
		return
	}
	n.pending.add(first, term, proposals)
}

// ask answers the followers' questions that need no round, and gives all other reads one token.
func (n *Node) ask(reads []*readCall) {
	reads = slices.DeleteFunc(reads, func(r *readCall) bool {
		index, ok := n.core.ReadIndexFor(r.from, r.term)
		if ok {
			r.finish(index, nil)
		}
		return ok
	})
	if len(reads) == 0 {
		return
	}
	token, err := n.core.ReadIndex()
	if err != nil {
		for _, r := range reads {
			r.finish(0, fromCore(err))
		}
		return
	}
	n.reads[token] = append(n.reads[token], reads...)
}

// drain does what the core wants done, in the one order that is safe: what may leave before the disk; the save,
// one transaction and one fsync; what may not leave before it; then the application (design section 4).
func (n *Node) drain() error {
	for n.core.HasReady() {
		n.busy = true
		if err := n.saveSeat(); err != nil {
			return err
		}
		rd := n.core.Ready()
		n.send(rd.Messages)
		if rd.MustSave {
			if len(rd.Messages) > 0 {
				// Let the senders put the messages on the wire before this goroutine sits in the disk: on one processor
				// they would run only when a system call has lasted long enough for Go to notice.
				n.sched.Yield()
			}
			if err := n.save(rd.HardState, rd.Entries); err != nil {
				return err
			}
		}
		if err := n.noteCommit(&rd); err != nil {
			return err
		}
		n.publishView()
		n.send(rd.AfterSave)
		n.handOver(rd.Committed)
		n.answerReads(rd)
		n.core.Advance(rd)
		n.observe()
	}
	return nil
}

// save writes to the disk. An error ends the node: nobody knows what is on the disk now (trap T53).
func (n *Node) save(state raft.HardState, entries []raft.Entry) error {
	start := n.sched.Now()
	n.saving.Store(int64(start.Sub(n.started)) + 1)
	err := n.cfg.Storage.Save(state, entries)
	n.saving.Store(0)
	n.metrics.saved(n.sched.Now().Sub(start))
	if err != nil {
		return fmt.Errorf("node: cannot save to the disk, so this node must stop: %w", err)
	}
	return nil
}

// noteCommit records what is committed before anything is answered that follows from it, where no save has done so: a
// restart then refuses whatever contradicts it.
func (n *Node) noteCommit(rd *raft.Ready) error {
	if rd.MustSave || len(rd.Committed) == 0 {
		return nil
	}
	n.saving.Store(int64(n.sched.Now().Sub(n.started)) + 1)
	err := n.cfg.Storage.NoteCommit(rd.HardState.Commit)
	n.saving.Store(0)
	if err != nil {
		return fmt.Errorf("node: cannot save to the disk, so this node must stop: %w", err)
	}
	return nil
}

// saveFacts writes pairs to the disk under the eyes of the watchdog. An error ends the node (trap T53).
func (n *Node) saveFacts(facts map[string]string) error {
	n.saving.Store(int64(n.sched.Now().Sub(n.started)) + 1)
	err := n.cfg.Storage.SaveFacts(facts)
	n.saving.Store(0)
	if err != nil {
		return fmt.Errorf("node: cannot save to the disk, so this node must stop: %w", err)
	}
	return nil
}

// send hands answers to the exchanges that wait for them, and everything else to the transport.
func (n *Node) send(messages []raft.Message) {
	out := n.outgoing[:0]
	answered := false
	for _, m := range messages {
		n.noteSent(m)
		if !m.IsResponse() {
			out = append(out, m)
			continue
		}
		if x, ok := n.exchanges[m.Tag]; ok {
			delete(n.exchanges, m.Tag)
			x.finish(m, nil)
			answered = true
		}
	}
	if answered {
		n.sched.Preempt() // the answers may leave now
	}
	if len(out) > 0 {
		n.cfg.Transport.Send(out)
	}
	clear(out)
	n.outgoing = out
}

// failExchanges answers the requests for which the core had nothing to say, in the order in which they came: one seed
// must give one run.
func (n *Node) failExchanges() {
	if len(n.exchanges) == 0 {
		return // as ever, for the core answers each request in the pass that steps it
	}
	for _, tag := range slices.Sorted(maps.Keys(n.exchanges)) {
		n.exchanges[tag].finish(raft.Message{}, ErrNotReady)
	}
	clear(n.exchanges)
}

// handOver gives committed entries to the applier, with the callers who wait for them.
func (n *Node) handOver(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1].Index
	n.applied.enqueue(committed{entries, n.pending.take(last)})
}

func (n *Node) answerReads(rd raft.Ready) {
	for _, state := range rd.Reads {
		for _, r := range n.reads[state.Token] {
			r.finish(state.Index, nil)
		}
		delete(n.reads, state.Token)
	}
	for _, token := range rd.DroppedReads {
		for _, r := range n.reads[token] {
			r.finish(0, ErrNotLeader)
		}
		delete(n.reads, token)
	}
}

// ticked does what time alone asks for. Proposals that outlive this node's leadership by two election timeouts
// are answered as unknown, rather than kept hanging: their fate lies with the next leader (trap T49).
func (n *Node) ticked() {
	if n.seenRole.role == raft.Leader || len(n.pending.list) == 0 {
		n.leaderlessTicks = 0
		return
	}
	n.leaderlessTicks++
	if n.leaderlessTicks > 2*n.cfg.ticks(n.cfg.ElectionTimeout) {
		n.pending.fail(ErrOutcomeUnknown)
	}
}

// saveLast writes the commit index down, so that a restart has it at once.
func (n *Node) saveLast() error {
	status := n.core.Status()
	return n.save(raft.HardState{Term: status.Term, Vote: status.Vote, Commit: status.Commit}, nil)
}

// How often the watchdog looks within StallLimit, and how often it must find the same to act. The disk comes first: a
// loop that hangs in a save is the disk's fault, and ends the process.
const (
	looksPerLimit = 20
	looksAtSave   = looksPerLimit
	looksAtTurn   = looksPerLimit * 3 / 2
)

// watch looks after the loop. It ends the process when one save takes longer than StallLimit, also the last one of a
// node that stops: a leader has lost its office by then, for it sends no heartbeats. And it tells, for /livez, when
// the loop has made no turn for half as long again, whatever it hangs in.
// It counts how often it found the same, and does not ask the clock: a process that was stopped (SIGSTOP, a frozen
// machine) has a disk and a loop that are well.
func (n *Node) watch() {
	pause := max(n.cfg.StallLimit/looksPerLimit, leastTick)
	var save, turn sameness
	for gaveUp := false; ; {
		if n.sched.Wait(pause, Signals{n.loopEnded}) == 0 {
			n.stalled.Store(false) // it has not stalled, it is over
			return
		}
		saving := n.saving.Load()
		if save.look(uint64(saving)) >= looksAtSave && saving != 0 && !gaveUp {
			gaveUp = true
			n.cfg.Fatal(fmt.Errorf("node: the disk did not finish a save within %v; giving up", n.cfg.StallLimit))
		}
		stalled := turn.look(n.turns.Load()) >= looksAtTurn
		if stalled && !n.stalled.Load() {
			n.cfg.Logger.Error("the loop has stalled", "node", n.self().id, "looks", looksAtTurn)
		}
		n.stalled.Store(stalled)
	}
}

// sameness counts how often the same value was seen again.
type sameness struct {
	value uint64
	again int
}

func (s *sameness) look(value uint64) int {
	if value != s.value {
		*s = sameness{value: value}
		return 0
	}
	s.again++
	return s.again
}

// Stalled tells whether the loop should run and has made no turn for half as long again as StallLimit. A node that
// waits for an identity, loads its log or has stopped has not stalled (trap O23: only what a restart can mend).
func (n *Node) Stalled() bool { return n.stalled.Load() }
