package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// patience is how long, by the world's clock, the calm part waits for what must come: much longer than any timeout of
// the nodes, and shorter than for ever.
const patience = time.Minute

// aftermath is how long after the end of the faults something of them may still be on its way: the slowest message, the
// longest stall.
const aftermath = 4 * time.Second

// calm ends all faults and demands what a healed majority owes: a leader, progress, one state, that a node which comes
// back or does not hear its leader disturbs nobody, that one which is ahead is caught up with, and that the leadership
// can be handed over. Each demand is a promise of its own.
func (w *World) calm() {
	survivors, over := w.heal(), w.now+aftermath
	if len(survivors) == 0 {
		w.note(note{kind: notePhase, text: "the faults end; too many disks were lost before a majority began"})
		w.letPass(patience)
		return
	}
	w.note(note{kind: notePhase, text: "the faults end; these survive: " + nameMachines(survivors)})
	survivors = w.findOut(survivors)
	if !w.awaitLeader(survivors) || !w.writeEverywhere(survivors, "first") || !w.awaitConvergence(survivors) {
		return
	}
	if !w.until("the cluster runs on", "time did not pass", func() bool { return w.now >= over }) {
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
	if len(all)-1 >= w.quorum() && (!w.deafen(all) || !w.goAhead(all)) {
		return
	}
	w.handOver(all)
	if w.violation == nil {
		w.readEverything(all)
	}
}

// heal ends the faults, and chooses a majority that survives: the others are down until they rejoin. The clocks
// run right from now on, because who must not be disturbed depends on them. If disks were lost before a majority began,
// there are no survivors: all start, and whether they can begin depends on what was lost. They must break nothing.
func (w *World) heal() []*machine {
	w.healed = true
	w.mix = Mix{}
	for _, m := range w.machines {
		*m.disk.faults = diskFaults{Latency: m.disk.faults.Latency}
		if p := m.process; p != nil {
			if p.isFrozen() {
				p.thaw()
			}
			p.began, p.rate = w.now-p.elapsed(), 1
		}
	}
	clear(w.network.cut)
	if w.forgery.target != nil { // which of them have to stop depends on all
		for _, m := range w.machines {
			m.start()
		}
		return w.machines
	}
	var whole []*machine
	for _, m := range w.machines {
		if m.isMember() {
			whole = append(whole, m)
		}
	}
	if len(whole) <= len(w.machines)/2 { // the cluster never began: it takes all to begin
		for _, m := range w.machines {
			m.start()
		}
		if slices.ContainsFunc(w.machines, (*machine).isLost) {
			return nil
		}
		return w.machines
	}
	w.chance.Shuffle(len(whole), func(i, j int) { whole[i], whole[j] = whole[j], whole[i] })
	survivors := whole[:len(w.machines)/2+1]
	for _, m := range whole[len(survivors):] {
		if m.process != nil {
			m.down(m.process)
		}
		m.held = true
	}
	for _, m := range survivors {
		m.start()
	}
	return survivors
}

// until lets time pass until something is so. It breaks a promise if that takes too long.
func (w *World) until(promise, missing string, so func() bool) bool {
	deadline := w.now + patience
	for !so() {
		if w.violation != nil {
			return false
		}
		if w.now > deadline || !w.advance() {
			w.broken(promise, "after %v without faults %s; %s", patience, missing, w.standing())
			return false
		}
	}
	return w.violation == nil
}

// standing tells in words how the nodes stand.
func (w *World) standing() string {
	text := ""
	for _, m := range w.machines {
		if m.process == nil {
			text += fmt.Sprintf("node %d is down %s; ", m.id, m.gone)
			continue
		}
		s := m.seen
		text += fmt.Sprintf("node %d is %s in term %d, follows %d, log (%d, term %d), commit %d, applied %d; ", m.id,
			roleName(s.role), s.state.Term, s.leader, s.last, s.lastTerm, s.state.Commit, s.applied)
	}
	return text
}

// awaitLeader waits until one of them leads and all others follow it.
func (w *World) awaitLeader(machines []*machine) bool {
	return w.until("a leader is elected", "no leader has a majority behind it", func() bool {
		leader := w.leader()
		for _, m := range machines {
			if leader == nil || m.process == nil || m.seen.process != m.process || m.seen.leader != leader.id ||
				m.seen.state.Term != leader.seen.state.Term {
				return false
			}
		}
		return true
	})
}

// writeEverywhere writes through each of them, and demands success.
func (w *World) writeEverywhere(machines []*machine, round string) bool {
	for _, m := range machines {
		ok, reason := false, ""
		command := kv.Command{Op: kv.OpPut, Key: "calm", Value: fmt.Appendf(nil, "%s %d", round, m.id)}
		text := command.AppendJSON(nil)
		try := func() {
			p := m.process
			if p == nil || p.node == nil {
				return
			}
			p.Go(func() {
				outcome := p.node.Propose(context.Background(), [][]byte{text})[0]
				if outcome.Err == nil && outcome.Result.Code == "" {
					ok = true
				} else {
					reason = fmt.Sprint(outcome.Err, outcome.Result.Code)
				}
			})
			w.settle(p)
		}
		next := w.now
		if !w.until("writes make progress", fmt.Sprintf("no write through node %d succeeds (%s)", m.id, reason), func() bool {
			if !ok && w.now >= next {
				next = w.now + time.Second
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
func (w *World) readEverything(machines []*machine) {
	var keys []string
	for _, o := range w.clients.history {
		if !slices.Contains(keys[max(0, len(keys)-2*keysAtOnce):], o.key) {
			keys = append(keys, o.key)
		}
	}
	for i, key := range keys {
		o := &operation{kind: kv.OpGet, key: key}
		p := machines[i%len(machines)].process
		if p == nil || p.node == nil {
			continue
		}
		o.node, o.reason = p.id(), errHungUp
		w.clients.clock++
		o.call = w.clients.clock
		w.clients.history = append(w.clients.history, o)
		p.Go(func() {
			set := serveRead(context.Background(), p, o)
			set()
			w.clients.over([]*operation{o})
		})
		w.settle(p)
		if !w.until("reads make progress", fmt.Sprintf("a read through node %d does not end", p.id()), func() bool {
			return o.back > 0
		}) {
			return
		}
		if o.outcome != done {
			w.broken("reads make progress", "%v, in a calm cluster", o)
			return
		}
	}
}

// awaitConvergence waits until all of them have applied all that is committed, and demands that they hold the same.
func (w *World) awaitConvergence(machines []*machine) bool {
	so := w.until("the nodes converge", "they have not applied the same", func() bool {
		leader := w.leader()
		for _, m := range machines {
			if leader == nil || m.process == nil || m.seen.process != m.process || m.seen.applied != leader.seen.last {
				return false
			}
		}
		return true
	})
	if !so {
		return false
	}
	var first uint64
	for i, m := range machines {
		sum := uint64(0)
		m.process.node.Inspect(func(_ *raft.Core, store *kv.Store) { sum = store.Digest() })
		if i == 0 {
			first = sum
		}
		if sum != first {
			w.broken("byte-equal states", "nodes %d and %d have applied %d entries, and hold different states",
				machines[0].id, m.id, m.seen.applied)
			return false
		}
	}
	return true
}

// rejoin brings the others back. If none of them has been in a later term, the leader must not even notice
// (thesis 9.6 and 4.2.3, trap T7). Those that do not count yet must take part from now on, whichever other disks were
// lost: a late first start needs nothing but a leader with its quorum (trap T28).
func (w *World) rejoin(survivors []*machine) []*machine {
	all := slices.Clone(survivors)
	leader := w.leader()
	term := leader.seen.state.Term
	quiet := true
	for _, m := range w.machines {
		if !m.held {
			if !m.isLost() && !slices.Contains(all, m) {
				all = append(all, m)
				m.start() // it may be late still
			}
			continue
		}
		state, _ := m.disk.durable()
		quiet = quiet && state.Term <= term
		m.held = false
		all = append(all, m)
		m.start()
	}
	end := w.now + 6*w.cfg.ElectionTimeout
	w.until("the cluster runs on", "time did not pass", func() bool { return w.now >= end })
	if now := w.leader(); w.violation == nil && quiet && (now != leader || now.seen.state.Term != term) {
		w.broken("a returning node disturbs nobody", "node %d led term %d before; %s", leader.id, term, w.standing())
	}
	return all
}

// handOver moves the leadership to each of them in turn, and writes after each move.
func (w *World) handOver(machines []*machine) {
	for _, to := range machines {
		if !w.awaitLeader(machines) {
			return
		}
		from := w.leader()
		if from == to {
			continue
		}
		ended, failed := w.transfer(from, to)
		if !ended {
			return
		}
		if failed != nil {
			w.broken("a transfer succeeds", "from node %d to node %d, in a calm cluster: %v", from.id, to.id, failed)
			return
		}
	}
	if w.awaitLeader(machines) && w.writeEverywhere(machines, "last") {
		w.awaitConvergence(machines)
	}
}

// transfer orders a leader to hand over, and waits until it says how that ended. False if it never did.
func (w *World) transfer(from, to *machine) (ended bool, failed error) {
	p := from.process
	p.Go(func() {
		failed = p.node.TransferLeadership(p.ctx, to.id)
		ended = true
	})
	w.settle(p)
	ended = w.until("a transfer ends", "it goes on", func() bool { return ended })
	return ended, failed
}

func nameMachines(machines []*machine) string {
	text := ""
	for _, m := range machines {
		text += fmt.Sprintf("%d ", m.id)
	}
	return text
}
