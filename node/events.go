package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// eventRing is how many events a node keeps of itself, and how many of the whole cluster.
const eventRing = 1024

// toldEvents is how many events of its own a node tells a peer that asks for its status, and how many merged
// ones /api/status shows.
const (
	toldEvents  = 64
	shownEvents = 32
)

// eventLog keeps the last events of this node, and merges those of its peers into one order for the page.
type eventLog struct {
	now func() time.Time

	mu     sync.Mutex
	id     raft.NodeID
	seq    uint64
	own    []api.Event
	cursor uint64
	merged []api.ObservedEvent
	known  map[raft.NodeID]known
	more   chan struct{}
}

// known is the newest event seen of a peer: its number, and its time to tell it from the event of another life,
// because a restarted peer counts from 1.
type known struct {
	seq  uint64
	atMs int64
}

func newEventLog(id raft.NodeID, now func() time.Time) *eventLog {
	return &eventLog{id: id, now: now, known: map[raft.NodeID]known{}, more: make(chan struct{})}
}

// identify says whose events these are, before there is one.
func (l *eventLog) identify(id raft.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
}

// add records one event of this node.
func (l *eventLog) add(e api.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq, e.Node, e.AtMs = l.seq, uint64(l.id), l.now().UnixMilli()
	l.own = keepLast(append(l.own, e), eventRing)
	l.merge(e)
}

// learn merges what a peer told of itself, in its order; what is known already is left out. It keeps no more of it than
// a correct peer tells: thousands of events are kept, and each may come with a text of megabytes.
func (l *eventLog) learn(peer raft.NodeID, events []api.Event) {
	if len(events) == 0 {
		return
	}
	events = events[max(0, len(events)-toldEvents):]
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.known[peer]
	if anotherLife(last, events) {
		last = known{}
	}
	for _, e := range events {
		if e.Node != uint64(peer) || e.Seq <= last.seq {
			continue
		}
		last = known{e.Seq, e.AtMs}
		l.merge(clipped(e))
	}
	l.known[peer] = last
}

// mostVotes bounds what is kept of one event, beside maxText.
const mostVotes = identity.MaxMembers

// clipped is the event with what is too long cut off, and with its texts as PlainText makes them.
func clipped(e api.Event) api.Event {
	e.Kind, e.Role, e.Reason = api.EventKind(PlainText(string(e.Kind))), PlainText(e.Role), PlainText(e.Reason)
	if len(e.Votes) > mostVotes {
		e.Votes = slices.Clone(e.Votes[:mostVotes])
	}
	return e
}

// anotherLife reports whether a peer began to count anew since its last known event. Times are only compared for
// being the same: a clock that was set back must not bring old events again.
func anotherLife(last known, events []api.Event) bool {
	if events[len(events)-1].Seq < last.seq {
		return true
	}
	return slices.ContainsFunc(events, func(e api.Event) bool { return e.Seq == last.seq && e.AtMs != last.atMs })
}

// merge appends to the merged order and wakes the streams. The caller holds the lock.
func (l *eventLog) merge(e api.Event) {
	l.cursor++
	l.merged = keepLast(append(l.merged, api.ObservedEvent{Cursor: l.cursor, Event: e}), eventRing)
	close(l.more)
	l.more = make(chan struct{})
}

// keepLast cuts a ring to its size, now and then rather than each time.
func keepLast[T any](ring []T, size int) []T {
	if len(ring) < 2*size {
		return ring
	}
	return slices.Clone(ring[len(ring)-size:])
}

// since gives the merged events after the cursor, and a channel that is closed when there are more.
func (l *eventLog) since(cursor uint64) ([]api.ObservedEvent, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.merged, cursor, func(e api.ObservedEvent, c uint64) int {
		if e.Cursor <= c {
			return -1
		}
		return 1
	})
	return slices.Clone(l.merged[i:]), l.more
}

func (l *eventLog) told() []api.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.own[max(0, len(l.own)-toldEvents):])
}

func (l *eventLog) shown() []api.ObservedEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]api.ObservedEvent{}, l.merged[max(0, len(l.merged)-shownEvents):]...) // never null in JSON
}

// Events gives what happened in the cluster as this node knows it, after a cursor (0: all that is kept), and a
// channel that is closed when there is more.
func (n *Node) Events(since uint64) ([]api.ObservedEvent, <-chan struct{}) {
	return n.events.since(since)
}

// electionSeen is what the loop remembers of an election, for the event that tells of its end.
type electionSeen struct {
	began time.Time // of the first campaign since there was a leader; zero: none
	term  raft.Term
	votes []uint64
}

// observe compares the core with what it was, and records and logs every change.
func (l *loop) observe() {
	role, term, leader := l.core.Standing()
	old, now := l.seenRole, roleSeen{role, term, leader}
	if now == old {
		return
	}
	l.seenRole = now
	if now.term != old.term {
		l.node.events.add(api.Event{Kind: api.EventTerm, Term: uint64(now.term)})
	}
	if now.role != old.role || (now.term != old.term && now.role != raft.Follower) {
		l.changedRole(old, now)
	}
	if now.leader != 0 && now.leader != old.leader {
		l.election.began = time.Time{}
		l.node.metrics.LeaderChanged()
	}
}

func (l *loop) changedRole(old, now roleSeen) {
	reason := l.core.Status().Reason
	l.cfg.Logger.Info("role", "node", l.node.self().ID, "role", now.role.String(), "was", old.role.String(),
		"term", now.term, "reason", reason)
	if old.role == raft.Leader {
		l.node.ledSince.Store(0)
		l.node.events.add(api.Event{Kind: api.EventSteppedDown, Term: uint64(now.term), Reason: reason})
	}
	event := api.Event{Kind: api.EventRole, Term: uint64(now.term), Role: now.role.String(), Reason: reason}
	event.PreVote = now.role == raft.PreCandidate
	l.node.events.add(event)
	switch now.role {
	case raft.PreCandidate, raft.Candidate:
		if l.election.began.IsZero() {
			l.election.began = l.sched.Now()
		}
		l.node.metrics.ElectionStarted(now.role == raft.PreCandidate)
	case raft.Leader:
		l.wonElection(now.term)
	}
}

func (l *loop) wonElection(term raft.Term) {
	l.node.ledSince.Store(int64(l.sched.Now().Sub(l.node.started)) + 1)
	votes := []uint64{uint64(l.node.self().ID)}
	if l.election.term == term {
		votes = append(votes, l.election.votes...)
	}
	slices.SortFunc(votes, cmp.Compare)
	event := api.Event{
		Kind: api.EventElected, Term: uint64(term), From: uint64(l.node.self().ID), Votes: slices.Compact(votes),
	}
	if !l.election.began.IsZero() {
		event.DurationMs = l.sched.Now().Sub(l.election.began).Milliseconds()
	}
	l.node.events.add(event)
	l.node.metrics.ElectionWon()
}

// noteSent records the votes that leave this node, asked for and given.
func (l *loop) noteSent(m raft.Message) {
	switch m.Type {
	case raft.MsgRequestVote:
		l.node.events.add(api.Event{
			Kind: api.EventVoteAsked, Term: uint64(m.Term), From: uint64(l.node.self().ID), To: uint64(m.To), PreVote: m.PreVote,
		})
	case raft.MsgRequestVoteResponse:
		l.node.events.add(api.Event{
			Kind: api.EventVote, Term: uint64(m.Term), From: uint64(l.node.self().ID), To: uint64(m.To), PreVote: m.PreVote,
			Granted: m.VoteGranted,
		})
	}
}

// noteResponse remembers who voted for this node.
func (l *loop) noteResponse(m raft.Message) {
	if m.Type != raft.MsgRequestVoteResponse || !m.VoteGranted || m.PreVote {
		return
	}
	if l.election.term != m.Term {
		l.election.term, l.election.votes = m.Term, nil
	}
	l.election.votes = append(l.election.votes, uint64(m.From))
}
