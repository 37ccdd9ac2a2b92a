package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// putLarge puts so many MiB in values of 64 KiB.
func putLarge(m *machine, mebibytes int, content string) {
	m.tb.Helper()
	value := strings.Repeat(content, 64<<10)
	m.load(16*mebibytes, func(i int) string { return fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i, value) })
}

// H1: the disk is given a checkpoint in parts, so that no sync has to write all of it.
func TestTheDiskIsGivenACheckpointInParts(t *testing.T) {
	t.Parallel()
	var made calls
	m := newMachine(t, t.TempDir(), Options{inject: made.inject, checkpointPages: 50})
	putLarge(m, 24, "v")
	made.take()
	m.save()
	if n := made.count("write log back"); n < 4 || n > 7 {
		t.Errorf("the write-ahead log was written back %d times, want once for each 4 MiB of 24", n)
	}
	if n := made.count("write database back"); n < 6 || n > 7 {
		t.Errorf("the database was written back %d times, want once for each 4 MiB of 24", n)
	}
	order := []string{
		commitStatement, unsyncedStatement, passiveCheckpoint, syncedStatement, "write database back", "sync database",
	}
	seen, at := made.take(), 0
	for _, call := range order {
		next := slices.Index(seen[at:], call)
		if next < 0 {
			t.Fatalf("no %q after the call before it, of %q", call, order)
		}
		at += next
	}
	if rest := seen[at+1:]; slices.Contains(rest, passiveCheckpoint) {
		t.Errorf("after the sync: %q", rest)
	}
	m.do(`{"op":"delete","key":"k1"}`)
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// T53: what the disk did not take may be lost, and no later sync finds that. So the file is not written any more; the
// next start finds the checkpoint or the one before it. That the disk is full is no excuse: the pages are gone.
func TestACheckpointThatTheDiskDoesNotTake(t *testing.T) {
	t.Parallel()
	failures := []error{errInjected, syscall.ENOSPC}
	if thinned > 1 {
		failures = failures[1:]
	}
	for _, failing := range []string{"write log back", "write database back", "sync database", syncedStatement} {
		for _, failure := range failures {
			t.Run(fmt.Sprintf("%s: %v", failing, failure), func(t *testing.T) {
				t.Parallel()
				var broken atomic.Bool
				m := newMachine(t, t.TempDir(), Options{checkpointPages: 50, inject: func(name string, call func() error) error {
					if broken.Load() && name == failing {
						return failure
					}
					return call()
				}})
				putLarge(m, 1, "a")
				m.save()
				putLarge(m, 20, "b")
				broken.Store(true)
				err := m.d.SaveState(m.checkpoint())
				if !errors.Is(err, failure) {
					t.Fatalf("the checkpoint returned %v", err)
				}
				broken.Store(false)
				if again := m.d.SaveState(m.checkpoint()); !errors.Is(again, failure) {
					t.Errorf("the next checkpoint returned %v", again)
				}
				_ = m.d.Close()
				after := newMachine(t, m.dir, small) // the log has what the checkpoint lacks
				if after.store.Digest() != m.store.Digest() {
					t.Error("the next start has another state")
				}
				mustClose(t, after.d)
			})
		}
	}
}

// Pages are written back, not values: rows that are far apart change a page each.
func TestScatteredRowsAreWrittenBackInParts(t *testing.T) { // H1
	t.Parallel()
	if thinned > 1 {
		t.Skip("fewer rows fit into the cache")
	}
	var made calls
	m := newMachine(t, t.TempDir(), Options{inject: made.inject})
	key := func(i int) string { return fmt.Sprintf("%08d", i) }
	m.load(20_000, func(i int) string { return fmt.Sprintf(`{"op":"put","key":%q,"value":"%0300d"}`, key(i), i) })
	m.save()
	made.take()
	m.load(4_000, func(i int) string { return fmt.Sprintf(`{"op":"delete","key":%q}`, key(5*i)) })
	m.save()
	if n := made.count("write log back"); n < 1 {
		t.Error("4,000 scattered deletes are written back by the sync alone")
	}
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// A checkpoint that finds the disk full gives back what it took, also if what the write-ahead log had before cannot be
// copied.
func TestTheWriteAheadLogOfACheckpointThatFails(t *testing.T) { // T53
	t.Parallel()
	var full atomic.Bool
	noSlices := Options{slicePages: 1 << 30} // a copy of raft.db commits as well
	noSlices.inject = func(name string, call func() error) error {
		if full.Load() && (name == commitStatement || name == truncateCheckpoint) {
			return syscall.ENOSPC
		}
		return call()
	}
	m := newMachine(t, t.TempDir(), noSlices)
	log := m.dir + "/" + stateName + walSuffix
	putLarge(m, 2, "a")
	m.save()
	before := lengthOf(log)
	putLarge(m, 8, "b")
	full.Store(true)
	if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("the checkpoint returned %v", err)
	}
	full.Store(false)
	if after := lengthOf(log); before == 0 || after != before {
		t.Errorf("the write-ahead log has %d bytes, and had %d before the checkpoint", after, before)
	}
	if spare := m.d.StateFiles().Spare; spare > 0 {
		t.Errorf("%d bytes of a log that is not copied count as free", spare)
	}
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// What another program keeps from being copied is not overwritten, so it is no room for the next checkpoint.
func TestALogThatAnotherProgramReadsIsNotSpare(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), Options{})
	putLarge(m, 1, "a")
	m.save()
	reader, err := connect(m.dir+"/"+stateName, "ro", commonPragmas, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.exec("BEGIN; SELECT key FROM kv LIMIT 1"); err != nil {
		t.Fatal(err)
	}
	putLarge(m, 20, "b")
	m.save()
	if spare := m.d.StateFiles().Spare; spare > 1<<20 {
		t.Errorf("%d bytes count as free, while a program reads what is before them", spare)
	}
	if err := reader.close(); err != nil {
		t.Fatal(err)
	}
	putLarge(m, 20, "c")
	m.save()
	if spare := m.d.StateFiles().Spare; spare < 16<<20 {
		t.Errorf("%d bytes count as free after all was copied", spare)
	}
	image := crashImage(t, m.dir)
	mustClose(t, m.d)
	restarted := newMachine(t, image, Options{})
	if restarted.store.Digest() != m.store.Digest() {
		t.Error("the next start has another state")
	}
	mustClose(t, restarted.d)
}

// T53: a checkpoint that cannot be synced before it is written for the first time is not written, now or later.
func TestACheckpointThatCannotBeSyncedAtOpen(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errInjected, syscall.ENOSPC} {
		var broken atomic.Bool
		broken.Store(true)
		m := newMachine(t, t.TempDir(), Options{inject: func(name string, call func() error) error {
			if name == "sync at open" && broken.Load() {
				return failure
			}
			return call()
		}})
		m.do(`{"op":"set","key":"a","value":1}`)
		if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, failure) {
			t.Errorf("the checkpoint returned %v", err)
		}
		broken.Store(false)
		if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, failure) {
			t.Errorf("the next checkpoint returned %v", err)
		}
		_ = m.d.Close()
		after := newMachine(t, m.dir, small)
		if after.store.Digest() != m.store.Digest() {
			t.Error("the next start has another state")
		}
		mustClose(t, after.d)
	}
}
