// Package snapshot has the types of the snapshots that nodes send to each other: copies of the checkpoint of the state
// machine with the position in the log that they stand for (paper, section 7).
package snapshot

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// ErrNoRoom reports that the disk has no room for a checkpoint or a snapshot. Nothing was changed, and there may be
// room later.
var ErrNoRoom = errors.New("there is no room on the disk")

// FactStateDiffers is the fact of a node whose state differs from that of the others, or is missing because its file
// was damaged: the index of the check entry that showed it, or that before the first entry of the log; "0" or absent:
// it does not. While it is set, a snapshot may replace a state that is newer.
const FactStateDiffers = "state_differs"

// ErrDamagedState reports that the checkpoint on the disk is not what was written, or cannot be read.
var ErrDamagedState = errors.New("the checkpoint is damaged")

// ErrDamagedLog reports that an entry on the disk is not what was written.
var ErrDamagedLog = errors.New("an entry of the log is damaged")

// MaxChunkBytes is the maximum length of Chunk.Data.
const MaxChunkBytes = 1 << 20

// Description identifies a snapshot, and has what a receiver needs before it takes the first byte.
type Description struct {
	ID    string            // of this copy: two copies of one state have different ids
	Size  int64             // bytes
	Sum   [sha256.Size]byte // of all of it
	Start raft.LogStart     // the position that the state stands for: the last included entry
}

// Chunk is a part of a snapshot, sent by a leader (paper, figure 13). Chunks are idempotent: a receiver that has the
// bytes ignores them (trap T36).
type Chunk struct {
	Description
	Term   raft.Term // of the sender, which leads it
	From   raft.NodeID
	Offset int64
	Data   []byte // at most MaxChunkBytes
}

// Last reports whether the chunk ends the snapshot.
func (c *Chunk) Last() bool { return c.Offset+int64(len(c.Data)) == c.Size }

// Check returns an error if no correct leader can have sent the chunk.
func (c *Chunk) Check() error {
	switch {
	case c.Offset < 0 || c.Size <= 0 || c.Offset > c.Size || int64(len(c.Data)) > c.Size-c.Offset:
		return fmt.Errorf("snapshot: bytes %d to %d do not fit a snapshot of %d bytes",
			c.Offset, c.Offset+int64(len(c.Data)), c.Size)
	case len(c.Data) > MaxChunkBytes:
		return fmt.Errorf("snapshot: a chunk has %d bytes; the maximum is %d", len(c.Data), MaxChunkBytes)
	case c.ID == "" || c.Start.Index == 0 || c.Start.Term == 0 || c.Start.Term > c.Term || c.From == 0:
		return fmt.Errorf("snapshot: a chunk needs an id, a sender, and the index and term of the last included entry, "+
			"of a term up to the sender's; it has %q, %d, %d, %d and %d", c.ID, c.From, c.Start.Index, c.Start.Term, c.Term)
	case c.Start.Configuration.Index > c.Start.Index:
		return fmt.Errorf("snapshot: the configuration of entry %d is not in a snapshot that ends at entry %d",
			c.Start.Configuration.Index, c.Start.Index)
	case c.Start.Configuration.Index > 0:
		return c.Start.Configuration.Validate()
	}
	return nil
}

// Answer is the answer to a chunk.
type Answer struct {
	Term raft.Term // of the receiver; a higher one than the chunk's makes the sender step down
	// Offset is where the receiver's copy ends: the next chunk begins there.
	Offset int64
	// Installed: the receiver's log reaches the position of the snapshot, by this snapshot or without it.
	Installed bool
}

// ErrBusy means that the one copy of the checkpoint is in use, and does not include the entry that is asked for.
var ErrBusy = errors.New("another snapshot is being sent")

// ErrGivenUp means that a copy of the checkpoint gave way to a newer one while it was read.
var ErrGivenUp = errors.New("the snapshot was given up")

// Source is a snapshot that is sent. Several receivers may read one source at once.
type Source interface {
	ID() string
	Size() int64
	Sum() [sha256.Size]byte
	Position() raft.LogStart
	ReadAt(p []byte, offset int64) (n int, err error)
	// Release ends the caller's use. The copy is removed some time after its last use.
	Release()
}

// Describe returns the description of a source.
func Describe(s Source) Description {
	return Description{ID: s.ID(), Size: s.Size(), Sum: s.Sum(), Start: s.Position()}
}

// Sink is a snapshot that is received.
type Sink interface {
	// Offset is the length of what was received, also before the last restart of the process.
	Offset() int64
	// Write adds bytes at an offset. Those that are there already are not written again. After an error the snapshot is
	// to be received anew, which goes on with what is left of it.
	Write(offset int64, data []byte) error
	// Verify checks all of the snapshot and loads its state: everything that can fail for a reason other than the disk
	// (trap T34). It also returns the position that the state stands for, and the facts of the cluster.
	Verify() (*kv.Store, raft.LogStart, map[string]string, error)
	// Install replaces the state and the start of the log on the disk, and returns when that is durable (trap T37). The
	// fact that the state differs is removed with the same transaction as the start of the log. An error means that
	// nothing is known about what is on the disk (trap T53).
	Install() error
	// Discard removes what was received.
	Discard() error
}

// Checkpoint is what a checkpoint adds to the one before it.
type Checkpoint struct {
	Delta *kv.Delta
	Seats []raft.Seat       // assigned by entries up to the applied index
	Facts map[string]string // of the cluster: its id, members and founders
	// Configuration is the one at the applied index; zero: the initial one.
	Configuration raft.Configuration
}
