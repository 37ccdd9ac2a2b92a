package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/check"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// patience is how long, by the world's clock, the calm part waits for each expectation: much longer than any timeout of
// the nodes, but bounded.
const patience = time.Minute

// aftermath is how long effects of the faults may last after their end: the slowest message, the longest stall.
const aftermath = 4 * time.Second

// calm is the calm phase of a chapter.
type calm struct{ *Cluster }

// run ends all faults and checks what a healed majority must do: elect a leader, make progress, agree on one state, not
// be disturbed by a node that comes back or does not receive from its leader, catch up with a node in a later term, and
// transfer leadership. Each expectation is an invariant of its own.
func (w *calm) run() {
	survivors, over := w.heal(), w.Now()+aftermath
	if len(survivors) == 0 {
		w.Note("the faults end; too many disks were lost before a majority began")
		w.letPass(patience)
		return
	}
	w.Note("the faults end; these survive: %s", nameMachines(survivors))
	w.liftQuota(survivors)
	survivors = w.findOut(survivors)
	if !w.awaitLeader(survivors) || !w.writeEverywhere(survivors, "first") || !w.awaitConvergence(survivors) {
		return
	}
	if !w.until("the cluster runs on", "time did not pass", func() bool { return w.Now() >= over }) {
		return
	}
	w.quiet = true
	if !w.awaitLeader(survivors) || !w.awaitConvergence(survivors) { // what came late may have moved the leadership
		return
	}
	all := w.rejoin(survivors)
	if w.violation != nil || !w.awaitConvergence(all) {
		return
	}
	if len(all)-1 >= w.Quorum() && (!w.deafen(all) || !w.goAhead(all)) {
		return
	}
	w.handOver(all)
	if w.violation == nil && w.tidy(all) {
		w.readEverything(all)
	}
}

// tidy waits until each of them has a checkpoint of all that it has applied, a log as short as its limits ask for, and
// a history within its retention.
func (w *calm) tidy(machines []*engine.Machine) bool {
	missing := ""
	untidy := func(m *engine.Machine, format string, args ...any) bool {
		missing = fmt.Sprintf("node %d ", m.ID) + fmt.Sprintf(format, args...)
		return false
	}
	longest := raft.Index(0)
	for _, m := range machines {
		longest = max(longest, m.Seen.Last-m.Seen.Removed)
	}
	// An idle node wakes up once in a heartbeat interval, and then removes one chunk.
	chunks := time.Duration(longest) / time.Duration(w.limits().Window.Chunk)
	for left := chunks * 2 * w.Config.Heartbeat; left > 0; left -= patience / 2 {
		if !w.letPass(min(left, patience/2)) {
			return false
		}
	}
	return w.untilSaid("what a node keeps is bounded", func() string { return missing }, func() bool {
		for _, m := range machines {
			store, limits := watched{m}.Store(), w.limits()
			if !m.Up() || store == nil {
				return untidy(m, "is not up")
			}
			if m.Seen.Checkpoint != m.Seen.Applied {
				return untidy(m, "has no checkpoint of what it has applied")
			}
			if kept := uint64(m.Seen.Last - m.Seen.Removed); kept >= limits.Window.Entries+limits.Window.Chunk {
				return untidy(m, "keeps %d entries", kept)
			}
			// A change leaves one version in the history, and a tombstone beside it; a sixteenth more may stay.
			if kept, most := store.Stats().Versions, 2*(limits.Retention.Revisions*17/16+1); uint64(kept) > most {
				return untidy(m, "keeps %d versions in the history", kept)
			}
		}
		return true
	})
}

// limits returns the limits of the nodes.
func (w *calm) limits() engine.Limits {
	limits := w.Config.Limits.engine()
	if w.Config.Limits.Production {
		limits.Window = compaction.Window{Entries: 10_000, Chunk: compaction.CutChunk}
		limits.Retention.Revisions = 100_000
	}
	return limits
}

// heal ends the faults, and chooses a majority that survives: the others are down until they rejoin. The clocks run
// right from now on, because which node must not be disturbed depends on them. If disks were lost before a majority
// began, there are no survivors: all start, and whether they can begin depends on what was lost. They must break no
// invariant.
func (w *calm) heal() []*engine.Machine {
	w.healed = true
	w.EndFaults()
	if w.forger.target != nil { // which of them have to stop depends on all
		for _, m := range w.Machines {
			m.Start()
		}
		return w.Machines
	}
	if w.Watch.AnySpoiled() || w.Watch.AnyLacks() { // only all others together can prove it, or may have it
		return w.startAll()
	}
	var whole []*engine.Machine
	for _, m := range w.Machines {
		if m.IsMember() {
			whole = append(whole, m)
		}
	}
	if len(whole) <= len(w.Machines)/2 { // the cluster never began: it takes all to begin
		for _, m := range w.Machines {
			m.Start()
		}
		if slices.ContainsFunc(w.Machines, (*engine.Machine).IsLost) {
			return nil
		}
		return w.Machines
	}
	w.Chance.Shuffle(len(whole), func(i, j int) { whole[i], whole[j] = whole[j], whole[i] })
	survivors := whole[:len(w.Machines)/2+1]
	for _, m := range whole[len(survivors):] {
		m.Down()
		m.Held = true
	}
	for _, m := range survivors {
		m.Start()
	}
	return survivors
}

// startAll starts all machines that can run, and returns those of them that count.
func (w *calm) startAll() []*engine.Machine {
	var counting []*engine.Machine
	for _, m := range w.Machines {
		if m.Start(); m.IsMember() && m.Gone == "" {
			counting = append(counting, m)
		}
	}
	return counting
}

// until lets time pass until a condition holds. It breaks an invariant if that takes too long.
func (w *calm) until(invariant, missing string, so func() bool) bool {
	return w.untilSaid(invariant, func() string { return missing }, so)
}

// untilSaid is until for what is missing depends on how far it came.
func (w *calm) untilSaid(invariant string, missing func() string, so func() bool) bool {
	deadline := w.Now() + patience
	for !so() {
		if w.violation != nil {
			return false
		}
		if w.Now() > deadline || !w.Advance() {
			w.Broken(invariant, "after %v without faults %s; %s", patience, missing(), w.Standing())
			return false
		}
	}
	return w.violation == nil
}

// awaitLeader waits until one of them leads and all others follow it.
func (w *calm) awaitLeader(machines []*engine.Machine) bool {
	return w.until("a leader is elected", "no leader has a majority behind it", func() bool {
		leader := w.Leader()
		for _, m := range machines {
			if leader == nil || !m.Up() || m.Seen.Leader != leader.ID ||
				m.Seen.State.Term != leader.Seen.State.Term {
				return false
			}
		}
		return true
	})
}

// writeEverywhere writes through each of them, and checks that each succeeds.
func (w *calm) writeEverywhere(machines []*engine.Machine, round string) bool {
	for _, m := range machines {
		ok, reason := false, ""
		command := &kv.Put{Key: []byte("calm"), Value: fmt.Appendf(nil, "%s %d", round, m.ID)}
		text := command.AppendJSON(nil)
		try := func() {
			p := m.Process
			if p == nil || p.Node == nil {
				return
			}
			p.Go(func() {
				outcome := p.Node.Propose(context.Background(), [][]byte{text})[0]
				if outcome.Err == nil && outcome.Result.Code == "" {
					ok = true
				} else {
					reason = fmt.Sprint(outcome.Err, outcome.Result.Code)
				}
			})
			w.Settle(p)
		}
		next := w.Now()
		if !w.until("writes make progress", fmt.Sprintf("no write through node %d succeeds (%s)", m.ID, reason), func() bool {
			if !ok && w.Now() >= next {
				next = w.Now() + time.Second
				try()
			}
			return ok
		}) {
			return false
		}
	}
	return true
}

// readEverything reads every key that a client named, through each of them in turn. The reads become a part of the
// history that is judged: whatever was acknowledged before disks were lost must still be read.
func (w *calm) readEverything(machines []*engine.Machine) {
	var keys []string
	for _, o := range w.clients.history {
		if !slices.Contains(keys[max(0, len(keys)-2*keysAtOnce):], o.Key) {
			keys = append(keys, o.Key)
		}
	}
	for i, key := range keys {
		o := &check.Operation{Kind: kv.OpGet, Key: key}
		p := machines[i%len(machines)].Process
		if p == nil || p.Node == nil {
			continue
		}
		o.Node, o.Reason = p.ID(), engine.ErrHungUp
		w.clients.clock++
		o.Call = w.clients.clock
		w.clients.history = append(w.clients.history, o)
		p.Go(func() {
			set := w.clients.serveRead(context.Background(), p, o)
			set()
			w.clients.over([]*check.Operation{o})
		})
		w.Settle(p)
		if !w.until("reads make progress", fmt.Sprintf("a read through node %d does not end", p.ID()), func() bool {
			return o.Back > 0
		}) {
			return
		}
		if o.Outcome != check.Done {
			w.Broken("reads make progress", "%v, in a calm cluster", o)
			return
		}
	}
}

// awaitConvergence waits until all of them have applied all that is committed, and checks that their states are equal.
func (w *calm) awaitConvergence(machines []*engine.Machine) bool {
	so := w.until("the nodes converge", "they have not applied the same", func() bool {
		leader := w.Leader()
		for _, m := range machines {
			if leader == nil || !m.Up() || m.Seen.Applied != leader.Seen.Last {
				return false
			}
		}
		return true
	})
	if !so {
		return false
	}
	first := machines[0].State()
	for _, m := range machines[1:] {
		if m.State() != first {
			w.Broken("byte-equal states", "nodes %d and %d have applied %d entries, and hold different states",
				machines[0].ID, m.ID, m.Seen.Applied)
			return false
		}
	}
	return true
}

// rejoin brings the others back. If none of them has been in a later term, the leader and its term must stay
// (thesis 9.6 and 4.2.3, trap T7). Those that do not count yet must take part from now on, whichever other disks were
// lost: a late first start needs nothing but a leader with its quorum (trap T28).
func (w *calm) rejoin(survivors []*engine.Machine) []*engine.Machine {
	all := slices.Clone(survivors)
	leader := w.Leader()
	term := leader.Seen.State.Term
	quiet := true
	for _, m := range w.Machines {
		if !m.Held {
			if !m.IsLost() && !slices.Contains(all, m) {
				all = append(all, m)
				m.Start() // it may be late still
			}
			continue
		}
		state, _ := m.Disk.Durable()
		quiet = quiet && state.Term <= term
		m.Held = false
		all = append(all, m)
		m.Start()
	}
	end := w.Now() + 6*w.Config.ElectionTimeout
	w.until("the cluster runs on", "time did not pass", func() bool { return w.Now() >= end })
	if now := w.Leader(); w.violation == nil && quiet && (now != leader || now.Seen.State.Term != term) {
		w.Broken("a returning node disturbs no other", "node %d led term %d before; %s", leader.ID, term, w.Standing())
	}
	return all
}

// handOver transfers leadership to each of them in turn, and writes after each transfer.
func (w *calm) handOver(machines []*engine.Machine) {
	for _, to := range machines {
		if !w.awaitLeader(machines) {
			return
		}
		from := w.Leader()
		if from == to {
			continue
		}
		ended, failed := w.transfer(from, to)
		for deadline := w.Now() + patience; errors.Is(failed, node.ErrBadTarget) && w.Now() < deadline; {
			// It needs a snapshot, because little stays in the logs of some seeds.
			if !w.letPass(w.Config.Heartbeat) {
				return
			}
			ended, failed = w.transfer(from, to)
		}
		if !ended {
			return
		}
		if failed != nil {
			w.Broken("a transfer succeeds", "from node %d to node %d, in a calm cluster: %v", from.ID, to.ID, failed)
			return
		}
	}
	if w.awaitLeader(machines) && w.writeEverywhere(machines, "last") {
		w.awaitConvergence(machines)
	}
}

// transfer orders a leader to transfer leadership, and waits for the result. It reports whether there was one.
func (w *calm) transfer(from, to *engine.Machine) (ended bool, failed error) {
	p := from.Process
	p.Go(func() {
		failed = p.Node.TransferLeadership(p.Ctx, to.ID)
		ended = true
	})
	w.Settle(p)
	ended = w.until("a transfer ends", "it goes on", func() bool { return ended })
	return ended, failed
}

func nameMachines(machines []*engine.Machine) string {
	text := ""
	for _, m := range machines {
		text += fmt.Sprintf("%d ", m.ID)
	}
	return text
}

// findOut checks that every log and every state that differs is repaired, or its node stopped, while writes go on. It
// returns those of the machines that run.
func (w *calm) findOut(machines []*engine.Machine) []*engine.Machine {
	if w.forger.target == nil && !w.Watch.AnySpoiled() && !w.Watch.AnyLacks() {
		return machines
	}
	next, round := w.Now(), 0
	invariant := "a log that differs is found out"
	if w.forger.target == nil {
		invariant = "a state that differs is repaired"
	}
	var running []*engine.Machine
	w.until(invariant, "a node serves another state, or takes no part", func() bool {
		leader := w.Leader()
		if w.Now() >= next {
			next = w.Now() + time.Second
			round++
			if w.writeThroughAll(round); leader != nil && w.Watch.Spoiled(leader.ID) {
				// Its disk makes no snapshots here, which one of those that would prove it wrong may need.
				w.nemesis.orderTransferTo(w.other(machines, leader))
			}
			w.stopWrong(round)
		}
		running = running[:0]
		for _, m := range machines {
			if m.Gone != "" {
				continue
			}
			if leader == nil || !w.agrees(m, leader) {
				return false
			}
			running = append(running, m)
		}
		return len(running) >= w.Quorum()
	})
	return running
}

// operatorRounds is how many seconds it takes until an operator acts again.
const operatorRounds = 16

// stopWrong does what an operator does when two states differ and the third member waits for a snapshot, which neither
// of the others sends: the node that is wrong is stopped for a while, and the others go on from the right state.
func (w *calm) stopWrong(round int) {
	for _, m := range w.Machines {
		switch {
		case m.Held:
			if round%operatorRounds == operatorRounds/2 {
				m.Held = false
				m.Start()
			}
		case !w.Watch.Spoiled(m.ID) || m.Gone != "" || w.forger.target != nil:
		case m.Up() && !m.Disk.StateDiffers() && round%operatorRounds == operatorRounds-1:
			m.Held = true
			m.ShutDown()
		}
	}
}

// agrees reports whether a machine follows a leader, has applied all that the leader has, and neither its log nor its
// state differs.
func (w *calm) agrees(m, leader *engine.Machine) bool {
	return m.Up() && m.Seen.Leader == leader.ID && m.Seen.Applied == leader.Seen.Last && !w.Watch.Differs(m.ID) &&
		!w.Watch.Astray(m.ID) && !m.Disk.StateDiffers()
}

// writeThroughAll proposes a command through each node that runs.
func (w *calm) writeThroughAll(round int) {
	for _, m := range w.Machines {
		p := m.Process
		if p == nil || p.Node == nil {
			continue
		}
		c := &kv.Put{Key: []byte("calm"), Value: fmt.Appendf(nil, "round %d %d", round, m.ID)}
		text := c.AppendJSON(nil)
		p.Go(func() { p.Node.Propose(p.Ctx, [][]byte{text}) })
		w.Settle(p)
	}
}
