package room

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// Limits are the limits of a node.
type Limits struct {
	Quota   int64 // of the live bytes; 0: none
	Reserve int64 // of the free bytes of the disk; 0: none
}

// Use is what a node has measured.
type Use struct {
	Live     int64 // bytes of the keys and values that exist, as kv.Stats counts them
	InFlight int64 // a bound of what the entries add that are in the log and not applied
	Free     int64 // of the disk; negative: unknown
	Unsaved  int64 // of the free bytes, what the next checkpoint will take
	Owed     int64 // the part of that which the last ones will take yet, and which another one does not end
	Reusable int64 // bytes inside the file of the state that hold nothing after that: what is added uses them first
}

// Quota is how far the quota is used.
type Quota uint8

// The levels of the quota.
const (
	QuotaOK Quota = iota
	QuotaWarning
	QuotaExceeded
)

// Disk is how much of the disk is left.
type Disk uint8

// The levels of the disk.
const (
	DiskOK Disk = iota
	// DiskLow: less than the reserve is free, which is for what must be written to work at all.
	DiskLow
	// DiskFull: less than a part of the reserve is free; the rest is for votes.
	DiskFull
)

// The marks of the levels, and of what makes a checkpoint due, in percent: of the quota, and of the reserve. A level
// ends at another mark than it begins, so that it does not come and go with each write.
const (
	warnAt       = 80
	warnUntil    = 75
	exceedAt     = 100
	exceedUntil  = 95
	lowUntil     = 125
	fullAt       = 25
	fullUntil    = 40
	reuseAt      = 75
	reuseUntil   = 85
	saveAt       = 6
	saveUntil    = 200
	addUntil     = 63
	wholePercent = 100
)

// State is what a node has decided last; the zero value is that of a node with room.
type State struct {
	Quota Quota
	Disk  Disk
}

// Next returns the state that follows from what was measured.
func (s State) Next(l Limits, u Use) State {
	return State{Quota: s.Quota.next(l.Quota, u.Live+u.InFlight), Disk: s.Disk.next(l.Reserve, u)}
}

func (q Quota) next(quota, used int64) Quota {
	switch {
	case quota <= 0:
		return QuotaOK
	case used >= part(quota, exceedAt), q == QuotaExceeded && used >= part(quota, exceedUntil):
		return QuotaExceeded
	case used >= part(quota, warnAt), q != QuotaOK && used >= part(quota, warnUntil):
		return QuotaWarning
	}
	return QuotaOK
}

// next returns the level that follows. What the next checkpoint will take is not free: if it was given away, there
// would be no checkpoint. What deletes leave inside the file of the state is never given back to the disk, so it counts
// as room, half of it, because a checkpoint of what is added may come before that of what is deleted. Most of the
// reserve must be free on the disk itself all the same: checkpoints need it.
func (d Disk) next(reserve int64, u Use) Disk {
	switch {
	case reserve <= 0:
		return DiskOK
	case u.Free < 0:
		return d // a disk that does not answer has not changed
	case u.Free < part(reserve, fullAt), d == DiskFull && u.Free < part(reserve, fullUntil):
		return DiskFull
	}
	enough, most := reserve, part(reserve, reuseAt)
	if d != DiskOK {
		enough, most = part(reserve, lowUntil), part(reserve, reuseUntil)
	}
	free := After(u.Free, u.Unsaved)
	if free >= most {
		free += u.Reusable / 2
	}
	if free < enough {
		return DiskLow
	}
	return DiskOK
}

// MustSave reports whether a checkpoint is due because of what it will take: beside that the disk has not much more
// than the reserve. If it waited, puts would be refused that have room after it.
func (l Limits) MustSave(u Use) bool {
	return l.Reserve > 0 && u.Free >= 0 && u.Unsaved-u.Owed > part(l.Reserve, saveAt) &&
		After(u.Free, u.Unsaved) < part(l.Reserve, saveUntil)
}

// MayAdd reports whether what adds bytes may be appended because others did: its checkpoint leaves half of the reserve,
// and more than that, because it is an estimate. What removes bytes may always be, because it frees the room.
func (l Limits) MayAdd(u Use) bool {
	return l.Reserve <= 0 || u.Free < 0 || After(u.Free, u.Unsaved) >= part(l.Reserve, addUntil)
}

// part returns some percent of a limit, without overflow.
func part(limit, percent int64) int64 {
	return limit/wholePercent*percent + limit%wholePercent*percent/wholePercent
}

// After returns what is free after so much more was written; negative: unknown.
func After(free, written int64) int64 {
	if free < 0 {
		return free
	}
	return max(0, free-written)
}

// Grows reports whether a node in the state takes what adds bytes.
func (s State) Grows() bool { return s.Quota != QuotaExceeded && s.Disk == DiskOK }

// QuotaText describes the use of the quota, as a sentence of which the node is the subject.
func (s State) QuotaText(l Limits, u Use) string {
	holds := fmt.Sprintf("holds %s of its quota of %s (--quota-bytes)", size(u.Live+u.InFlight), size(l.Quota))
	switch s.Quota {
	case QuotaWarning:
		return holds + "; at 100% it refuses what adds data: delete keys, or raise the quota"
	case QuotaExceeded:
		return fmt.Sprintf("%s; it refuses what adds data until it holds less than %s: delete keys, or raise the quota",
			holds, size(part(l.Quota, exceedUntil)))
	}
	return holds
}

// DiskText describes the disk, as a sentence of which the node is the subject.
func (s State) DiskText(l Limits, u Use) string {
	has := fmt.Sprintf("has %s free on the disk of its data directory, and keeps a reserve of %s (--disk-reserve-bytes)",
		size(u.Free), size(l.Reserve))
	if u.Unsaved > 0 {
		has += fmt.Sprintf("; the next checkpoint takes %s", size(u.Unsaved))
	}
	if u.Reusable > 0 {
		has += fmt.Sprintf("; state.db has %s unused", size(u.Reusable))
	}
	switch s.Disk {
	case DiskLow:
		return fmt.Sprintf("%s; it refuses what adds data until %s are free: delete keys, free some space, or grow the "+
			"volume", has, size(part(l.Reserve, lowUntil)))
	case DiskFull:
		return fmt.Sprintf("%s; it takes no entries until %s are free: free some space, or grow the volume", has,
			size(part(l.Reserve, fullUntil)))
	}
	return has
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }
