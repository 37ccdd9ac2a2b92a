package observation

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// StateDiffers raises an alarm: the state of this node differs from that of a majority after a check entry.
func (r *Recorder) StateDiffers(index raft.Index) {
	r.metrics.StateDiffers(true)
	r.observation.SetAlarm(api.AlarmState, api.AlarmDiffers, fmt.Sprintf("has a state that differs from that of a "+
		"majority since entry %d; it serves nothing, and waits for a snapshot from the leader", index))
}

// StateRepaired clears the alarm: a snapshot replaced the state that differed after a check entry.
func (r *Recorder) StateRepaired(index, start raft.Index) {
	r.metrics.StateDiffers(false)
	r.observation.SetAlarm(api.AlarmState, api.AlarmCleared, fmt.Sprintf("has replaced the state that differed after "+
		"entry %d by a snapshot of entry %d", index, start))
}

// StatesSplit raises an alarm: the states of the members differ, and no majority agrees.
func (r *Recorder) StatesSplit(index raft.Index) {
	r.observation.SetAlarm(api.AlarmState, api.AlarmWarning, fmt.Sprintf("has another state than another member after "+
		"entry %d, and no majority agrees; nothing proves which is wrong, so it goes on serving its own: compare backups "+
		"of the members", index))
}

// StatesAgree clears the alarm: a majority has the state of this node after a check entry.
func (r *Recorder) StatesAgree(index raft.Index) {
	r.observation.SetAlarm(api.AlarmState, api.AlarmCleared, fmt.Sprintf("has the state of a majority after entry %d",
		index))
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
