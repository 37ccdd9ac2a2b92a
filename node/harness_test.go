package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// disk is a Storage in memory that survives the node, as a disk does, and fails on request.
type disk struct {
	mu      sync.Mutex
	hard    raft.HardState
	start   raft.LogStart
	entries []raft.Entry // after start
	state   *snapshottest.File
	facts   map[string]string
	fail    error
	hang    chan struct{} // not nil: saves wait for it
	takes   time.Duration // of a save
	saves   int
	commit  raft.Index // the highest that was recorded
	// failNote makes NoteCommit fail.
	failNote error
	// failState makes SaveState fail.
	failState error
	// cutLater makes Cut do what the call before it was for.
	cutLater bool
	cut      raft.LogStart

	stateLost   bool       // what state has is damaged
	aside       int        // how often it was set aside
	failWhole   error      // makes checkpoints of everything fail
	saving      func()     // is called before the next checkpoint is written
	stateDamage error      // that the next scrub finds
	logDamage   raft.Index // an entry that scrubs find damaged; 0: none
	logUnread   raft.Index // an entry that scrubs cannot read; 0: none
	whole       int        // checkpoints that replaced all rows

	incoming                           *incoming // a snapshot that is received; nil: none
	reads, opened, released, installed int       // of parts of the log, and of snapshots
	failOpen                           error     // makes OpenSnapshot fail
	failPart                           error     // makes the next part of a snapshot fail, and ends its reception
}

func newDisk() *disk { return &disk{facts: map[string]string{}} }

func (d *disk) Save(state raft.HardState, entries []raft.Entry) error {
	d.mu.Lock()
	hang, takes := d.hang, d.takes
	d.mu.Unlock()
	time.Sleep(takes) // fake time
	if hang != nil {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.saves++
	d.hard = state
	d.commit = max(d.commit, state.Commit)
	if len(entries) > 0 {
		d.entries = append(d.entries[:entries[0].Index-1-d.start.Index], entries...)
	}
	return nil
}

func (d *disk) NoteCommit(index raft.Index) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil && d.failNote == nil {
		d.commit = max(d.commit, index)
	}
	return errors.Join(d.fail, d.failNote)
}

func (d *disk) SaveFacts(facts map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	maps.Copy(d.facts, facts)
	return nil
}

func (d *disk) Facts() (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	facts := maps.Clone(d.facts)
	facts["current_term"] = strconv.FormatUint(uint64(d.hard.Term), 10)
	facts["commit_index"] = strconv.FormatUint(uint64(d.hard.Commit), 10)
	return facts, nil
}

func (d *disk) Range(from raft.Index, limit int) ([]raft.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if from <= d.start.Index {
		return nil, fmt.Errorf("entry %d was asked for, and the log starts after entry %d", from, d.start.Index)
	}
	skip := min(int(from-d.start.Index-1), len(d.entries))
	return slices.Clone(d.entries[skip:min(len(d.entries), skip+limit)]), nil
}

func (d *disk) Checkpoint() error { return nil }
func (d *disk) Close() error      { return nil }

func (d *disk) set(change func(d *disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// lan joins nodes in memory. Each message takes a millisecond; a cut link swallows it.
type lan struct {
	early int // so many changes of the members are refused: their receiver does not lead yet

	mu    sync.Mutex
	nodes map[raft.NodeID]*node.Node
	at    map[raft.NodeID]string                          // where the node of each id listens, if that is not its id
	peers map[raft.NodeID]map[raft.NodeID]identity.Member // by node: to whom it sends; nil: to all
	cut   func(from, to raft.NodeID) bool
	bend  func(m *raft.Message) // damages what is on its way; nil: nothing is
	spy   func(m raft.Message)  // gets everything that is sent, also what does not arrive; nil: it is not asked
	sent  sync.WaitGroup        // what is on its way
}

var errUnplugged = errors.New("unplugged")

const latency = time.Millisecond

// reach returns the node that listens where from expects to; nil if there is none, or it has another identity.
func (l *lan) reach(from, to raft.NodeID) *node.Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil && l.cut(from, to) {
		return nil
	}
	target := l.nodes[to]
	if m, ok := l.peers[from][to]; ok {
		for id, address := range l.at {
			if address == m.Address {
				target = l.nodes[id]
			}
		}
	}
	if target != nil {
		if is := raft.NodeID(target.Status().ID); is != 0 && is != to {
			return nil
		}
	}
	return target
}

// isPeer reports whether a node takes another for a member, or has received no members yet.
func (l *lan) isPeer(by, member raft.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.peers[by][member]
	return ok || l.peers[by] == nil
}

func (l *lan) damage(m *raft.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bend != nil {
		l.bend(m)
	}
}

func (l *lan) damageBy(bend func(m *raft.Message)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bend = bend
}

func (l *lan) split(groups ...[]raft.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = func(from, to raft.NodeID) bool {
		for _, group := range groups {
			if slices.Contains(group, from) {
				return !slices.Contains(group, to)
			}
		}
		return false
	}
}

func (l *lan) heal() { l.split() }

// port is one node's Transport.
type port struct {
	lan *lan
	id  raft.NodeID
}

func (l *lan) spyBy(spy func(m raft.Message)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spy = spy
}

func (l *lan) look(m raft.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spy != nil {
		l.spy(m)
	}
}

func (p *port) Send(messages []raft.Message) {
	for _, m := range slices.Clone(messages) {
		p.lan.look(m)
		if !p.lan.isPeer(p.id, m.To) {
			continue
		}
		p.lan.sent.Go(func() {
			time.Sleep(latency) // fake time: the network's delay
			sender := p.lan.reach(m.To, m.From)
			target := p.lan.reach(m.From, m.To)
			if target == nil || sender == nil {
				if sender != nil {
					sender.Unreachable(m.To)
				}
				return
			}
			p.lan.damage(&m)
			response, err := target.Deliver(context.Background(), m)
			time.Sleep(latency)
			if sender = p.lan.reach(m.To, m.From); sender == nil {
				return
			}
			if err != nil {
				if errors.Is(err, node.ErrNoIdentity) {
					sender.NoIdentity(m.To)
				}
				sender.Unreachable(m.To)
				return
			}
			response.Tag = 0
			sender.Receive(response)
		})
	}
}

func (p *port) Propose(ctx context.Context, leader raft.NodeID, commands [][]byte) ([]node.Outcome, error) {
	target := p.ask(leader)
	if target == nil {
		return nil, node.ErrNotSent
	}
	time.Sleep(latency)
	outcomes := target.HandlePropose(ctx, commands)
	if p.lan.reach(leader, p.id) == nil {
		return nil, errUnplugged
	}
	return outcomes, nil
}

func (p *port) ReadIndex(ctx context.Context, leader raft.NodeID, term raft.Term, lease bool) (raft.ReadPoint, error) {
	target := p.ask(leader)
	if target == nil {
		return raft.ReadPoint{}, errUnplugged
	}
	time.Sleep(latency)
	return target.HandleReadIndex(ctx, p.id, term, lease)
}

func (p *port) Genesis(
	ctx context.Context, peer raft.NodeID, r identity.GenesisRequest,
) (identity.GenesisAnswer, error) {
	target := p.ask(peer)
	if target == nil {
		return identity.GenesisAnswer{}, errUnplugged
	}
	time.Sleep(latency)
	answer, err := target.HandleGenesis(ctx, r)
	if p.lan.reach(peer, p.id) == nil {
		return identity.GenesisAnswer{}, errUnplugged
	}
	return answer, err
}

func (p *port) Fingerprint(ctx context.Context, peer raft.NodeID, ours divergence.Fingerprint) (
	divergence.Fingerprint, error,
) {
	target := p.ask(peer)
	if target == nil {
		return divergence.Fingerprint{}, errUnplugged
	}
	time.Sleep(latency)
	return target.HandleFingerprint(ctx, p.id, ours)
}

func (p *port) StateDigest(ctx context.Context, peer raft.NodeID, index raft.Index) (divergence.State, error) {
	target := p.ask(peer)
	if target == nil {
		return divergence.State{}, errUnplugged
	}
	time.Sleep(latency)
	return target.HandleStateDigest(ctx, index)
}

func (p *port) Transfer(ctx context.Context, leader raft.NodeID, term raft.Term, to raft.NodeID) error {
	target := p.ask(leader)
	if target == nil {
		return node.ErrNotSent
	}
	time.Sleep(latency)
	err := target.TransferLeadershipIn(ctx, term, to)
	if p.lan.reach(leader, p.id) == nil {
		return errUnplugged
	}
	return err
}

func (p *port) Status(_ context.Context, peer raft.NodeID) (node.PeerStatus, error) {
	target := p.ask(peer)
	if target == nil {
		return node.PeerStatus{}, errUnplugged
	}
	return target.HandleStatus(), nil
}

// cluster is some nodes, their disks and their network, in a bubble of fake time.
type cluster struct {
	t       *testing.T
	lan     *lan
	members []identity.Member
	disks   map[raft.NodeID]*disk
	running map[raft.NodeID]*running
	fatal   chan error
	lives   uint64                                // of all nodes: no two draw the same numbers
	adjust  func(id raft.NodeID, o *node.Options) // nil: as they are
}

type running struct {
	*node.Node
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

// inBubble runs a test case in a bubble of fake time with a cluster of that many nodes, all started.
func inBubble(t *testing.T, nodes int, story func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{
			t: t, lan: &lan{nodes: map[raft.NodeID]*node.Node{}}, disks: map[raft.NodeID]*disk{},
			running: map[raft.NodeID]*running{}, fatal: make(chan error, 1),
		}
		for id := range raft.NodeID(nodes) {
			c.members = append(c.members, identity.Member{ID: id + 1, Address: placeOf(id + 1)})
			c.disks[id+1] = newDisk()
		}
		for _, m := range c.members {
			c.start(m.ID)
		}
		defer func() {
			for id := range maps.Clone(c.running) {
				c.kill(id)
			}
			c.lan.sent.Wait()
			time.Sleep(10 * latency) // fake time: questions between nodes end
		}()
		story(t, c)
	})
}

func (c *cluster) options(id raft.NodeID) node.Options {
	c.lives++
	o := node.Options{
		ID: id, ClusterID: identity.StaticClusterID(c.members), Members: c.members, Storage: c.disks[id],
		Transport: &port{c.lan, id}, Rand: rand.New(rand.NewPCG(uint64(id), c.lives)),
		Fatal: func(err error) { c.fatal <- err },
	}
	c.lan.mu.Lock()
	place, joins := c.lan.at[id]
	c.lan.mu.Unlock()
	if joins {
		o.Join, o.ID, o.ClusterID, o.Members, o.PeerAddress = true, 0, "", nil, place
	}
	if c.adjust != nil {
		c.adjust(id, &o)
	}
	return o
}

func (c *cluster) start(id raft.NodeID, prepare ...func(n *node.Node)) *running {
	c.t.Helper()
	n, err := node.New(c.options(id))
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	for _, f := range prepare {
		f(n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, cancel: cancel, ended: make(chan struct{})}
	c.running[id] = r
	c.lan.mu.Lock()
	c.lan.nodes[id] = n
	c.lan.mu.Unlock()
	go func() {
		defer close(r.ended)
		r.err = n.Run(ctx)
	}()
	return r
}

// kill ends a node. What it did not save is gone.
func (c *cluster) kill(id raft.NodeID) {
	r := c.running[id]
	delete(c.running, id)
	c.lan.mu.Lock()
	delete(c.lan.nodes, id)
	c.lan.mu.Unlock()
	r.cancel()
	<-r.ended
}

// until lets fake time pass until the condition holds, and fails the test if it does not within ten seconds.
func (c *cluster) until(what string, condition func() bool) {
	c.t.Helper()
	for range 10_000 {
		if condition() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	c.t.Fatalf("never happened: %s", what)
}

// leader waits for a leader that all running members, or those named, agree on; one of those named, if any are.
func (c *cluster) leader(among ...raft.NodeID) raft.NodeID {
	c.t.Helper()
	var leader raft.NodeID
	c.until("one leader", func() bool {
		leader = 0
		for id, r := range c.running {
			if len(among) > 0 && !slices.Contains(among, id) {
				continue
			}
			s := r.Status()
			if s.ID == 0 || s.LifeCycle == api.StateRemoved {
				continue // no member
			}
			known := raft.NodeID(s.LeaderID)
			if known == 0 || (leader != 0 && known != leader) {
				return false
			}
			leader = known
		}
		if len(among) > 0 && !slices.Contains(among, leader) {
			return false
		}
		r, ok := c.running[leader]
		return ok && r.Status().State == "LEADER"
	})
	return leader
}

func (c *cluster) followers() []raft.NodeID {
	leader := c.leader()
	var ids []raft.NodeID
	for id, r := range c.running {
		if id != leader && r.Status().LifeCycle == api.StateMember {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (c *cluster) propose(id raft.NodeID, command string) node.Outcome {
	return c.running[id].Propose(context.Background(), [][]byte{[]byte(command)})[0]
}

func (c *cluster) mustPropose(id raft.NodeID, command string) node.Outcome {
	c.t.Helper()
	o := c.propose(id, command)
	if o.Err != nil || o.Result.Code != "" {
		c.t.Fatalf("%s through node %d: %v %s", command, id, o.Err, o.Result.Message)
	}
	return o
}

func (c *cluster) value(id raft.NodeID, key string) string {
	record, _ := c.running[id].Get(key)
	return string(record.Value)
}
