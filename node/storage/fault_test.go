package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

var errInjected = errors.New("injected")

// fault makes one call to SQLite fail: the call with this number, from 1 on. Either the call is not made, or it is
// made and its result is lost, as when a disk fails after a write.
type fault struct {
	at       int
	answered bool // the call is made
	calls    int
	struck   string // the statement that failed
}

func (f *fault) inject(statement string, call func() error) error {
	f.calls++
	if f.calls != f.at {
		return call()
	}
	f.struck = statement
	if f.answered || statement == "close" { // an open connection would remain after the test's process
		return errors.Join(errInjected, call())
	}
	return errInjected
}

// step is one operation of a node on its disk, and the content of the disk after it.
type step struct {
	name string
	do   func(d *DB) error
	disk disk
	fact string // the value of a fact
}

// saveState is the name of a step on state.db, whose failure does not end the DB.
const saveState = "save the state"

// script lists operations of a node, and the content of the disk after each.
func script() []step {
	var now step
	var steps []step
	then := func(name string, do func(d *DB) error) {
		now.name, now.do = name, do
		steps = append(steps, now)
	}
	save := func(name string, state raft.HardState, list []raft.Entry) {
		now.disk = now.disk.with(state, list)
		then(name, func(d *DB) error { return d.Save(state, list) })
	}
	save("vote", raft.HardState{Term: 1, Vote: 1}, nil)
	save("append", raft.HardState{Term: 1, Vote: 1, Commit: 2}, entries(1, 1, 20))
	now.fact = "7"
	then("facts", func(d *DB) error { return d.SaveFacts(map[string]string{"node_id": "7", "cluster_id": "c"}) })
	save("overwrite in a new term", raft.HardState{Term: 2, Vote: 3, Commit: 5}, entries(2, 8, 30))
	then("checkpoint", (*DB).Checkpoint)
	then(saveState, func(d *DB) error { return saveStateAt(d, 4) })
	voted := raft.HardState{Term: 4, Vote: 5, Commit: 5}
	now.disk = now.disk.cut(4).with(voted, nil)
	then("cut with a vote", func(d *DB) error {
		if _, err := d.Cut(4, nil, raft.Configuration{}); err != nil {
			return err
		}
		return d.Save(voted, nil)
	})
	save("append again", raft.HardState{Term: 4, Vote: 5, Commit: 30}, entries(4, 31, 31))
	then(saveState, func(d *DB) error { return saveStateAt(d, 30) })
	now.disk = now.disk.cut(30)
	then("cut alone", func(d *DB) error {
		return cutAlone(d, 30, nil)
	})
	save("replace what is left", raft.HardState{Term: 5, Vote: 5, Commit: 30}, entries(5, 31, 33))
	then("close", (*DB).Close)
	return steps
}

// T1, T53, T57: every call to SQLite is made to fail in turn, in both ways. The step of that call fails, and so does
// everything after it, with the same error. The next start then finds the disk as before the step or as after it,
// never a mixture: not the term without the vote, not half of the entries.
func TestEveryCallThatFails(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{false, true} {
		t.Run(fmt.Sprintf("answered=%v", answered), func(t *testing.T) {
			t.Parallel()
			at := 1
			for ; runWithFault(t, &fault{at: at, answered: answered}); at++ {
			}
			if at < 60 {
				t.Errorf("only %d calls failed: the script is too short", at)
			}
		})
	}
}

// runWithFault runs the script, and reports whether the fault occurred.
func runWithFault(t *testing.T, f *fault) bool {
	t.Helper()
	dir := t.TempDir()
	d, err := Open(dir, Options{inject: f.inject, checkpointPages: 50, cutCompany: 1})
	if err != nil {
		wantInjected(t, f, "open", err)
		wantDisk(t, mustRead(t, dir), disk{})
		return true
	}
	defer d.Close() //nolint:errcheck // it returns the injected failure
	var before step
	for _, s := range script() {
		err := s.do(d)
		if f.struck == "" {
			if err != nil {
				t.Fatal(s.name, err)
			}
			before = s
			continue
		}
		wantInjected(t, f, s.name, err)
		if s.name != "close" && s.name != saveState {
			wantSameForAll(t, d, err)
		}
		wantOldOrNew(t, crashImage(t, dir), f, before, s)
		_ = d.Close() // returns the failure again
		wantOldOrNew(t, dir, f, before, s)
		return true
	}
	wantOldOrNew(t, dir, f, before, before)
	return false
}

func wantInjected(t *testing.T, f *fault, name string, err error) {
	t.Helper()
	if !errors.Is(err, errInjected) {
		t.Fatalf("%s: call %d (%s) failed, and the error is %v", name, f.at, f.struck, err)
	}
}

func wantSameForAll(t *testing.T, d *DB, want error) {
	t.Helper()
	for name, err := range everyCall(d) {
		if !errors.Is(err, want) || err.Error() != want.Error() {
			t.Errorf("%s after the failure %q returns %v", name, want, err)
		}
	}
}

func wantOldOrNew(t *testing.T, dir string, f *fault, before, after step) {
	t.Helper()
	d, err := Open(dir, small)
	if err != nil {
		t.Fatalf("%s: call %d (%s) failed, and then: %v", after.name, f.at, f.struck, err)
	}
	defer mustClose(t, d)
	facts, err := d.Facts()
	if err != nil {
		t.Fatal(err)
	}
	state, log, err := d.LoadLog(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := disk{state, log.Entries}
	for _, s := range []step{before, after} {
		if got.equal(s.disk) && facts["node_id"] == s.fact {
			return
		}
	}
	t.Fatalf("%s: call %d (%s) failed, and the disk holds %v, with the fact %q", after.name, f.at, f.struck, got,
		facts["node_id"])
}

// T53: after a failure there is no retry, even if the disk works again: a sync after a failed one reports success for
// pages that are lost.
func TestFailureIsForGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := &fault{}
	d, err := Open(dir, Options{inject: f.inject, checkpointPages: 50, cutCompany: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 3))
	f.at = f.calls + 2
	err = d.Save(raft.HardState{Term: 2}, entries(2, 4, 6))
	wantInjected(t, f, "save", err)
	if !strings.Contains(err.Error(), filepath.Join(dir, databaseName)) {
		t.Errorf("the error does not name the file: %v", err)
	}
	calls := f.calls
	wantSameForAll(t, d, err)
	if f.calls != calls {
		t.Errorf("%d calls to SQLite after the failure", f.calls-calls)
	}
	_ = d.Close() // it was never committed
	wantDisk(t, mustRead(t, dir), disk{raft.HardState{Term: 1}, entries(1, 1, 3)})
}

// T53: SQLite's own checkpoint hides its errors. An error of this package's checkpoint ends the DB, although no
// caller waits for it.
func TestFailedCheckpointEndsTheDB(t *testing.T) {
	t.Parallel()
	var failing injector = func(statement string, call func() error) error {
		if statement == passiveCheckpoint {
			return errInjected
		}
		return call()
	}
	d, err := Open(t.TempDir(), Options{inject: failing, checkpointPages: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // it returns the injected failure
	for i := raft.Index(1); err == nil; i++ {
		err = d.Save(raft.HardState{Term: 1}, entries(1, i, i))
	}
	if !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
}
