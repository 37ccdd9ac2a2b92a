package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
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
	// StateError is the chance that something that is done with state.db or with a snapshot fails: a checkpoint may be
	// there after a crash all the same.
	StateError float64
	// StateSlow is the chance that a checkpoint takes up to StateSlowFor.
	StateSlow    float64
	StateSlowFor time.Duration
}

// What a disk counts, each time it happens.
const (
	writeError  = "write-error"
	syncError   = "sync-error"
	stalledDisk = "stall"
	slowDisk    = "slow-disk"
	tornWrite   = "torn-write"
	readError   = "read-error"
	stateError  = "state-error"
	slowState   = "slow-state"
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
	report reports
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

	// image is what a start would find in the journal.
	image image

	// state is state.db, as a start would find it. nextState is what a crash may leave in its place: it is being
	// written, or that failed.
	state, nextState *snapshottest.File
	replacing        bool
	stateDamaged     bool               // nothing can be read of it
	installing       *snapshottest.File // the snapshot whose installation began; nil: none
	Spoiled          bool               // state, or what was loaded from it, has a wrong value
	incoming         *incoming          // a part of a snapshot

	left   int64 // bytes that are free
	filled int   // how often it was made full

	Kept Housekeeping
}

// Housekeeping counts what was done to bound what a disk holds, and to bring a node up to date that needs what is gone.
type Housekeeping struct {
	Checkpoints int `json:"checkpoints"`
	Cuts        int `json:"cuts"`
	Reads       int `json:"log_reads"` // for followers that need what is no longer in memory
	Installs    int `json:"installs"`
}

// Add adds the counts of others.
func (h *Housekeeping) Add(more Housekeeping) {
	h.Checkpoints += more.Checkpoints
	h.Cuts += more.Cuts
	h.Reads += more.Reads
	h.Installs += more.Installs
}

// reports are what a disk calls with what it does; nil: nothing is called.
type reports struct {
	note    func(format string, args ...any)
	misused func(err error)
	sent    *sentCopies
}

func (d *disk) note(format string, args ...any) {
	if d.report.note != nil {
		d.report.note(format, args...)
	}
}

// misuse returns an error that wraps ErrMisused, and reports it: the node may ignore it.
func (d *disk) misuse(format string, args ...any) error {
	err := fmt.Errorf("%w: "+format, append([]any{ErrMisused}, args...)...)
	if d.report.misused != nil {
		d.report.misused(err)
	}
	return err
}

func newDisk(rng *rand.Rand, faults *DiskFaults, count func(fault string)) *disk {
	return &disk{rng: rng, Faults: faults, count: count, state: &snapshottest.File{}, left: endless}
}

// Durable returns what a start would find. The entries are shared, and read-only. It looks past flipped bits: what they
// damaged was durable all the same.
func (d *disk) Durable() (raft.HardState, raft.Log) {
	if d.IsAhead() {
		state := d.image.state
		state.Commit = d.state.Start.Index
		return state, raft.Log{Start: d.state.Start}
	}
	log := d.image.log
	log.Entries = slices.Clip(log.Entries)
	return d.image.state, log
}

// Checkpoint returns what a start would find in state.db.
func (d *disk) Checkpoint() *snapshottest.File { return d.state }

// Received returns how many bytes of a snapshot are on the disk.
func (d *disk) Received() int {
	if d.incoming == nil {
		return 0
	}
	return len(d.incoming.data)
}

// IsAhead reports whether state.db stands for a position that the log does not have: a snapshot was being installed,
// and a start resets the log.
func (d *disk) IsAhead() bool {
	start := &d.state.Start
	return start.Index > d.image.log.Start.Index && !d.image.holds(start)
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
	if d.nextState != nil && d.rng.IntN(2) == 0 {
		d.state = d.nextState
	}
	d.nextState, d.replacing = nil, false
	d.incoming = d.afterCrash(d.incoming)
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
	kept, report, filled := d.Kept, d.report, d.filled
	*d = *newDisk(d.rng, d.Faults, d.count)
	d.Kept, d.report, d.filled = kept, report, filled+1
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

// DamageState makes state.db unreadable, as a flipped bit does, and reports whether there was one. It leaves one alone
// that the log must be reset to.
func (d *disk) DamageState() bool {
	if d.state.Start.Index == 0 || d.nextState != nil || d.replacing || d.installing != nil || d.IsAhead() {
		return false
	}
	d.state, d.stateDamaged = &snapshottest.File{}, true
	return true
}

// SpoilState gives a key in state.db another value, which no checksum shows, and reports whether there was one.
func (d *disk) SpoilState() bool {
	keys := d.state.Keys()
	if len(keys) == 0 || d.nextState != nil || d.replacing {
		return false
	}
	d.state = d.state.Spoiled(keys[d.rng.IntN(len(keys))], []byte("0"))
	d.Spoiled = true
	return true
}

// StateDiffers reports whether a start would find that the state is not that of the others.
func (d *disk) StateDiffers() bool {
	fact := d.image.facts[snapshot.FactStateDiffers]
	return fact != "" && fact != "0"
}

// LogFrom returns the index after which the log on the disk begins.
func (d *disk) LogFrom() raft.Index { return d.image.log.Start.Index }

// Committed returns the commit index on the disk.
func (d *disk) Committed() raft.Index { return d.image.state.Commit }

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
