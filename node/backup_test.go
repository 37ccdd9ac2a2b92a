package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
)

// A backup includes what is applied, although the last checkpoint does not: one is written at once.
func TestABackupIncludesWhatIsApplied(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		for i, id := range append(c.followers(), c.leader()) {
			value := fmt.Sprint(i)
			done := c.mustPropose(id, `{"op":"set","key":"k","value":`+value+`}`)
			n := c.running[id]
			if err := n.ReadBarrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			source, err := n.OpenBackup(t.Context(), n.Applied())
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 0 { // fake time
				t.Errorf("node %d waited %v for a checkpoint", id, took)
			}
			if source.Position().Index < done.Index {
				t.Errorf("the backup is of entry %d, and entry %d was acknowledged before", source.Position().Index, done.Index)
			}
			if record, _ := loaded(t, source).Get("k"); string(record.Value) != value {
				t.Errorf("node %d: the backup has %s, want %s", id, record.Value, value)
			}
			source.Release()
			again, err := n.OpenBackup(t.Context(), 1) // as one that is continued
			if err != nil {
				t.Fatal(err)
			}
			again.Release()
			c.disks[id].set(func(d *disk) {
				if d.opened != 2 || d.released != 2 {
					t.Errorf("%d copies were opened, and %d released", d.opened, d.released)
				}
			})
		}
	})
}

// loaded returns the state in a snapshot of the disks of these tests.
func loaded(t *testing.T, s snapshot.Source) *kv.Store {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	if err != nil {
		t.Fatal(err)
	}
	file, err := snapshottest.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	store, err := file.Load()
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestABackupThatCannotBeMadeIsRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, 3, func(t *testing.T, c *cluster) {
		id := c.leader()
		done := c.mustPropose(id, `{"op":"set","key":"k","value":1}`)
		n := c.running[id]
		open := func() error {
			_, err := n.OpenBackup(t.Context(), done.Index)
			return err
		}
		c.disks[id].set(func(d *disk) { d.failOpen = fmt.Errorf("copy: %w", snapshot.ErrBusy) })
		if err := open(); !errors.Is(err, node.ErrOverloaded) {
			t.Errorf("while an older copy is in use: %v", err)
		}
		c.disks[id].set(func(d *disk) { d.failOpen = errors.New("the disk is full") })
		if err := open(); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("without room: %v", err)
		}
		c.disks[id].set(func(d *disk) { d.failOpen = nil })
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.OpenBackup(gone, done.Index); !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller is gone: %v", err)
		}
		if _, err := n.OpenBackup(t.Context(), done.Index+1000); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("of what is not applied: %v", err)
		}
	})
}

// A disk without room ends nothing (T53: nothing was changed). A state that differs is not backed up (T45), although
// there is a checkpoint of it.
func TestABackupNeedsRoomAndASoundState(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		id := c.leader()
		done := c.mustPropose(id, `{"op":"set","key":"k","value":1}`)
		c.disks[id].set(func(d *disk) { d.failState = fmt.Errorf("state.db: %w", snapshot.ErrNoRoom) })
		if _, err := c.running[id].OpenBackup(t.Context(), done.Index); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("without room: %v", err)
		}
		time.Sleep(time.Second) // fake time
		c.wantRunning()
		c.disks[id].set(func(d *disk) { d.failState = nil })
		source, err := c.running[id].OpenBackup(t.Context(), done.Index)
		if err != nil {
			t.Fatal(err)
		}
		source.Release()
	})
	compared(t, 3, func(t *testing.T, c *cluster) {
		victim := c.spoiled(false)
		r := c.running[victim]
		early, err := r.OpenBackup(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer early.Release()
		c.until("it stops serving", func() bool { return r.Sound() != nil })
		if _, err := early.ReadAt(make([]byte, 10), 0); !errors.Is(err, node.ErrStateDiffers) {
			t.Errorf("reading an earlier one: %v", err)
		}
		if _, err := r.OpenBackup(t.Context(), 1); !errors.Is(err, node.ErrStateDiffers) {
			t.Errorf("of a state that differs: %v", err)
		}
	})
}

// T53: after a checkpoint that failed it is unknown what is on the disk, so the node ends.
func TestABackupWhoseCheckpointFailsEndsTheNode(t *testing.T) {
	t.Parallel()
	inBubble(t, 1, func(t *testing.T, c *cluster) {
		id := c.leader()
		done := c.mustPropose(id, `{"op":"set","key":"k","value":1}`)
		c.disks[id].set(func(d *disk) { d.failState = errors.New("the disk is broken") })
		r := c.running[id]
		if _, err := r.OpenBackup(t.Context(), done.Index); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("got %v", err)
		}
		<-r.ended
		if r.err == nil {
			t.Error("the node ended without an error")
		}
		if _, err := r.OpenBackup(t.Context(), raft.Index(1)); !errors.Is(err, node.ErrNotReady) {
			t.Errorf("after its end: %v", err)
		}
	})
}
