package storage

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// Checkpoints and snapshots leave a reserve of the disk to the log. What is refused changes nothing, and works when
// there is room.
func TestTheReserveIsLeftToTheLog(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), small)
	m.do(`{"op":"set","key":"a","value":1}`)
	m.save()
	m.do(`{"op":"set","key":"b","value":2}`)
	total, err := m.d.TotalBytes()
	if err != nil {
		t.Fatal(err)
	}
	free, err := m.d.FreeBytes()
	if err != nil || free > total {
		t.Fatalf("%d of %d bytes are free, %v", free, total, err)
	}
	m.d.SetReserve(4 * total)
	if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, snapshot.ErrNoRoom) || !errors.Is(err, ErrDiskFull) {
		t.Errorf("a checkpoint: %v", err)
	}
	if _, err := m.d.OpenSnapshot(1); !errors.Is(err, snapshot.ErrNoRoom) {
		t.Errorf("a copy: %v", err)
	}
	m.d.SetReserve(free * 3 / 2) // a checkpoint leaves half of it
	m.save()
	if _, err := m.d.OpenSnapshot(1); !errors.Is(err, snapshot.ErrNoRoom) {
		t.Errorf("a copy: %v", err)
	}
	m.d.SetReserve(0)
	s, err := m.d.OpenSnapshot(1)
	if err != nil {
		t.Fatal(err)
	}
	s.Release()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// A disk that is full while the first checkpoint opens its file (SQLite creates an index of the write-ahead log) puts
// that checkpoint off, whichever step finds it so.
func TestACheckpointThatCannotOpenItsFileIsRepeated(t *testing.T) {
	t.Parallel()
	for _, statement := range []string{
		"prepare " + putRecordsStatement(rowsPerInsert), "prepare " + deleteMetaStatement, stateCreation()[1],
	} {
		full := true
		var failing injector = func(text string, call func() error) error {
			if full && text == statement {
				full = false
				return syscall.ENOSPC
			}
			return call()
		}
		m := newMachine(t, t.TempDir(), Options{checkpointPages: 50, inject: failing})
		m.do(`{"op":"set","key":"a","value":1}`)
		if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, snapshot.ErrNoRoom) || full {
			t.Errorf("%s: %v", statement, err)
		}
		m.save()
		m.do(`{"op":"delete","key":"a"}`)
		m.save()
		mustClose(t, m.d)
		wantState(t, m.dir, m.store)
	}
}

// What is deleted leaves free pages inside state.db.
func TestDeletesLeaveReusableBytes(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), small)
	if got := m.d.StateFiles().Reusable; got != 0 {
		t.Errorf("without a checkpoint: %d", got)
	}
	const keys, value = 50, 20_000
	for i := range keys {
		m.do(fmt.Sprintf(`{"op":"put","key":"%d","value":"%s"}`, i, strings.Repeat("v", value)))
	}
	m.save()
	before := m.d.StateFiles().Reusable
	for i := range keys {
		m.do(fmt.Sprintf(`{"op":"delete","key":"%d"}`, i))
	}
	m.do(fmt.Sprintf(`{"op":"compact","revision":%d}`, 2*keys))
	m.save()
	if got := m.d.StateFiles().Reusable - before; got < keys*value*9/10 {
		t.Errorf("%d bytes are reusable after %d were deleted", got, keys*value)
	}
	mustClose(t, m.d)
}
