package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

const (
	// handOverEvery is how often a leader whose disk is low may hand over because of that: its successor may run out of
	// room as well.
	handOverEvery = 10 * time.Second
	// saveCost is about what a save takes on the disk beside its entries, which are in the write-ahead log and in the
	// database.
	saveCost = 8 << 10
	// measureAgain is the part of the reserve that may be written before the disk is measured again, and mostUnmeasured
	// the most: the storage puts aside what may be written until then if another program takes all the rest.
	measureAgain   = 8
	mostUnmeasured = 4 << 20
)

// QuotaError is the refusal of a command because there is no room for what it adds, or for any command. It is an
// ErrQuotaExceeded.
type QuotaError struct{ message string }

// Error returns what is full, by how much, and what to do.
func (e *QuotaError) Error() string { return e.message }

// Unwrap makes it an ErrQuotaExceeded.
func (e *QuotaError) Unwrap() error { return ErrQuotaExceeded }

// keeper is what the loop keeps to decide whether this node takes what adds bytes (package room).
type keeper struct {
	state      room.State
	use        room.Use
	inFlight   room.InFlight
	handedOver time.Time
	told       time.Time // when the alarms were set last
}

// diskSpace measures the disk, apart from the loop: a dead disk may not answer.
type diskSpace struct {
	measured atomic.Pointer[measurement]
	written  atomic.Int64  // about, by the loop, since the start
	again    chan struct{} // receives a value when much was written since the measurement
}

// measurement is what the disk had when so much was written.
type measurement struct {
	disk    api.Disk
	files   snapshot.Files
	written int64
}

// freeSpace is what is free when the loop has written so much.
type freeSpace struct{ bytes, written int64 }

func newDiskSpace() *diskSpace {
	d := &diskSpace{again: make(chan struct{}, 1)}
	d.measured.Store(&measurement{disk: api.Disk{FreeBytes: -1}})
	return d
}

// sizes returns the sizes of the last measurement, for the status.
func (d *diskSpace) sizes() api.Disk {
	sizes := d.measured.Load().disk
	sizes.FreeBytes = max(sizes.FreeBytes, 0)
	return sizes
}

// now returns a bound of what is free now: all that the loop wrote since the measurement counts as lost. It is negative
// if that is unknown.
func (d *diskSpace) now() freeSpace {
	m, written := d.measured.Load(), d.written.Load()
	return freeSpace{bytes: room.After(m.disk.FreeBytes, written-m.written), written: written}
}

// wrote counts a save, and has the disk measured again if a good part of the reserve may be gone.
func (d *diskSpace) wrote(entries []raft.Entry, reserve int64) {
	bytes := int64(saveCost)
	for i := range entries {
		bytes += written(entries[i].Command)
	}
	if reserve > 0 && d.written.Add(bytes)-d.measured.Load().written > min(reserve/measureAgain, mostUnmeasured) {
		select {
		case d.again <- struct{}{}:
		default:
		}
	}
}

// measure asks for the sizes on the disk.
func (d *diskSpace) measure(o *Options) {
	written := d.written.Load() // before, so that nothing is missed
	d.measured.Store(&measurement{disk: o.DiskSizes(), files: o.StateFiles(), written: written})
}

// measureDisk measures the disk now and then.
func (n *Node) measureDisk() {
	for {
		n.space.measure(&n.cfg)
		if n.sched.Wait(2*slowStatusEvery, scheduler.Signals{n.ended, n.space.again}) == 0 {
			return
		}
	}
}

// takeStock finds out what this node uses now.
func (l *loop) takeStock() {
	k := &l.keeper
	k.inFlight.Applied(l.node.applier.index.Load()) // before the live bytes are read, which have them
	free, files, unsaved := l.node.space.now(), l.node.space.measured.Load().files, l.node.applier.unsavedNow.Load()
	k.use = room.Use{
		Live: l.node.applier.liveBytes.Load(), InFlight: k.inFlight.Bytes(), Free: free.bytes, Owed: files.Owed,
	}
	inFlight := kv.Volume{Records: k.inFlight.Entries(), Made: k.inFlight.Bytes()}
	if l.node.checkpointer.damaged.Load() {
		k.use.Unsaved = unsaved.wholeRoom(files, inFlight)
	} else {
		k.use.Unsaved, k.use.Reusable = unsaved.room(files, inFlight, free)
	}
}

// keepRoom judges the room of this node, and sets the state of the disk in the core, and the alarms.
func (l *loop) keepRoom() {
	l.takeStock()
	k := &l.keeper
	l.node.applier.press(l.cfg.Room.MustSave(k.use))
	next := k.state.Next(l.cfg.Room, k.use)
	changed := next != k.state
	k.state = next
	l.core.SetDisk(raft.DiskState(next.Disk))
	if now := l.sched.Now(); changed || next != (room.State{}) && now.Sub(k.told) >= slowStatusEvery {
		k.told = now
		l.setAlarms()
	}
}

// setAlarms sets the alarms of the quota and of the disk.
func (l *loop) setAlarms() {
	k, o := &l.keeper, l.node.observation
	quota := [...]api.AlarmLevel{api.AlarmCleared, api.AlarmWarning, api.AlarmExceeded}[k.state.Quota]
	o.SetAlarm(api.AlarmQuota, quota, k.state.QuotaText(l.cfg.Room, k.use))
	disk := [...]api.AlarmLevel{api.AlarmCleared, api.AlarmLow, api.AlarmFull}[k.state.Disk]
	o.SetAlarm(api.AlarmDisk, disk, k.state.DiskText(l.cfg.Room, k.use))
}

// track counts what entries may add that were appended to the log.
func (k *keeper) track(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	growth := int64(0)
	for i := range entries {
		if entries[i].Type == raft.EntryCommand {
			growth += kv.Growth(entries[i].Command)
		}
	}
	k.inFlight.Add(uint64(entries[0].Index), uint64(entries[len(entries)-1].Index), growth)
}

// isBlocked reports whether this leader takes no commands at all: its own disk has no room for them, or the disks of so
// many others have none that they could not be committed.
func (l *loop) isBlocked() bool {
	return l.keeper.state.Disk == room.DiskFull || !l.core.QuorumTakes(raft.DiskLow)
}

// admit returns the proposals that this leader has room for, and refuses the others. It is where every door decides,
// also for what was forwarded. Each proposal is judged with those before it. A caretaker judges none: that its disk has
// no room must not hide that nothing else helps, either.
func (l *loop) admit(proposals []proposal) []proposal {
	if l.standing.Role != raft.Leader || l.core.Differs() || len(proposals) == 0 || l.handOverForRoom() {
		return proposals // the core refuses them, and they are tried where there is a leader
	}
	k, kept := &l.keeper, proposals[:0]
	use, othersTake, othersGrow := k.use, l.core.QuorumTakes(raft.DiskLow), l.core.QuorumTakes(raft.DiskOK)
	for _, p := range proposals {
		state := k.state.Next(l.cfg.Room, use)
		takes := othersTake && state.Disk != room.DiskFull
		grows := othersGrow && state.Grows()
		if !takes || !grows && kv.MayGrow(p.command) {
			p.call.finish(p.slot, Outcome{Err: l.refusal(state, use, othersGrow)})
			continue
		}
		use.InFlight += kv.Growth(p.command)
		use.Unsaved += roomOf(kv.Growth(p.command))
		use.Free = room.After(use.Free, written(p.command))
		kept = append(kept, p)
	}
	return kept
}

// fits reports whether the disk has room for the entries of a request, beside what it keeps for votes and beside those
// of the requests before it in this pass, and for the checkpoint of what they add. If not, the core takes none of them,
// as if the disk was full.
func (l *loop) fits(m *raft.Message) bool {
	k, bytes, added := &l.keeper, int64(0), int64(0)
	for i := range m.Entries {
		bytes += written(m.Entries[i].Command)
		if m.Entries[i].Type == raft.EntryCommand {
			added += roomOf(kv.Growth(m.Entries[i].Command))
		}
	}
	use := k.use
	use.Free = room.After(use.Free, bytes)
	use.Unsaved += added
	if k.state.Next(l.cfg.Room, use).Disk == room.DiskFull || added > 0 && !l.cfg.Room.MayAdd(use) {
		return false
	}
	k.use = use
	return true
}

// written returns about how many bytes of the disk a command takes: in the write-ahead log, and in the database.
func written(command []byte) int64 { return 2 * int64(len(command)) }

// refusal returns why there is no room: the disk, of this node or of others, or the quota.
func (l *loop) refusal(state room.State, use room.Use, othersGrow bool) error {
	self := l.node.self().ID
	switch {
	case state.Disk != room.DiskOK:
		return &QuotaError{fmt.Sprintf("the disk is low: node %d %s", self, state.DiskText(l.cfg.Room, use))}
	case !othersGrow:
		return &QuotaError{"the disk is low: most members have less free than their reserve (--disk-reserve-bytes) and " +
			"take nothing that adds data: free some space, or grow the volumes"}
	}
	return &QuotaError{fmt.Sprintf("the quota is exceeded: node %d %s", self, state.QuotaText(l.cfg.Room, use))}
}

// handOverForRoom reports whether the leadership is being transferred because this node's disk is low. It begins a
// transfer if there is a follower with room, at most once in a while. A caretaker was elected because no other node
// could be, and would step down if the transfer failed: it begins none.
func (l *loop) handOverForRoom() bool {
	k := &l.keeper
	if k.state.Disk == room.DiskOK || l.standing.Role != raft.Leader || l.core.Differs() {
		return false
	}
	status := l.core.Status()
	now := l.sched.Now()
	if status.TransferTarget != 0 || !k.handedOver.IsZero() && now.Sub(k.handedOver) < handOverEvery {
		return status.TransferTarget != 0
	}
	to := raft.SuccessorWithRoom(status, 3*l.cfg.ticks(l.cfg.HeartbeatInterval))
	if to == 0 || l.core.TransferLeadership(to) != nil {
		return false
	}
	k.handedOver = now
	l.cfg.Logger.Info("the disk is low: handing over the leadership", "node", l.node.self().ID, "to", to)
	return true
}
