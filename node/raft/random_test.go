package raft

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

var (
	seedFlag  = flag.Uint64("raft.seed", 0, "run TestRandomClusters with this one seed")
	seedsFlag = flag.Int("raft.seeds", 400, "how many seeds TestRandomClusters runs")
)

const randomSteps = 8000

// TestRandomClusters runs whole clusters in which messages are lost, repeated and reordered, and nodes crash at every
// point of a pass and restart with what they saved. The properties of the paper's figure 3 are checked after every
// step. In the end the faults stop, and the cluster must elect a leader, commit and agree.
func TestRandomClusters(t *testing.T) {
	t.Parallel()
	if *seedFlag != 0 {
		runRandom(t, *seedFlag)
		return
	}
	seeds := *seedsFlag
	if testing.Short() {
		seeds /= 10
	}
	var all housekeeping
	var shapes reshapeCounts
	for seed := range uint64(seeds) {
		run := runRandom(t, seed+1)
		all.add(&run.house)
		shapes.add(&run.check.shapes.counts)
	}
	t.Logf("changes of the members: %+v", shapes)
	if c := shapes; c.changes < 2*seeds || min(c.joint, c.promoted) < seeds/8 ||
		min(c.own, c.truncated, c.informed) < seeds/20 {
		t.Errorf("in %d runs, too few changes of the members: %+v", seeds, c)
	}
	t.Logf("in %d runs: %+v", seeds, all.counts)
	if c := all.counts; min(c.trims, c.removed, c.installs, c.read) < seeds || min(c.gone, c.suffixes) < seeds/20 {
		t.Errorf("in %d runs, too little happened: %+v", seeds, c)
	}
}

// randomRun is one run with random faults.
type randomRun struct {
	*network
	rng     *rand.Rand
	check   *checker
	pending map[NodeID]*passing
	reads   map[NodeID]map[ReadToken]Index // what was committed anywhere when the read began
	cut     map[NodeID]bool                // partitioned off
	next    int

	ticks, faults, speed int // per mille of the steps: ticks, crashes and partitions, deliveries
	loss                 int // per mille of the messages

	house housekeeping
	shape reshaping
}

// passing is an unfinished pass of a node.
type passing struct {
	rd    Ready
	saved bool
}

func runRandom(t *testing.T, seed uint64) *randomRun {
	rng := rand.New(rand.NewPCG(seed, 1))
	size := []int{1, 2, 3, 3, 3, 3, 4, 5, 5, 5}[rng.IntN(10)]
	window, heartbeat := 1+rng.IntN(4), 1+rng.IntN(2)
	election := heartbeat + 1 + rng.IntN(6)
	reshapes := seed%3 == 0
	adjust := func(cfg *Config) {
		cfg.Rand = rand.New(rand.NewPCG(seed, uint64(cfg.ID)))
		cfg.HeartbeatTicks, cfg.ElectionTicks = heartbeat, election
		cfg.MaxInflightMessages = window
		cfg.MaxMessageEntries = 1 + rng.IntN(8)
		cfg.MaxMessageBytes = 8 + rng.IntN(64)
		cfg.MaxUncommittedBytes = 1000
		if seed%2 == 0 {
			cfg.MaxTailBytes = 1 + rng.IntN(30*entryMemory)
		}
		if reshapes && seed%4 < 2 {
			foundedBy(NodeID(size))(cfg)
		}
	}
	net := newNetwork(t, size, adjust)
	run := &randomRun{
		network: net, rng: rng, check: newChecker(net), pending: map[NodeID]*passing{},
		reads: map[NodeID]map[ReadToken]Index{}, cut: map[NodeID]bool{},
		ticks: 20 + rng.IntN(100), faults: rng.IntN(20), speed: 100 + rng.IntN(400), loss: rng.IntN(200),
	}
	if reshapes { // a change needs several commits, of more nodes
		run.ticks, run.faults, run.speed, run.loss = 20+rng.IntN(40), rng.IntN(10), 200+rng.IntN(300), rng.IntN(100)
	}
	run.house.on, run.house.greedy = seed%2 == 0, seed%4 == 0
	run.shape.on, run.shape.adjust = reshapes, adjust
	net.drop = func(m Message) bool { return run.cut[m.From] != run.cut[m.To] }
	steps := randomSteps
	if reshapes {
		steps *= 3
	}
	for step := range steps {
		if err := run.step(); err != nil {
			t.Fatalf("seed %d, step %d: %v\nrepeat with: go test -run TestRandomClusters -raft.seed=%d", seed, step, err, seed)
		}
	}
	if err := run.recover(); err != nil {
		t.Fatalf("seed %d, after the faults stopped: %v", seed, err)
	}
	return run
}

// step makes one step of one node.
func (run *randomRun) step() error {
	id := NodeID(1 + run.rng.IntN(len(run.nodes)))
	node := run.nodes[id]
	if run.down[id] {
		if run.rng.IntN(20) == 0 {
			run.restart(id)
			return run.check.checkNode(id)
		}
		return nil
	}
	switch action := run.rng.IntN(1000); {
	case action < run.ticks:
		node.Tick()
	case action < run.ticks+run.faults:
		if leader := run.leader(); leader != nil && run.rng.IntN(2) == 0 {
			node, id = leader, leader.id // faults at the leader find most bugs
		}
		run.disturb(node)
	case action < 200 && run.shape.on && run.rng.IntN(4) == 0:
		if leader := run.leader(); leader != nil && run.rng.IntN(8) > 0 {
			node, id = leader, leader.id
		}
		if err := run.reshape(node); err != nil {
			return err
		}
	case action < 200:
		run.ask(node)
	case run.house.on && run.rng.IntN(5) == 0:
		if err := run.keepHouse(node); err != nil {
			return err
		}
	case action < 200+run.speed:
		return run.deliverOne()
	default:
		stages := 1
		if run.shape.on && run.rng.IntN(2) == 0 {
			stages = 3
		}
		for range stages {
			if err := run.pass(node); err != nil {
				return err
			}
			if err := run.check.checkNode(id); err != nil {
				return err
			}
		}
		return nil
	}
	return run.check.checkNode(id)
}

// deliverOne takes any waiting message: it may be lost, or stay in the queue to arrive again.
func (run *randomRun) deliverOne() error {
	if len(run.queue) == 0 {
		return nil
	}
	i := run.rng.IntN(min(len(run.queue), 8))
	m := run.queue[i]
	if run.rng.IntN(20) > 0 || len(run.queue) > 200 {
		run.queue = append(run.queue[:i], run.queue[i+1:]...)
	}
	if run.rng.IntN(1000) < run.loss || run.down[m.To] || run.cut[m.From] != run.cut[m.To] {
		if sender := run.nodes[m.From]; !run.down[m.From] && run.rng.IntN(2) == 0 {
			sender.ReportUnreachable(m.To)
		}
		return nil
	}
	if err := run.nodes[m.To].Step(m); err != nil {
		return fmt.Errorf("node %d refuses %+v: %w", m.To, m, err)
	}
	return run.check.checkNode(m.To)
}

// pass runs one stage of a node's pass; messages, ticks and crashes may come between the stages.
func (run *randomRun) pass(node *testNode) error {
	p := run.pending[node.id]
	switch {
	case p == nil:
		if node.HasReady() {
			rd := node.Ready()
			if err := run.check.checkSent(node, rd.Messages); err != nil {
				return err
			}
			run.send(rd.Messages)
			for _, f := range rd.Fetches {
				run.house.fetches = append(run.house.fetches, fetching{node, f})
			}
			for _, to := range rd.SnapshotTo {
				run.house.streams = append(run.house.streams, &stream{transit: transit{from: node, to: to}})
			}
			run.pending[node.id] = &passing{rd: rd}
		}
	case !p.saved:
		if p.rd.MustSave {
			node.disk.save(p.rd)
		}
		node.cfg.Seated = node.Seated()
		p.saved = true
	default:
		delete(run.pending, node.id)
		return run.finish(node, p.rd)
	}
	return nil
}

// finish ends a pass: AfterSave is sent, reads are answered.
func (run *randomRun) finish(node *testNode, rd Ready) error {
	if err := run.check.checkSent(node, rd.AfterSave); err != nil {
		return err
	}
	run.send(rd.AfterSave)
	for i, e := range rd.Committed {
		if want := Index(len(node.applied) + 1 + i); e.Index != want {
			return fmt.Errorf("node %d hands out entry %d, want %d", node.id, e.Index, want)
		}
	}
	node.applied = append(node.applied, rd.Committed...)
	for _, read := range rd.Reads {
		if need := run.reads[node.id][read.Token]; read.Index < need {
			return fmt.Errorf("stale read: node %d serves %+v; %d was committed when it came", node.id, read, need)
		}
	}
	before := node.log.offset
	node.Advance(rd)
	if node.log.offset > before {
		run.house.counts.trims++
	}
	return nil
}

// ask proposes commands and starts reads, as clients do.
func (run *randomRun) ask(node *testNode) {
	switch run.rng.IntN(3) {
	case 0:
		token, err := node.ReadIndex()
		if err == nil {
			if run.reads[node.id] == nil {
				run.reads[node.id] = map[ReadToken]Index{}
			}
			run.reads[node.id][token] = Index(len(run.check.done))
		}
	default:
		var commands [][]byte
		for range 1 + run.rng.IntN(3) {
			run.next++
			commands = append(commands, fmt.Appendf(nil, "%d", run.next))
		}
		first, term, err := node.Propose(int64(run.next), commands)
		if t, ok := node.TermAt(first); err == nil && (!ok || t != term) {
			run.t.Fatalf("a proposal at (%d, term %d) is not in the log", first, term)
		}
	}
}

// disturb crashes a node, isolates it, ends a partition, or transfers the leadership.
func (run *randomRun) disturb(node *testNode) {
	switch run.rng.IntN(8) {
	case 0:
		run.crash(node.id)
		delete(run.pending, node.id)
	case 1, 2:
		run.cut[node.id] = true
	case 3, 4, 5:
		clear(run.cut)
	default:
		to := NodeID(1 + run.rng.IntN(len(run.nodes)))
		err := node.TransferLeadership(to)
		p := node.progressOf(to)
		if errors.Is(err, ErrBadTarget) && p != nil && p.member == Voter && !p.unseated && p.state != awaitingSnapshot {
			run.t.Fatalf("no transfer from %d to %d: %v", node.id, to, err)
		}
	}
}

// recover stops all faults and checks that the cluster works, and that every node ends with the same log.
func (run *randomRun) recover() error {
	run.drop = nil
	run.queue = nil
	run.check.recovering = true
	for _, id := range run.ids() {
		node, p := run.nodes[id], run.pending[id]
		if p == nil {
			continue
		}
		if p.rd.MustSave && !p.saved {
			node.disk.save(p.rd)
		}
		if err := run.finish(node, p.rd); err != nil {
			return err
		}
	}
	for id := range run.nodes {
		if run.down[id] {
			run.restart(id)
		}
	}
	run.endHousekeeping()
	run.watch = func(node *testNode) {
		if err := run.check.checkNode(node.id); err != nil {
			run.t.Fatalf("after the faults stopped: %v", err)
		}
	}
	run.tick(20 * testElectionTicks)
	leader := run.leader()
	if leader == nil {
		return errors.New("liveness: no node leads")
	}
	run.propose(leader, `"last"`)
	run.tick(4 * testElectionTicks)
	if err := run.check.checkSettled(leader); err != nil {
		return err
	}
	for _, id := range run.ids() {
		node := run.nodes[id]
		if !leader.members.current.Contains(id) {
			continue
		}
		if err := run.check.checkNode(id); err != nil {
			return err
		}
		if len(node.applied) != int(leader.log.last()) ||
			node.log.digest(node.log.last()) != leader.log.digest(leader.log.last()) {
			return fmt.Errorf("liveness: node %d applied %d of %d entries", id, len(node.applied), leader.log.last())
		}
	}
	return nil
}
