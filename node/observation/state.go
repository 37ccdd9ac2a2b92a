package observation

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// StateDiffers raises an alarm: the state of this node differs from that of a majority after a check entry.
func (r *Recorder) StateDiffers(term raft.Term, index raft.Index) {
	r.metrics.StateDiffers(true)
	r.stateAlarm(term, fmt.Sprintf("the state after entry %d differs from that of a majority of the members; this node "+
		"serves nothing before a snapshot from the leader has replaced it", index))
}

// StateRepaired records that a snapshot replaced the state that differed after a check entry.
func (r *Recorder) StateRepaired(term raft.Term, index, start raft.Index) {
	r.metrics.StateDiffers(false)
	self := r.observation.cfg.Self().ID
	text := fmt.Sprintf("the state that differed after entry %d is replaced by a snapshot of entry %d", index, start)
	r.observation.Record(api.Event{Kind: api.EventSnapshot, Term: uint64(term), To: uint64(self), Reason: text})
	r.observation.cfg.Logger.Info("a state that differed is repaired", "node", self, "check", index, "snapshot", start)
}

// StatesSplit raises an alarm: the states of the members differ, and no majority agrees.
func (r *Recorder) StatesSplit(term raft.Term, index raft.Index) {
	r.stateAlarm(term, fmt.Sprintf("the states of the members after entry %d differ, and no majority of them agrees; "+
		"nothing proves which is wrong, so this node goes on serving its own: compare backups of the members", index))
}

// RowDamaged raises an alarm: a scrub found a row on the disk that is not what was written.
func (r *Recorder) RowDamaged(term raft.Term, found error) {
	r.metrics.RowDamaged()
	cfg := &r.observation.cfg
	self := uint64(cfg.Self().ID)
	r.observation.Record(api.Event{
		Kind: api.EventAlarm, Term: uint64(term), From: self, To: self,
		Reason: found.Error() + "; it is replaced from memory",
	})
	cfg.Logger.Error("a scrub found damage", "node", self, "error", found)
}

// stateAlarm records an alarm about this node's state, and logs it.
func (r *Recorder) stateAlarm(term raft.Term, text string) {
	cfg := &r.observation.cfg
	self := uint64(cfg.Self().ID)
	r.observation.Record(api.Event{Kind: api.EventAlarm, Term: uint64(term), From: self, To: self, Reason: text})
	cfg.Logger.Error("the states of the members differ", "node", self, "term", term, "reason", text)
}
