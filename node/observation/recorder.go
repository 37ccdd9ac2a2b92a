package observation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// Standing is the part of a node's state whose changes are events.
type Standing struct {
	Role   raft.Role
	Term   raft.Term
	Leader raft.NodeID // 0: none known
}

// Recorder turns what the loop of a node reports into events, metrics and log lines: elections, votes and refused
// messages. It is not safe for concurrent use: the loop owns it.
type Recorder struct {
	observation *Observation
	metrics     *metrics.Metrics

	campaign time.Time // when the first campaign since there was a leader began; zero: there was none
	votesIn  raft.Term
	votes    []uint64               // for this node in that term
	alarms   map[alarmKey]time.Time // when each was raised last
	split    raft.Index             // a check entry after which the states differ, and no majority agrees; 0: none
}

// NewRecorder returns a Recorder for the loop of the node that o belongs to.
func NewRecorder(o *Observation, m *metrics.Metrics) *Recorder {
	return &Recorder{observation: o, metrics: m, alarms: map[alarmKey]time.Time{}}
}

// Changed records that the node's standing is another one than before. reason is why it has its role.
func (r *Recorder) Changed(before, now Standing, reason string) {
	if now.Term != before.Term {
		r.observation.Record(api.Event{Kind: api.EventTerm, Term: uint64(now.Term)})
	}
	if now.Role != before.Role || (now.Term != before.Term && now.Role != raft.Follower) {
		r.changedRole(before, now, reason)
	}
	if now.Leader != 0 && now.Leader != before.Leader {
		r.campaign = time.Time{}
		r.metrics.LeaderChanged()
	}
}

func (r *Recorder) changedRole(before, now Standing, reason string) {
	cfg := &r.observation.cfg
	cfg.Logger.Info("role", "node", cfg.Self().ID, "role", now.Role.String(), "was", before.Role.String(),
		"term", now.Term, "reason", reason)
	if before.Role == raft.Leader {
		r.observation.ledSince.Store(nil)
		r.observation.Record(api.Event{Kind: api.EventSteppedDown, Term: uint64(now.Term), Reason: reason})
	}
	event := api.Event{Kind: api.EventRole, Term: uint64(now.Term), Role: now.Role.String(), Reason: reason}
	event.PreVote = now.Role == raft.PreCandidate
	r.observation.Record(event)
	switch now.Role {
	case raft.PreCandidate, raft.Candidate:
		if r.campaign.IsZero() {
			r.campaign = cfg.Scheduler.Now()
		}
		r.metrics.ElectionStarted(now.Role == raft.PreCandidate)
	case raft.Leader:
		r.wonElection(now.Term)
	}
}

func (r *Recorder) wonElection(term raft.Term) {
	self, now := uint64(r.observation.cfg.Self().ID), r.observation.cfg.Scheduler.Now()
	r.observation.ledSince.Store(&now)
	votes := []uint64{self}
	if r.votesIn == term {
		votes = append(votes, r.votes...)
	}
	slices.SortFunc(votes, cmp.Compare)
	event := api.Event{Kind: api.EventElected, Term: uint64(term), From: self, Votes: slices.Compact(votes)}
	if !r.campaign.IsZero() {
		event.DurationMs = now.Sub(r.campaign).Milliseconds()
	}
	r.observation.Record(event)
	r.metrics.ElectionWon()
}

// Sent records the votes that leave this node, requested and granted.
func (r *Recorder) Sent(m *raft.Message) {
	self := uint64(r.observation.cfg.Self().ID)
	switch m.Type {
	case raft.MsgRequestVote:
		r.observation.Record(api.Event{
			Kind: api.EventVoteAsked, Term: uint64(m.Term), From: self, To: uint64(m.To), PreVote: m.PreVote,
		})
	case raft.MsgRequestVoteResponse:
		r.observation.Record(api.Event{
			Kind: api.EventVote, Term: uint64(m.Term), From: self, To: uint64(m.To), PreVote: m.PreVote,
			Granted: m.VoteGranted,
		})
	}
}

// SnapshotSent records that a follower has installed a snapshot of this node, or the error that ended the attempt.
func (r *Recorder) SnapshotSent(term raft.Term, to raft.NodeID, index raft.Index, took time.Duration, err error) {
	self := r.observation.cfg.Self().ID
	event := api.Event{
		Kind: api.EventSnapshot, Term: uint64(term), From: uint64(self), To: uint64(to), DurationMs: took.Milliseconds(),
		Reason: fmt.Sprintf("node %d installed the state of entry %d", to, index),
	}
	if err != nil {
		event.Reason = fmt.Sprintf("node %d did not install a snapshot, which is tried again: %v", to, err)
		r.metrics.SnapshotFailed()
	} else {
		r.metrics.SnapshotSent()
	}
	r.observation.cfg.Logger.Info("snapshot", "node", self, "to", to, "took", took, "result", event.Reason)
	r.observation.Record(event)
}

// SnapshotInstalled records that this node has installed a snapshot.
func (r *Recorder) SnapshotInstalled(term raft.Term, from raft.NodeID, index raft.Index) {
	self := r.observation.cfg.Self().ID
	r.metrics.SnapshotInstalled()
	r.observation.cfg.Logger.Info("installed a snapshot", "node", self, "from", from, "entry", index)
	r.observation.Record(api.Event{
		Kind: api.EventSnapshot, Term: uint64(term), From: uint64(from), To: uint64(self),
		Reason: fmt.Sprintf("installed the state of entry %d", index),
	})
}

// Received remembers which members voted for this node.
func (r *Recorder) Received(m *raft.Message) {
	if m.Type != raft.MsgRequestVoteResponse || !m.VoteGranted || m.PreVote {
		return
	}
	if r.votesIn != m.Term {
		r.votesIn, r.votes = m.Term, nil
	}
	r.votes = append(r.votes, uint64(m.From))
}

// Reconfigured records that another configuration is in force than before, or that it is committed now.
func (r *Recorder) Reconfigured(term raft.Term, before *raft.Configuration, now *raft.Membership) {
	cfg := &r.observation.cfg
	index := now.Configuration.Index
	reason := fmt.Sprintf("the configuration of entry %d is in force: %s", index, describeMembers(&now.Configuration))
	if before.Same(now.Configuration) {
		if now.Committed != index {
			return
		}
		reason = fmt.Sprintf("the configuration of entry %d is committed", index)
	}
	cfg.Logger.Info("members", "node", cfg.Self().ID, "term", term, "entry", index, "reason", reason)
	r.observation.Record(api.Event{Kind: api.EventConfig, Term: uint64(term), Reason: reason})
}

// describeMembers lists the members of a configuration by their roles.
func describeMembers(cfg *raft.Configuration) string {
	var parts []string
	for role := raft.Voter; role <= raft.Leaving; role++ {
		var ids []raft.NodeID
		for _, m := range cfg.Members {
			if m.Role == role {
				ids = append(ids, m.ID)
			}
		}
		if len(ids) > 0 {
			parts = append(parts, fmt.Sprintf("%s %v", role, ids))
		}
	}
	if cfg.Joint() {
		parts = append(parts, fmt.Sprintf("outgoing voters %v", cfg.Outgoing))
	}
	return strings.Join(parts, ", ")
}
