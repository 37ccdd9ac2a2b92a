package engine

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// DiskFaults is how often each fault of a disk happens, as a chance between 0 and 1 on each occasion, and how long
// things take. It may change while the disk is in use.
type DiskFaults struct {
	// Error is the chance that a write fails. What was to be written may be there after a crash, or not, or torn.
	Error float64
	// SyncFails is the chance that an fsync fails. What it should have synced may be durable or not, and another
	// fsync that succeeds does not change that (trap T53).
	SyncFails float64
	// Stall is the chance that a save hangs for StallFor.
	Stall    float64
	StallFor time.Duration
	// Slow is the chance that a save takes many times its latency.
	Slow float64
	// Latency is about how long a save takes, with its fsync.
	Latency time.Duration
	// Unreadable is the chance that a read at a start fails. The bytes are well.
	Unreadable float64
	// Torn is the chance that of a write that was not synced a crash leaves a part, rather than all or nothing.
	Torn float64
}

// What a disk counts, each time it happens.
const (
	writeError  = "write-error"
	syncError   = "sync-error"
	stalledDisk = "stall"
	slowDisk    = "slow-disk"
	tornWrite   = "torn-write"
	readError   = "read-error"
)

// A disk holds the journal of one node over all its runs. The bytes are the truth, and a start reads nothing else;
// the rest is kept beside them, so that the checkers can ask after every step what is durable.
//
// The model: a save appends one frame to the journal, which the disk's cache takes at once, and then syncs it. A crash
// leaves what was synced. Of the frame after that it leaves all, nothing or a part, by chance.
type disk struct {
	rng    *rand.Rand
	Faults *DiskFaults
	count  func(fault string)
	life   *storage      // who has it open
	Takes  time.Duration // of the save in progress; 0: there is none

	journal []byte
	// synced is how much of the journal was synced. At most one frame, that of unsynced, lies after it.
	synced   int
	unsynced record
	// last is where the last frame that is durable starts.
	last int
	// lost are the frames that failed fsyncs did not write, though the cache shows them: the first byte that is
	// missing, and the one after the last. They read well until a crash.
	lost [][2]int
	// hole: something is missing before the end for good. flipped: a bit of a durable frame flipped. No start takes
	// this disk again.
	hole, flipped bool

	// image is what a start would find.
	image image
}

func newDisk(rng *rand.Rand, faults *DiskFaults, count func(fault string)) *disk {
	return &disk{rng: rng, Faults: faults, count: count}
}

// Durable returns what a start would find. The entries are shared, and read-only. It looks past flipped bits: what they
// damaged was durable all the same.
func (d *disk) Durable() (raft.HardState, raft.Log) {
	log := d.image.log
	log.Entries = slices.Clip(log.Entries)
	return d.image.state, log
}

// open begins a life of a process with this disk, and ends the one before as crash does, if that is not yet done.
// pass lets simulated time go by inside of an operation. It may end the flow of control by a panic, for a process
// that is killed there.
func (d *disk) open(pass func(time.Duration)) *storage {
	d.crash()
	d.life = &storage{disk: d, pass: pass}
	return d.life
}

// crash ends the life of the process, as kill -9 or a loss of power does.
func (d *disk) crash() {
	d.life = nil
	if len(d.journal) > d.synced {
		d.settleUnsynced()
	}
	for _, part := range d.lost {
		spoil(d.journal[part[0]:part[1]])
		if part[1] < len(d.journal) { // else nothing comes after it, and the next start cuts it off
			d.hole = true
		}
	}
	d.lost = nil
}

// settleUnsynced decides what a crash leaves of the frame that was not synced.
func (d *disk) settleUnsynced() {
	size := len(d.journal) - d.synced
	switch {
	case d.happens(d.Faults.Torn, tornWrite):
		keep := d.synced + 1 + d.rng.IntN(size-1)
		if keep >= d.synced+frameHead && d.rng.IntN(2) == 0 {
			spoil(d.journal[keep:]) // the file grew, but its blocks hold what was in them before
		} else {
			d.journal = d.journal[:keep]
		}
		d.synced, d.unsynced = len(d.journal), record{}
	case d.rng.IntN(2) == 0:
		d.sync()
	default:
		d.journal, d.unsynced = d.journal[:d.synced], record{}
	}
}

// spoil makes sure that bytes are not what they were.
func spoil(bytes []byte) {
	for i := range bytes {
		bytes[i] ^= 0xff
	}
}

// wipe makes the disk an empty one.
func (d *disk) wipe() {
	*d = disk{rng: d.rng, Faults: d.Faults, count: d.count}
}

// FlipBit flips one bit of the journal, and reports whether there was one: the next start must refuse this disk. It
// leaves the last durable frame alone, and what comes after it: no log can distinguish damage there from a torn write.
func (d *disk) FlipBit() bool {
	if d.last == 0 {
		return false
	}
	bit := d.rng.IntN(8 * d.last)
	d.journal[bit/8] ^= 1 << (bit % 8)
	d.flipped = true
	return true
}

// happens draws whether a fault takes place on this occasion.
func (d *disk) happens(chance float64, fault string) bool {
	if chance <= 0 || d.rng.Float64() >= chance {
		return false
	}
	d.count(fault)
	return true
}

// write puts a record into the cache, in place of one that was not synced.
func (d *disk) write(r record) {
	d.journal = appendFrame(d.journal[:d.synced], r)
	d.unsynced = r
}

// sync makes durable what was written.
func (d *disk) sync() {
	if len(d.lost) == 0 && !d.hole {
		d.image.absorb(d.unsynced)
	} // else a start will refuse what comes after the hole
	d.last, d.synced, d.unsynced = d.synced, len(d.journal), record{}
	d.compact()
}

// failSync is a sync that fails. It may have done its work all the same.
func (d *disk) failSync() {
	if d.rng.IntN(2) == 0 {
		d.sync()
		return
	}
	missing := d.synced + frameHead + d.rng.IntN(len(d.journal)-d.synced-frameHead)
	d.lost = append(d.lost, [2]int{missing, len(d.journal)})
	d.synced, d.unsynced = len(d.journal), record{}
}

// read reads the journal at a start, and cuts off a torn end.
func (d *disk) read() (image, error) {
	m, good, err := readJournal(d.journal[:d.synced])
	if err != nil {
		return image{}, err
	}
	if good < d.synced {
		d.journal, d.synced = d.journal[:good], good
	}
	return m, nil
}

// A journal is made anew when it has compactAt times the size of its entries, and a bit that covers the rest.
const (
	compactAt    = 4
	compactSlack = 4096
)

// compact makes a journal that has grown long anew, in no time and safe from crashes: it stands for what any log does
// to stay bounded, and is not what is tested here. A damaged journal stays as it is, because this would mend it.
func (d *disk) compact() {
	if len(d.journal) > compactAt*d.image.size+compactSlack {
		d.rewrite()
	}
}

// rewrite makes the journal anew, as two frames, so that there is one that may be damaged.
func (d *disk) rewrite() {
	if d.flipped || d.hole || len(d.lost) > 0 || d.synced < len(d.journal) {
		return
	}
	fresh := make([]byte, 0, 2*d.image.size+compactSlack)
	fresh = appendFrame(fresh, record{d.image.state, d.image.log.Entries, d.image.facts})
	d.last = len(fresh)
	d.journal = appendFrame(fresh, record{state: d.image.state})
	d.synced = len(d.journal)
}

// latency draws how long a save takes, before it is durable and after.
func (d *disk) latency() (before, after time.Duration) {
	takes := d.Faults.Latency/2 + d.upTo(d.Faults.Latency)
	if d.happens(d.Faults.Slow, slowDisk) {
		takes *= time.Duration(5 + d.rng.IntN(46))
	}
	before = d.upTo(takes)
	after = takes - before
	if d.happens(d.Faults.Stall, stalledDisk) {
		if d.rng.IntN(2) == 0 {
			return before + d.Faults.StallFor, after
		}
		after += d.Faults.StallFor
	}
	return before, after
}

// upTo draws a part of a duration.
func (d *disk) upTo(limit time.Duration) time.Duration {
	return time.Duration(d.rng.Int64N(int64(limit) + 1))
}

// rangeOf returns a copy of up to limit durable entries, from index from on, or from the first on if that is later.
func (d *disk) rangeOf(from raft.Index, limit int) []raft.Entry {
	log := &d.image.log
	if from = max(from, log.Start.Index+1); from > log.Last() || limit <= 0 {
		return nil
	}
	entries := log.Entries[from-log.Start.Index-1:]
	return slices.Clone(entries[:min(len(entries), limit)])
}
