package observation

import (
	"slices"
	"sync"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/plaintext"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// eventRing is how many events a node keeps of itself, and how many of the whole cluster.
const eventRing = 1024

// ownEvents is how many events of its own a node sends to a peer that asks for its status, and shownEvents how many
// merged ones /api/status shows.
const (
	ownEvents   = 64
	shownEvents = 32
)

// eventLog keeps the last events of this node, and merges those of its peers into one order for the page.
type eventLog struct {
	now func() time.Time

	mu     sync.Mutex
	seq    uint64
	own    []api.Event
	cursor uint64
	merged []api.ObservedEvent
	known  map[raft.NodeID]known
	more   chan struct{}
}

// known is the newest event seen of a peer: its number, and its time, because a restarted peer counts
// from 1.
type known struct {
	seq  uint64
	atMs int64
}

func newEventLog(now func() time.Time) *eventLog {
	return &eventLog{now: now, known: map[raft.NodeID]known{}, more: make(chan struct{})}
}

// add records one event of this node, self.
func (l *eventLog) add(self raft.NodeID, e api.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq, e.Node, e.AtMs = l.seq, uint64(self), l.now().UnixMilli()
	l.own = keepLast(append(l.own, e), eventRing)
	l.merge(e)
}

// learn merges the events that a peer sent, in its order, without those that are known already. It keeps no more than a
// correct peer sends: thousands of events are kept, and each may come with a text of megabytes.
func (l *eventLog) learn(peer raft.NodeID, events []api.Event) {
	if len(events) == 0 {
		return
	}
	events = events[max(0, len(events)-ownEvents):]
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.known[peer]
	if anotherRun(last, events) {
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

// mostVotes bounds what is kept of one event, beside its texts.
const mostVotes = identity.MaxMembers

// clipped is the event with what is too long cut off, and with plain texts.
func clipped(e api.Event) api.Event {
	e.Kind, e.Role, e.Reason = api.EventKind(plaintext.Of(string(e.Kind))), plaintext.Of(e.Role), plaintext.Of(e.Reason)
	e.Alarm, e.Level = api.AlarmName(plaintext.Of(string(e.Alarm))), api.AlarmLevel(plaintext.Of(string(e.Level)))
	if len(e.Votes) > mostVotes {
		e.Votes = slices.Clone(e.Votes[:mostVotes])
	}
	return e
}

// anotherRun reports whether a peer began to count anew since its last known event. Times are only compared for
// being the same: a clock that was set back must not bring old events again.
func anotherRun(last known, events []api.Event) bool {
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

// since returns the merged events after the cursor, and a channel that is closed when there are more.
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

func (l *eventLog) lastOwn() []api.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.own[max(0, len(l.own)-ownEvents):])
}

func (l *eventLog) shown() []api.ObservedEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]api.ObservedEvent{}, l.merged[max(0, len(l.merged)-shownEvents):]...) // never null in JSON
}
