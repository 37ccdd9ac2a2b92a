package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// stage is a cluster without time, on which a test plays histories to checkers by hand: right ones and broken ones.
type stage struct {
	t      *testing.T
	w      *Watch
	now    time.Duration
	actors []*actor // by id
}

// actor is a node on a stage.
type actor struct {
	id       raft.NodeID
	lives    int
	runs     bool
	seen     engine.Observed
	state    raft.HardState // on its disk
	log      raft.Log       // on its disk
	lost     bool
	viewTerm raft.Term

	leaseTerm raft.Term

	checkpoint *snapshottest.File

	core  *raft.Core
	store *kv.Store
}

func (a *actor) ID() raft.NodeID                     { return a.id }
func (a *actor) Life() int                           { return a.lives }
func (a *actor) Up() bool                            { return a.runs && a.seen.Life == a.lives }
func (a *actor) Seen() *engine.Observed              { return &a.seen }
func (a *actor) Durable() (raft.HardState, raft.Log) { return a.state, a.log }
func (a *actor) StateDiffers() bool                  { return false }
func (a *actor) Lost() bool                          { return a.lost }
func (a *actor) ViewTerm() (raft.Term, bool)         { return a.viewTerm, a.runs }
func (a *actor) Age() (time.Duration, bool)          { return 0, false }
func (a *actor) LeaseTerm() raft.Term                { return a.leaseTerm }

func (a *actor) Checkpoint() *snapshottest.File { return a.checkpoint }

func (a *actor) Store() *kv.Store {
	if !a.runs {
		return nil
	}
	return a.store
}

func (s *stage) Now() time.Duration { return s.now }

func (s *stage) Moment(age time.Duration) time.Duration { return s.now - age }

func newStage(t *testing.T, nodes int, checkers ...checker) *stage {
	t.Helper()
	s := &stage{t: t}
	var seen []Node
	for i := range nodes {
		s.actors = append(s.actors, &actor{id: raft.NodeID(i + 1), checkpoint: &snapshottest.File{}})
		seen = append(seen, s.actors[i])
	}
	// A message may be on its way for twice its usual time, and for 20 ms more if others overtake it.
	s.w = NewWatch(s, seen, Timing{
		Heartbeat: 100 * time.Millisecond, ElectionTimeout: 150 * time.Millisecond, Reach: 22 * time.Millisecond,
	})
	s.w.checkers = checkers
	return s
}

func (s *stage) actor(id raft.NodeID) *actor { return s.actors[id-1] }

// logOf makes a log with entries of these terms. Equal places in equal terms are equal entries.
func logOf(terms ...raft.Term) []raft.Entry {
	log := make([]raft.Entry, len(terms))
	for i, term := range terms {
		log[i] = raft.Entry{Index: raft.Index(i + 1), Term: term, Command: fmt.Appendf(nil, `{"op":"get","key":"%d"}`, term)}
	}
	return log
}

// in is a hard state without a vote.
func in(term raft.Term, commit raft.Index) raft.HardState {
	return raft.HardState{Term: term, Commit: commit}
}

// voted is a hard state with a vote.
func voted(term raft.Term, vote raft.NodeID) raft.HardState {
	return raft.HardState{Term: term, Vote: vote}
}

// save makes something durable. As in a real log, entries replace everything at and after the first of them.
func (s *stage) save(id raft.NodeID, state raft.HardState, log []raft.Entry) {
	a := s.actor(id)
	a.state = state
	if len(log) > 0 {
		a.log = raft.Log{Entries: log}
	}
}

// wipe loses the disk of a node.
func (s *stage) wipe(id raft.NodeID) {
	a := s.actor(id)
	a.state, a.log, a.checkpoint = raft.HardState{}, raft.Log{}, &snapshottest.File{}
}

// kill ends the life of a node.
func (s *stage) kill(id raft.NodeID) { s.actor(id).runs = false }

// wake begins a life of a node that has a state and a log in memory, whatever is on its disk.
func (s *stage) wake(id raft.NodeID, state raft.HardState, log []raft.Entry, also ...func(*engine.Observed)) string {
	s.t.Helper()
	a := s.actor(id)
	a.runs = true
	a.lives++
	a.store = kv.New()
	s.becomes(id, state, log)
	return s.sees(id, also...)
}

// becomes replaces state and log of a running node, as no core would.
func (s *stage) becomes(id raft.NodeID, state raft.HardState, log []raft.Entry) {
	s.t.Helper()
	s.becomesFrom(id, state, raft.Log{Entries: log})
}

func (s *stage) becomesFrom(id raft.NodeID, state raft.HardState, log raft.Log) {
	s.t.Helper()
	var members []raft.Member
	for _, a := range s.actors {
		members = append(members, raft.Member{ID: a.id})
	}
	initial, err := raft.NewConfiguration(members)
	if err != nil {
		s.t.Fatal(err)
	}
	log.Entries = slices.Clone(log.Entries) // a core owns its entries, and tales that run in parallel share a log
	core, err := raft.New(raft.Config{
		ID: id, Initial: initial, ElectionTicks: 10, HeartbeatTicks: 1, MaxMessageEntries: 1, MaxMessageBytes: 1,
		MaxInflightMessages: 1, MaxInflightBytes: 1, MaxUncommittedBytes: 1, MaxTailBytes: 1 << 20,
		Rand:     rand.New(rand.NewPCG(5, 6)),
		Encoding: entryjson.Encoding(),
	}, state, log)
	if err != nil {
		s.t.Fatal(err)
	}
	s.actor(id).core = core
}

// boot saves a state and a log, and begins a life from them.
func (s *stage) boot(id raft.NodeID, state raft.HardState, log []raft.Entry, also ...func(*engine.Observed)) string {
	s.t.Helper()
	s.save(id, state, log)
	return s.wake(id, state, log, also...)
}

// wakeWith begins a life of a node from what is on its disk, with a state machine that has applied a log.
func (s *stage) wakeWith(id raft.NodeID, log []raft.Entry) string {
	s.actor(id).lives++
	s.actor(id).runs = true
	s.applies(id, log)
	return s.sees(id)
}

// leading makes an observed state that of a leader.
func leading(now *engine.Observed) { now.Role = raft.Leader }

// puts makes a log of which each entry puts a value.
func puts(values ...string) []raft.Entry {
	var log []raft.Entry
	for i, value := range values {
		c := &kv.Put{Key: []byte("k"), Value: []byte(value)}
		log = append(log, raft.Entry{Index: raft.Index(i + 1), Term: 1, Timestamp: 1, Command: c.AppendJSON(nil)})
	}
	return log
}

// applies makes the state machine of a node one that has applied a log.
func (s *stage) applies(id raft.NodeID, log []raft.Entry) { s.actor(id).store = machineOf(log) }

func machineOf(log []raft.Entry) *kv.Store {
	store := kv.New()
	for _, e := range log {
		store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command})
	}
	return store
}

// positionOf is the position behind a log.
func positionOf(log []raft.Entry, seats ...raft.Seat) raft.LogStart {
	start := raft.LogStart{Seats: seats}
	for i := range log {
		start.Index, start.Term, start.Digest = log[i].Index, log[i].Term, start.Digest.Extend(&log[i])
	}
	return start
}

// savesState makes a checkpoint of a log durable.
func (s *stage) savesState(id raft.NodeID, start raft.LogStart, log []raft.Entry) {
	c := snapshot.Checkpoint{Delta: machineOf(log).Delta(0), Seats: start.Seats}
	s.actor(id).checkpoint = (&snapshottest.File{}).With(&c, start)
}

// sees shows a node to the checkers, and returns the invariant that is broken; none if all hold.
func (s *stage) sees(id raft.NodeID, also ...func(*engine.Observed)) (broken string) {
	a := s.actor(id)
	now := engine.Observed{
		Life: a.lives, State: a.core.HardState(), Last: a.core.LastIndex(), Applied: raft.Index(a.store.Applied()),
		Removed: a.log.Start.Index, Checkpoint: a.checkpoint.Start.Index,
	}
	now.LastTerm, _ = a.core.TermAt(now.Last)
	for _, change := range also {
		change(&now)
	}
	if now.Role == raft.Leader {
		now.Leader = id
	}
	l := engine.Look{Core: a.core, Store: a.store, Before: a.seen, Now: now}
	a.seen = now
	return s.broken(s.w.Saw(id, &l))
}

// Shows a message that leaves its sender to the checkers, and returns the invariant that is broken.
func (s *stage) hears(m raft.Message) (broken string) { return s.broken(s.w.Leaves(m.From, &m)) }

func (s *stage) broken(f *Failure) string {
	if f == nil {
		return ""
	}
	s.t.Log(f.Detail)
	return f.Invariant
}

// all plays scenes until one breaks an invariant.
func all(scenes ...string) (broken string) {
	for _, broken := range scenes {
		if broken != "" {
			return broken
		}
	}
	return ""
}

// tale is a history and whether it breaks the invariant of the checker that it is shown to.
type tale struct {
	name   string
	nodes  int
	tell   func(s *stage) (broken string)
	breaks bool
}

// play shows each history to checkers of its own, of which the last is the one under test.
func play(t *testing.T, checkers func() []checker, tales []tale) {
	t.Helper()
	for _, tale := range tales {
		t.Run(tale.name, func(t *testing.T) {
			t.Parallel()
			all := checkers()
			want := ""
			if tale.breaks {
				want = all[len(all)-1].invariant()
			}
			if broken := tale.tell(newStage(t, tale.nodes, all...)); broken != want {
				t.Errorf("it broke %q, want %q", broken, want)
			}
		})
	}
}

// alone is a checker that needs no other.
func alone(c func() checker) func() []checker { return func() []checker { return []checker{c()} } }

// afterCommit is a checker that reads what was committed.
func afterCommit(c func() checker) func() []checker {
	return func() []checker { return []checker{&stateMachineSafety{}, c()} }
}

// elect lets the core of a node of three win an election.
func (s *stage) elect(id raft.NodeID) *raft.Core {
	s.t.Helper()
	core := s.actor(id).core
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
