package observation

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// StateDiffers raises an alarm: the state of this node differs from that of a majority after a check entry, or its file
// was damaged when the node started.
func (r *Recorder) StateDiffers(index raft.Index, damage error) {
	r.metrics.StateDiffers(true)
	why := fmt.Sprintf("differs from that of a majority since entry %d", index)
	if damage != nil {
		r.metrics.RowDamaged()
		why = fmt.Sprintf("was damaged on the disk (%v)", damage)
	}
	r.observation.SetAlarm(api.AlarmState, api.AlarmDiffers,
		"has a state that "+why+"; it serves nothing, and waits for a snapshot from the leader")
}

// StateRepaired clears the alarm: a snapshot replaced the state that differed, or was missing, after an entry.
func (r *Recorder) StateRepaired(index, start raft.Index) {
	r.metrics.StateDiffers(false)
	r.split = 0
	r.observation.SetAlarm(api.AlarmState, api.AlarmCleared, fmt.Sprintf("has replaced the state that was wrong at "+
		"entry %d by a snapshot of entry %d", index, start))
}

// CheckpointDamaged raises an alarm: the checkpoint on the disk is not what was written, and memory has what was.
func (r *Recorder) CheckpointDamaged(found error) {
	r.metrics.RowDamaged()
	r.observation.SetAlarm(api.AlarmState, api.AlarmWarning,
		found.Error()+"; what this node serves is right, and the file is written anew from memory")
}

// CheckpointRewritten clears the alarm.
func (r *Recorder) CheckpointRewritten() {
	r.checkpointWhole("has written the damaged checkpoint anew")
}

// CheckpointReplaced clears the alarm.
func (r *Recorder) CheckpointReplaced() {
	r.checkpointWhole("has replaced the damaged checkpoint by a snapshot")
}

// checkpointWhole ends the alarm of a damaged checkpoint. That of split states stays.
func (r *Recorder) checkpointWhole(message string) {
	if r.split != 0 {
		r.StatesSplit(r.split)
		return
	}
	r.observation.SetAlarm(api.AlarmState, api.AlarmCleared, message)
}

// StatesSplit raises an alarm: the states of the members differ, and no majority agrees.
func (r *Recorder) StatesSplit(index raft.Index) {
	r.split = index
	r.observation.SetAlarm(api.AlarmState, api.AlarmWarning, fmt.Sprintf("has another state than another member after "+
		"entry %d, and no majority agrees; nothing proves which is wrong, so it goes on serving its own: compare backups "+
		"of the members, and stop the one that is wrong, until the others agree", index))
}

// StatesAgree clears the alarm: a majority has the state of this node after a check entry. That of a damaged checkpoint
// stays.
func (r *Recorder) StatesAgree(index raft.Index, damaged bool) {
	r.split = 0
	if damaged {
		return
	}
	r.observation.SetAlarm(api.AlarmState, api.AlarmCleared, fmt.Sprintf("has the state of a majority after entry %d",
		index))
}

// EntryDamaged records that a scrub found an entry on the disk that is not what was written.
func (r *Recorder) EntryDamaged(term raft.Term, found error) {
	r.metrics.RowDamaged()
	cfg := &r.observation.cfg
	self := uint64(cfg.Self().ID)
	r.observation.Record(api.Event{
		Kind: api.EventAlarm, Term: uint64(term), From: self, To: self,
		Reason: found.Error() + "; the log is cut behind it when the checkpoint includes it",
	})
	cfg.Logger.Error("a scrub found damage", "node", self, "error", found)
}
