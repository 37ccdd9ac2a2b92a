package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// refounding returns what follows the log of a directory in a new cluster.
func refounding(t *testing.T, v *Verification) Refounding {
	t.Helper()
	return Refounding{
		Entry: raft.Entry{
			Index: v.Log.End.Index + 1, Term: v.Log.State.Term + 1, Timestamp: 1_700_000_000_000_000, Type: raft.EntryNoOp,
			Command: []byte(`{"op":"noop"}`),
		},
		Vote:    9,
		Facts:   map[string]string{"cluster_id": "c-2", "node_id": "9"},
		Cluster: map[string]string{"cluster_id": "c-2"},
	}
}

// sourcesOfRefounding are directories of a stopped node, in every state in which a crash may leave one.
func sourcesOfRefounding(t *testing.T) map[string]string {
	t.Helper()
	young := t.TempDir()
	d := mustOpen(t, young, small)
	if err := d.SaveFacts(map[string]string{"cluster_id": "c", "node_id": "1", "seated": "true"}); err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, raft.HardState{Term: 1, Vote: 1, Commit: 2}, entries(1, 1, 5)) // three are not committed
	crashed := crashImage(t, young)
	mustClose(t, d)

	cut := newMachine(t, filledState(t), small)
	if err := cutAlone(cut.d, 20, nil); err != nil {
		t.Fatal(err)
	}
	cut.do(`{"op":"put","key":"later","value":"1"}`)
	behind := crashImage(t, cut.dir)
	mustClose(t, cut.d)

	m, ahead := scrubbed(t), scrubbed(t)
	ahead.do(`{"op":"put","key":"ahead","value":"1"}`)
	ahead.save()
	s := mustSnapshot(t, ahead.d)
	data := make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	s.Release()
	mustClose(t, ahead.d)
	mustClose(t, m.d)
	if err := os.Mkdir(filepath.Join(m.dir, snapshotsName), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(m.dir, snapshotsName), pendingName, data)
	return map[string]string{
		"without a checkpoint": young, "after a crash": crashed, "with a shorter log": cut.dir,
		"with a shorter log, after a crash": behind, "with an interrupted installation": m.dir,
	}
}

// The new directory has the whole log of the other one, committed, one entry more, and nothing of its identity. The
// other one is not changed, and at every step there is no new directory, or a complete one.
func TestRefoundContinuesALogInAnotherCluster(t *testing.T) { // T31, T56, T57
	t.Parallel()
	for name, source := range sourcesOfRefounding(t) {
		stopped, err := OpenStopped(source)
		if err != nil {
			t.Fatal(name, err)
		}
		found, err := stopped.Verify()
		if err != nil || len(found.Damage) > 0 {
			t.Fatal(name, found.Damage, err)
		}
		before, into, steps := tree(t, source), filepath.Join(t.TempDir(), "new"), 0
		r := refounding(t, found)
		r.inject = func(_ string, call func() error) error {
			steps++
			if exists(into) {
				t.Errorf("%s: step %d: the directory exists before it is complete", name, steps)
			}
			return call()
		}
		if err := stopped.Refound(into, r); err != nil {
			t.Fatal(name, err)
		}
		if _, err := Open(source, small); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: a node can start in the directory that is read: %v", name, err)
		}
		if err := stopped.Close(); err != nil {
			t.Error(name, err)
		}
		for file, content := range tree(t, source) {
			if !strings.HasSuffix(file, "-shm") && string(content) != string(before[file]) {
				t.Errorf("%s: %s was changed", name, file)
			}
		}
		if steps < 50 {
			t.Errorf("%s: only %d steps were looked at", name, steps)
		}
		wantRefounded(t, name, into, found, &r)
	}
}

// tree returns the content of every file below a directory.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantRefounded(t *testing.T, name, dir string, source *Verification, r *Refounding) {
	t.Helper()
	v, err := VerifyDirectory(dir)
	if err != nil {
		t.Fatal(name, err)
	}
	wantDamage(t, name, v)
	end, log := r.Entry.Index, v.Log
	want := raft.HardState{Term: r.Entry.Term, Vote: 9, Commit: end}
	if log.Last != end || log.Start > source.Log.End.Index || log.State != want {
		t.Errorf("%s: the log is %+v, and was %+v", name, log, source.Log)
	}
	if fmt.Sprint(log.Facts["cluster_id"], log.Facts["node_id"], len(log.Facts)) != "c-295" { // and 3 of the hard state
		t.Errorf("%s: the facts are %v", name, log.Facts)
	}
	if source.State != nil && (v.State == nil || v.State.Keys != source.State.Keys ||
		v.State.Position.Digest != source.State.Position.Digest || fmt.Sprint(v.State.Facts) != "map[cluster_id:c-2]") {
		t.Errorf("%s: the state is %+v, and was %+v", name, v.State, source.State)
	}
	m := newMachine(t, dir, small)
	if m.last != end {
		t.Errorf("%s: a start finds %d entries, want %d", name, m.last, end)
	}
	m.do(`{"op":"put","key":"new","value":"1"}`)
	mustClose(t, m.d)
}

// openStopped opens a data directory until the end of a test, and verifies it.
func openStopped(t *testing.T) (*Stopped, *Verification) {
	t.Helper()
	stopped, err := OpenStopped(filledState(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stopped.Close() }) // nothing was written
	found, err := stopped.Verify()
	if err != nil {
		t.Fatal(err)
	}
	return stopped, found
}

// A step that fails leaves nothing behind.
func TestARefoundingThatFailsLeavesNothing(t *testing.T) { // T57
	t.Parallel()
	stopped, found := openStopped(t)
	parent := t.TempDir()
	for at := 1; ; at++ {
		f, r := &fault{at: at}, refounding(t, found)
		r.inject = f.inject
		if err := stopped.Refound(filepath.Join(parent, "new"), r); err == nil && f.struck == "" {
			if at < 50 {
				t.Errorf("only %d calls failed", at)
			}
			return
		} else if !errors.Is(err, errInjected) && f.struck != "close" {
			t.Fatalf("call %d (%s) failed, and the error is %v", at, f.struck, err)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Fatalf("call %d (%s) failed, and left %v, %v", at, f.struck, left, err)
		}
	}
}

func TestARefoundingRefusesAnEntryThatDoesNotFollowAndAFullDirectory(t *testing.T) {
	t.Parallel()
	stopped, found := openStopped(t)
	full := t.TempDir()
	write(t, full, "mine", []byte("text"))
	if err := stopped.Refound(full, refounding(t, found)); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a full directory: %v", err)
	}
	for name, change := range map[string]func(e *raft.Entry){
		"a gap": func(e *raft.Entry) { e.Index++ }, "an entry of the log": func(e *raft.Entry) { e.Index-- },
		"an old term": func(e *raft.Entry) { e.Term-- },
	} {
		r, into := refounding(t, found), filepath.Join(t.TempDir(), "new")
		change(&r.Entry)
		if err := stopped.Refound(into, r); err == nil || exists(into) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
