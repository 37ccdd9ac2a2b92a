package node

import (
	"errors"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// alarmEvery is how often one peer's messages of one kind raise an alarm; the metric counts each.
const alarmEvery = 10 * time.Second

// kindDiverged names a message that shows another log than this node's.
const kindDiverged = "diverged"

// refusals names what the core refuses, in events, logs and metrics. The first that an error is counts.
var refusals = []struct {
	name string
	err  error
}{
	{"second_leader", raft.ErrSecondLeader},
	{"bad_term", raft.ErrBadTerm},
	{"malformed", raft.ErrBadMessage},
	{kindDiverged, raft.ErrDiverged},
}

// alarmKey is what alarms are limited by. There are few: a sender that is no member counts as 0.
type alarmKey struct {
	peer raft.NodeID
	kind string
}

// noteRefused counts a message that the core refused, and raises an alarm: an event and a line in the log. The node
// serves on: a message proves nothing about this node.
func (l *loop) noteRefused(m *raft.Message, err error) {
	kind := "other"
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			kind = r.name
			break
		}
	}
	l.node.metrics.MessageRefused(kind)
	peer := m.From
	if identity.AddressOf(l.node.self().Members, peer) == "" {
		peer = 0
	}
	if kind == kindDiverged {
		l.noteDiverged(peer, err)
		return
	}
	l.alarm(alarmKey{peer, kind}, err)
}

// alarm raises an alarm, unless the same one was raised shortly before.
func (l *loop) alarm(key alarmKey, cause error) {
	now := l.sched.Now()
	if last, ok := l.alarms[key]; ok && now.Sub(last) < alarmEvery {
		return
	}
	l.alarms[key] = now
	_, term, _ := l.core.Standing()
	l.node.events.add(api.Event{
		Kind: api.EventAlarm, Term: uint64(term), From: uint64(key.peer), To: uint64(l.node.self().ID), Reason: cause.Error(),
	})
	l.cfg.Logger.Error("a message is refused", "node", l.node.self().ID, "peer", key.peer,
		"kind", key.kind, "term", term, "error", cause)
}
