package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// stage is a world without time, on which a test plays histories to checkers by hand: right ones and broken ones.
type stage struct {
	t      *testing.T
	w      *World
	actors perNode[actor]
}

// actor is what lives on a machine.
type actor struct {
	core  *raft.Core
	store *kv.Store
}

func newStage(t *testing.T, nodes int, checkers ...checker) *stage {
	t.Helper()
	w := &World{cfg: Config{Nodes: nodes, Heartbeat: 100 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond}}
	w.network = newNetwork(w, rand.New(rand.NewPCG(1, 2)), time.Millisecond)
	w.checkers = checkers
	for i := range nodes {
		m := &machine{world: w, id: raft.NodeID(i + 1)}
		m.disk = newDisk(rand.New(rand.NewPCG(3, uint64(i))), &diskFaults{}, func(string) {})
		w.machines = append(w.machines, m)
	}
	return &stage{t: t, w: w}
}

// logOf makes a log with entries of these terms. Equal places in equal terms are equal entries.
func logOf(terms ...raft.Term) []raft.Entry {
	log := make([]raft.Entry, len(terms))
	for i, term := range terms {
		log[i] = raft.Entry{Index: raft.Index(i + 1), Term: term, Command: fmt.Appendf(nil, `{"op":"get","key":"%d"}`, term)}
	}
	return log
}

// in is a hard state with a vote for nobody.
func in(term raft.Term, commit raft.Index) raft.HardState {
	return raft.HardState{Term: term, Commit: commit}
}

// voted is a hard state with a vote.
func voted(term raft.Term, vote raft.NodeID) raft.HardState {
	return raft.HardState{Term: term, Vote: vote}
}

// save makes something durable.
func (s *stage) save(id raft.NodeID, state raft.HardState, log []raft.Entry) {
	d := s.w.machine(id).disk
	d.write(record{state: state, entries: log})
	d.sync()
}

// wake begins a life of a node that has a state and a log in memory, whatever is on its disk.
func (s *stage) wake(id raft.NodeID, state raft.HardState, log []raft.Entry, also ...func(*sight)) (broken string) {
	s.t.Helper()
	m := s.w.machine(id)
	m.process = &process{world: s.w, home: m}
	s.actors.of(id).store = kv.New()
	s.becomes(id, state, log)
	return s.sees(id, also...)
}

// becomes gives a node that lives another state and log, as no core would.
func (s *stage) becomes(id raft.NodeID, state raft.HardState, log []raft.Entry) {
	s.t.Helper()
	var members []raft.NodeID
	for _, m := range s.w.machines {
		members = append(members, m.id)
	}
	core, err := raft.New(raft.Config{
		ID: id, Voters: members, ElectionTicks: 10, HeartbeatTicks: 1, MaxMessageEntries: 1, MaxMessageBytes: 1,
		MaxInflightMessages: 1, MaxInflightBytes: 1, MaxUncommittedBytes: 1, Rand: rand.New(rand.NewPCG(5, 6)),
	}, state, log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.actors.of(id).core = core
}

// boot saves a state and a log, and begins a life from them.
func (s *stage) boot(id raft.NodeID, state raft.HardState, log []raft.Entry, also ...func(*sight)) (broken string) {
	s.t.Helper()
	s.save(id, state, log)
	return s.wake(id, state, log, also...)
}

// leads makes a sight that of a leader.
func leads(now *sight) { now.role, now.leader = raft.Leader, now.process.id() }

// applies moves the state machine of a node on: each entry puts a value.
func (s *stage) applies(id raft.NodeID, values ...string) {
	store := s.actors.of(id).store
	for _, value := range values {
		c := kv.Command{Op: kv.OpPut, Key: "k", Value: []byte(value)}
		store.Apply(store.Applied()+1, c.AppendJSON(nil))
	}
}

// sees shows a node to the checkers, and gives the promise that is broken; none if all are kept.
func (s *stage) sees(id raft.NodeID, also ...func(*sight)) (broken string) {
	m, a := s.w.machine(id), s.actors.of(id)
	now := sight{
		process: m.process, state: a.core.HardState(), last: a.core.LastIndex(), applied: raft.Index(a.store.Applied()),
	}
	now.lastTerm, _ = a.core.TermAt(now.last)
	for _, change := range also {
		change(&now)
	}
	l := look{machine: m, core: a.core, store: a.store, before: m.seen, now: now}
	m.seen = now
	for _, c := range s.w.checkers {
		if err := c.step(s.w, &l); err != nil {
			s.t.Log(err)
			return c.promise()
		}
	}
	return ""
}

// hears shows a message that leaves its sender to the checkers, and gives the promise that is broken.
func (s *stage) hears(m raft.Message) (broken string) {
	for _, c := range s.w.checkers {
		if listener, ok := c.(sendChecker); ok {
			if err := listener.leaves(s.w, s.w.machine(m.From), &m); err != nil {
				s.t.Log(err)
				return c.promise()
			}
		}
	}
	return ""
}

// all plays scenes until one breaks a promise.
func all(scenes ...string) (broken string) {
	for _, broken := range scenes {
		if broken != "" {
			return broken
		}
	}
	return ""
}

// tale is a history and whether it breaks the promise of the checker that it is told to.
type tale struct {
	name   string
	nodes  int
	tell   func(s *stage) (broken string)
	breaks bool
}

// play tells each tale to checkers of its own, of which the last is the one under test.
func play(t *testing.T, checkers func() []checker, tales []tale) {
	t.Helper()
	for _, tale := range tales {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			all := checkers()
			want := ""
			if tale.breaks {
				want = all[len(all)-1].promise()
			}
			if broken := tale.tell(newStage(t, tale.nodes, all...)); broken != want {
				t.Errorf("it broke %q, want %q", broken, want)
			}
		})
	}
}

// alone is a checker that needs no other.
func alone(c func() checker) func() []checker { return func() []checker { return []checker{c()} } }

// afterCommit is a checker that reads the ledger.
func afterCommit(c func() checker) func() []checker {
	return func() []checker { return []checker{&stateMachineSafety{}, c()} }
}

// elect lets the core of a node of three win an election.
func (s *stage) elect(id raft.NodeID) *raft.Core {
	s.t.Helper()
	core := s.actors.of(id).core
	for role, _, _ := core.Standing(); role != raft.Leader; role, _, _ = core.Standing() {
		core.Tick()
		for core.HasReady() {
			rd := core.Ready()
			core.Advance(rd)
			for _, m := range append(rd.Messages, rd.AfterSave...) {
				if m.Type != raft.MsgRequestVote {
					continue
				}
				yes := raft.Message{
					Type: raft.MsgRequestVoteResponse, From: m.To, To: id, Term: m.Term, PreVote: m.PreVote, VoteGranted: true,
				}
				if err := core.Step(yes); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
	return core
}
