package node

import (
	"errors"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
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
func (n *Node) noteRefused(m *raft.Message, err error) {
	kind := "other"
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			kind = r.name
			break
		}
	}
	n.metrics.messageRefused(kind)
	peer := m.From
	if memberAddress(n.self().members, peer) == "" {
		peer = 0
	}
	if kind == kindDiverged {
		n.noteDiverged(peer, err)
		return
	}
	n.alarm(alarmKey{peer, kind}, err)
}

// alarm raises an alarm, unless the same one was raised shortly before.
func (n *Node) alarm(key alarmKey, cause error) {
	now := n.sched.Now()
	if last, ok := n.alarms[key]; ok && now.Sub(last) < alarmEvery {
		return
	}
	n.alarms[key] = now
	_, term, _ := n.core.Standing()
	n.events.add(api.Event{
		Kind: api.EventAlarm, Term: uint64(term), From: uint64(key.peer), To: uint64(n.self().id), Reason: cause.Error(),
	})
	n.cfg.Logger.Error("a message is refused", "node", n.self().id, "peer", key.peer,
		"kind", key.kind, "term", term, "error", cause)
}
