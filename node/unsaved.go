package node

import (
	"math"

	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// unsaved is what the state has that is not in the checkpoint on the disk.
type unsaved struct {
	all kv.Volume
	// taken is the part of it that is being written, to a disk that had free space before.
	taken  kv.Volume
	before freeSpace
	whole  kv.Volume // of the state, with what is saved
}

// room returns about how many bytes of the disk the next checkpoint will take, which has what is in flight too, and how
// many of the reusable ones it will leave. What was written of one that is not complete yet is no longer free; what the
// loop wrote meanwhile is none of it.
func (u *unsaved) room(files snapshot.Files, inFlight kv.Volume, free freeSpace) (takes, leaves int64) {
	takes, leaves = files.Room(u.all.Plus(inFlight))
	writing, _ := files.Room(u.taken)
	lost := u.before.bytes - free.bytes - (free.written - u.before.written)
	return takes - max(0, min(writing, takes, lost)), leaves
}

// wholeRoom is room while the checkpoint on the disk is damaged: the next one is a new file of everything, which has no
// use for what the present one has unused.
func (u *unsaved) wholeRoom(files snapshot.Files, inFlight kv.Volume) (takes int64) {
	takes, _ = snapshot.Files{Owed: files.Owed}.Room(u.whole.Plus(inFlight))
	return takes
}

// roomOf returns about how many bytes more the next checkpoint will take if an entry that adds so much is applied.
func roomOf(growth int64) (takes int64) {
	if growth > 0 {
		takes, _ = snapshot.Files{State: math.MaxInt64}.Room(kv.Volume{Records: 1, Made: growth})
	}
	return takes
}

// toSave are the changes that the next checkpoint writes. The applier's mu guards it.
type toSave struct {
	changes compaction.Changes
	volume  kv.Volume // of the store, without these changes
	// taken are the changes that are being written, and before is what was free on the disk before.
	taken       compaction.Changes
	takenVolume kv.Volume // of the store, with these
	before      freeSpace
}

// take makes the changes those that are being written.
func (s *toSave) take(volume kv.Volume, free freeSpace) {
	s.taken, s.changes = s.changes, compaction.Changes{}
	s.takenVolume, s.before = volume, free
}

// written ends the writing of what was taken: it is saved, or still to be saved.
func (s *toSave) written(saved bool) {
	if saved {
		s.volume = s.takenVolume
	} else {
		s.taken.Entries = max(1, s.taken.Entries+s.changes.Entries) // 1: the file is damaged, and nothing changed
		s.taken.Bytes += s.changes.Bytes
		s.changes = s.taken
	}
	s.taken, s.takenVolume = compaction.Changes{}, kv.Volume{}
}

// unsaved returns what is not saved of a store with so many changes.
func (s *toSave) unsaved(volume kv.Volume, stats kv.Stats) *unsaved {
	u := &unsaved{all: volume.Minus(s.volume), before: s.before}
	u.whole = kv.Volume{Records: int64(stats.Keys), Made: stats.LiveBytes + stats.HistoryBytes}
	if s.takenVolume != (kv.Volume{}) {
		u.taken = s.takenVolume.Minus(s.volume)
	}
	return u
}

// press makes a checkpoint due, or not, because the disk is nearly low.
func (a *applier) press(pressed bool) {
	if a.pressed.Swap(pressed) == pressed || !pressed {
		return
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}
