package observation

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

// alarmKey is what alarms are limited by. There are few: a sender that is not a member counts as 0.
type alarmKey struct {
	peer raft.NodeID
	kind string
}

// Refused counts a message that the core refused in a term, and raises an alarm: an event and a line in the log. The
// node continues, because a message proves nothing about this node.
func (r *Recorder) Refused(from raft.NodeID, term raft.Term, err error) {
	kind := "other"
	for _, refusal := range refusals {
		if errors.Is(err, refusal.err) {
			kind = refusal.name
			break
		}
	}
	r.metrics.MessageRefused(kind)
	if identity.AddressOf(r.observation.cfg.Members(), from) == "" {
		from = 0
	}
	r.alarm(alarmKey{from, kind}, term, err)
}

// Diverged raises an alarm for a log of a member that is another one than this node's.
func (r *Recorder) Diverged(member raft.NodeID, term raft.Term, err error) {
	r.alarm(alarmKey{member, kindDiverged}, term, err)
}

// alarm raises an alarm, unless the same one was raised shortly before.
func (r *Recorder) alarm(key alarmKey, term raft.Term, cause error) {
	cfg := &r.observation.cfg
	now := cfg.Scheduler.Now()
	if last, ok := r.alarms[key]; ok && now.Sub(last) < alarmEvery {
		return
	}
	r.alarms[key] = now
	self := cfg.Self().ID
	r.observation.Record(api.Event{
		Kind: api.EventAlarm, Term: uint64(term), From: uint64(key.peer), To: uint64(self), Reason: cause.Error(),
	})
	cfg.Logger.Error("a message is refused", "node", self, "peer", key.peer, "kind", key.kind, "term", term,
		"error", cause)
}
