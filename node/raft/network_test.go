package raft

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Default values of the tests.
const (
	testElectionTicks  = 10
	testHeartbeatTicks = 3
)

func testConfig(id NodeID, voters []NodeID, seed uint64) Config {
	return Config{
		ID: id, Initial: initial(voters...), Encoding: testEncoding, Level: HighestLevel,
		ElectionTicks: testElectionTicks, HeartbeatTicks: testHeartbeatTicks,
		MaxMessageEntries: 64, MaxMessageBytes: 1 << 20,
		MaxInflightMessages: 1, MaxInflightBytes: 4 << 20, MaxUncommittedBytes: 16 << 20,
		MaxTailBytes: 64 << 20,
		Rand:         rand.New(rand.NewPCG(seed, uint64(id))),
	}
}

// initial returns an initial configuration of voters.
func initial(voters ...NodeID) Configuration {
	cfg := Configuration{}
	for _, id := range voters {
		cfg.Members = append(cfg.Members, memberAt(id))
		cfg.LastID = max(cfg.LastID, id)
	}
	return cfg
}

// memberAt returns a voter with an address of its own.
func memberAt(id NodeID) Member { return Member{ID: id, Address: fmt.Sprintf("http://h%d:7080", id)} }

// withRoles returns a configuration in which some members have another role.
func withRoles(cfg Configuration, role MemberRole, ids ...NodeID) Configuration {
	cfg.Members = slices.Clone(cfg.Members)
	for i := range cfg.Members {
		if slices.Contains(ids, cfg.Members[i].ID) {
			cfg.Members[i].Role = role
		}
	}
	return cfg
}

// testEncoding is a minimal encoding of what the core writes itself.
var testEncoding = Encoding{
	NoOp: []byte("no-op"), Check: []byte("check"),
	Seat: func(s Seat) []byte { return fmt.Appendf(nil, "seat %d %d", s.Member, s.Incarnation) },
	ParseSeat: func(command []byte) (Seat, bool) {
		var s Seat
		n, err := fmt.Sscanf(string(command), "seat %d %d", &s.Member, &s.Incarnation)
		return s, n == 2 && err == nil
	},
	Configuration: func(cfg Configuration) []byte {
		cfg.Index = 0
		text, err := json.Marshal(cfg)
		if err != nil {
			panic(err)
		}
		return append([]byte("config "), text...)
	},
	ParseConfiguration: func(command []byte) (cfg Configuration, err error) {
		text, is := bytes.CutPrefix(command, []byte("config "))
		if !is {
			return cfg, errors.New("it is not a configuration")
		}
		return cfg, json.Unmarshal(text, &cfg)
	},
}

// configEntry returns the entry that carries a configuration.
func configEntry(index Index, term Term, cfg Configuration) Entry {
	return Entry{Index: index, Term: term, Type: EntryConfig, Command: testEncoding.Configuration(cfg)}
}

// seatEntry returns the entry that assigns a seat.
func seatEntry(index Index, term Term, seat Seat) Entry {
	return Entry{Index: index, Term: term, Type: EntrySeat, Command: testEncoding.Seat(seat)}
}

// testNode is a core with its disk and what it applied.
type testNode struct {
	*Core
	cfg     Config
	disk    disk
	applied []Entry
	reads   []ReadState
	dropped []ReadToken
}

// network runs a cluster in one goroutine. Messages wait in a queue until they are delivered; drop, if set, reports
// which are lost.
type network struct {
	t     testing.TB
	nodes map[NodeID]*testNode
	queue []Message
	drop  func(m Message) bool
	down  map[NodeID]bool

	snapshots []transit       // on their way
	watch     func(*testNode) // is called before each drain

	refuses bool // messages were forged, so a node may refuse what another one sends
}

// transit is a snapshot on its way.
type transit struct {
	from *testNode
	to   NodeID
	snapshot
}

// newNetwork starts nodes 1 to n with empty disks.
func newNetwork(t testing.TB, n int, adjust ...func(*Config)) *network {
	t.Helper()
	net := &network{t: t, nodes: map[NodeID]*testNode{}, down: map[NodeID]bool{}}
	var voters []NodeID
	for id := NodeID(1); id <= NodeID(n); id++ {
		voters = append(voters, id)
	}
	for _, id := range voters {
		cfg := testConfig(id, voters, 7)
		for _, f := range adjust {
			f(&cfg)
		}
		net.add(cfg, HardState{}, nil)
	}
	return net
}

// add starts a node from its disk, whose log begins at index 1.
func (net *network) add(cfg Config, state HardState, log []Entry) *testNode {
	net.t.Helper()
	return net.start(cfg, disk{state: state, log: log})
}

// start starts a node from its disk.
func (net *network) start(cfg Config, from disk) *testNode {
	net.t.Helper()
	core, err := New(cfg, from.state, from.load())
	if err != nil {
		net.t.Fatalf("node %d does not start: %v", cfg.ID, err)
	}
	node := &testNode{Core: core, cfg: cfg, disk: from, applied: slices.Clip(from.checkpoint)}
	net.nodes[cfg.ID] = node
	return node
}

// ids returns the running nodes in order, so that the seed determines a run.
func (net *network) ids() []NodeID {
	ids := slices.Sorted(maps.Keys(net.nodes))
	return slices.DeleteFunc(ids, func(id NodeID) bool { return net.down[id] })
}

// crash stops a node; what it did not save is lost.
func (net *network) crash(id NodeID) { net.down[id] = true }

// restart starts a crashed node from its disk.
func (net *network) restart(id NodeID) *testNode {
	net.t.Helper()
	old := net.nodes[id]
	delete(net.down, id)
	return net.start(old.cfg, old.disk)
}

// drain does one Ready of a node: send, save, send, apply.
func (net *network) drain(node *testNode) bool {
	if net.watch != nil {
		net.watch(node)
	}
	if !node.HasReady() {
		return false
	}
	rd := node.Ready()
	net.send(rd.Messages)
	if rd.MustSave {
		node.disk.save(rd)
	}
	node.cfg.Seated = node.Seated()
	net.send(rd.AfterSave)
	node.applied = append(node.applied, rd.Committed...)
	node.reads = append(node.reads, rd.Reads...)
	node.dropped = append(node.dropped, rd.DroppedReads...)
	node.Advance(rd)
	for _, f := range rd.Fetches {
		part, err := node.disk.read(f)
		node.Fetched(f, part, err)
	}
	for _, to := range rd.SnapshotTo {
		node.disk.checkpoint = node.applied
		net.snapshots = append(net.snapshots, transit{node, to, node.disk.snapshot()})
	}
	return true
}

// compact makes a node write a checkpoint and remove entries from its disk up to an index.
func (net *network) compact(id NodeID, to Index) {
	node := net.nodes[id]
	node.disk.checkpoint = node.applied
	node.disk.cut(to)
	node.Removed(to)
}

// deliverSnapshots hands the snapshots on their way to their receivers.
func (net *network) deliverSnapshots() {
	waiting := net.snapshots
	net.snapshots = nil
	for _, s := range waiting {
		to := net.nodes[s.to]
		if net.down[s.to] || net.drop != nil && net.drop(Message{From: s.from.id, To: s.to}) {
			s.from.SnapshotFailed(s.to)
			continue
		}
		for net.drain(to) {
		}
		if _, err := to.restore(s.from.id, s.snapshot); err != nil {
			net.t.Fatalf("node %d refuses a snapshot: %v", s.to, err)
		}
		s.from.SnapshotSent(s.to, max(s.start.Index, to.log.commit))
	}
}

func (net *network) send(messages []Message) {
	for _, m := range messages {
		if net.drop == nil || !net.drop(m) {
			net.queue = append(net.queue, m)
		}
	}
}

// settle delivers messages in order until there are none.
func (net *network) settle() {
	net.t.Helper()
	for range 10000 {
		busy := false
		for _, id := range net.ids() {
			for net.drain(net.nodes[id]) {
				busy = true
			}
		}
		if len(net.queue) == 0 && len(net.snapshots) == 0 && !busy {
			return
		}
		net.deliverSnapshots()
		waiting := net.queue
		net.queue = nil
		for _, m := range waiting {
			net.deliver(m)
		}
	}
	net.t.Fatal("the cluster does not come to rest: the messages never end")
}

// deliver steps a message into its target, if that is running.
func (net *network) deliver(m Message) {
	net.t.Helper()
	if node := net.nodes[m.To]; node != nil && !net.down[m.To] {
		if err := node.Step(m); err != nil && !net.refuses {
			net.t.Fatalf("node %d refuses %+v: %v", m.To, m, err)
		}
	}
}

// tick ticks every node n times, and delivers everything after each tick.
func (net *network) tick(n int) {
	net.t.Helper()
	for range n {
		for _, id := range net.ids() {
			net.nodes[id].Tick()
		}
		net.settle()
	}
}

// elect ticks one node only, until it leads.
func (net *network) elect(id NodeID) *testNode {
	net.t.Helper()
	node := net.nodes[id]
	for _, other := range net.ids() {
		if other != id { // they had no leader for long enough to vote
			net.nodes[other].leaderContact = testElectionTicks
		}
	}
	for range 10 * testElectionTicks {
		node.Tick()
		net.settle()
		if node.role == Leader {
			return node
		}
	}
	net.t.Fatalf("node %d was not elected: %+v", id, node.Status())
	return nil
}

// leader returns the node that leads the highest term; nil if none leads.
func (net *network) leader() *testNode {
	var found *testNode
	for _, id := range net.ids() {
		if node := net.nodes[id]; node.role == Leader && (found == nil || found.term < node.term) {
			found = node
		}
	}
	return found
}

// propose appends commands at a leader, without delivering anything.
func (net *network) propose(node *testNode, commands ...string) Index {
	net.t.Helper()
	var raw [][]byte
	for _, command := range commands {
		raw = append(raw, []byte(command))
	}
	first, _, err := node.Propose(0, raw)
	if err != nil {
		net.t.Fatalf("node %d refuses a proposal: %v", node.id, err)
	}
	return first
}

// isolate drops every message from and to some nodes; heal ends it.
func (net *network) isolate(ids ...NodeID) {
	net.drop = func(m Message) bool { return slices.Contains(ids, m.From) || slices.Contains(ids, m.To) }
}

func (net *network) heal() { net.drop = nil }

// terms returns the terms of a node's log as text, which is enough to compare logs: "1 1 2".
func (node *testNode) terms() string {
	var terms []Term
	for _, e := range node.log.entries {
		terms = append(terms, e.Term)
	}
	return fmt.Sprint(terms)
}

// commands returns what a node applied, without no-ops.
func (node *testNode) commands() []string {
	var commands []string
	for _, e := range node.applied {
		if e.Type == EntryCommand {
			commands = append(commands, string(e.Command))
		}
	}
	return commands
}

// logOf returns entries from index 1 on with these terms.
func logOf(terms ...Term) []Entry { return entriesFrom(1, terms...) }

// entriesFrom returns entries from an index on with these terms.
func entriesFrom(first Index, terms ...Term) []Entry {
	entries := make([]Entry, len(terms))
	for i, term := range terms {
		index := first + Index(i)
		entries[i] = Entry{Index: index, Term: term, Command: fmt.Appendf(nil, `{"i":%d,"t":%d}`, index, term)}
	}
	return entries
}

func wantEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func wantSlice[T cmp.Ordered](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
