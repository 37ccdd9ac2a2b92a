package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// While the fact is set that the state differs, a snapshot may replace a newer checkpoint (trap T32). The log goes on
// behind it, also after a restart, and the old file is kept.
func TestASnapshotReplacesAStateThatDiffers(t *testing.T) {
	t.Parallel()
	m := scrubbed(t)
	early, wrong := mustSnapshot(t, scrubbed(t).d), m.last
	old := filepath.Join(m.dir, asidePrefix+"3")
	if err := os.WriteFile(old, []byte("an earlier one"), fileMode); err != nil {
		t.Fatal(err)
	}
	m.do(`{"op":"put","key":"key/20","value":"later"}`, `{"op":"put","key":"key/21","value":"later"}`)
	m.save()
	if err := verified(t, early, m.d).Install(); err == nil || !strings.Contains(err.Error(), "T32") {
		t.Fatalf("without the fact: %v", err)
	}
	if err := m.d.SaveFacts(map[string]string{snapshot.FactStateDiffers: "7"}); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, early, m.d).Install(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, m.d)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the earlier file that was kept: %v", err)
	}
	if info, err := os.Stat(filepath.Join(m.dir, asidePrefix+"7")); err != nil || info.Size() == 0 {
		t.Errorf("the old file: %v", err)
	}
	d := mustOpen(t, m.dir, small)
	defer mustClose(t, d)
	store, err := d.LoadState()
	if err != nil || raft.Index(store.Applied()) != wrong {
		t.Fatalf("the state is of entry %d, %v; want %d", store.Applied(), err, wrong)
	}
	state, log, err := d.LoadLog(wrong, 0)
	if err != nil || state.Commit < m.last || log.Start.Index != wrong || log.Last() != m.last {
		t.Errorf("the log is from %d to %d, committed up to %d, %v; want from %d to %d", log.Start.Index, log.Last(),
			state.Commit, err, wrong, m.last)
	}
}

// A copy of the state that differed is not sent after the repair, although it includes the entry.
func TestACopyOfAStateThatDifferedIsNotSent(t *testing.T) { // T36, T45
	t.Parallel()
	m := scrubbed(t)
	early := mustSnapshot(t, scrubbed(t).d)
	m.do(`{"op":"put","key":"key/20","value":"wrong"}`)
	m.save()
	wrong := mustSnapshot(t, m.d)
	wrong.Release() // it is kept for a minute
	if err := m.d.SaveFacts(map[string]string{snapshot.FactStateDiffers: "7"}); err != nil {
		t.Fatal(err)
	}
	if err := verified(t, early, m.d).Install(); err != nil {
		t.Fatal(err)
	}
	again := mustSnapshot(t, m.d)
	defer again.Release()
	if again.Sum() == wrong.Sum() || again.Position().Index != early.Position().Index {
		t.Errorf("the copy %s is of entry %d, and that of the state that differed was %s", again.ID(),
			again.Position().Index, wrong.ID())
	}
	mustClose(t, m.d)
}

// T50: what waits to be cut was in the checkpoint that a snapshot replaces. If the new one ends before it, those must
// stay, or the next start finds a gap between the state and the log.
func TestASnapshotEndsTheCutThatWaits(t *testing.T) {
	t.Parallel()
	m := scrubbed(t)
	early, end := mustSnapshot(t, scrubbed(t).d), m.last
	m.do(`{"op":"put","key":"key/20","value":"later"}`, `{"op":"put","key":"key/21","value":"later"}`)
	m.save()
	in := verified(t, early, m.d)
	facts := map[string]string{snapshot.FactStateDiffers: "7"}
	if err := m.d.SaveFacts(facts); err != nil {
		t.Fatal(err)
	}
	_, err := m.d.Cut(m.last, nil, raft.Configuration{})
	m.d.cut.company = 0 // the next transaction removes what it can
	if err = errors.Join(err, in.Install()); err != nil {
		t.Fatal(err)
	}
	image := crashImage(t, m.dir)
	mustClose(t, m.d)
	for _, dir := range []string{image, m.dir} {
		d, err := Open(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if _, log, err := d.LoadLog(end, 0); err != nil || log.Start.Index != end || log.Last() != m.last {
			t.Errorf("the log is from %d to %d, %v; want from %d to %d", log.Start.Index, log.Last(), err, end, m.last)
		}
		mustClose(t, d)
	}
}

// A directory whose name looks like a pattern.
func TestAStateThatDiffersIsKeptInAnyDirectory(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a[b", "a[b]", "a*"} {
		dir := filepath.Join(t.TempDir(), name)
		m := newMachine(t, dir, small)
		m.do(`{"op":"put","key":"a","value":"1"}`)
		m.save()
		early := mustSnapshot(t, m.d)
		for _, index := range []string{"7", "8"} {
			if err := m.d.SaveFacts(map[string]string{snapshot.FactStateDiffers: index}); err != nil {
				t.Fatal(err)
			}
			if err := verified(t, early, m.d).Install(); err != nil {
				t.Fatal(err)
			}
		}
		mustClose(t, m.d)
		if _, err := os.Stat(filepath.Join(dir, asidePrefix+"7")); !os.IsNotExist(err) {
			t.Errorf("%s: the earlier file that was kept: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, asidePrefix+"8")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A crash after the state that differs was put aside: the next start completes the installation, and keeps it.
func TestAStateThatDiffersIsKeptAfterACrash(t *testing.T) {
	t.Parallel()
	m := scrubbed(t)
	s := mustSnapshot(t, m.d)
	data := make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.d.SaveFacts(map[string]string{snapshot.FactStateDiffers: "7"}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, m.d)
	kept := filepath.Join(m.dir, asidePrefix+"7")
	if err := os.Rename(filepath.Join(m.dir, stateName), kept); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(m.dir, snapshotsName), pendingName, data)
	mustClose(t, mustOpen(t, m.dir, small))
	if info, err := os.Stat(kept); err != nil || info.Size() == 0 {
		t.Errorf("the old file: %v", err)
	}
	wantState(t, m.dir, m.store)
}
