package storage

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// machine is a state machine whose log is in a directory.
type machine struct {
	tb    testing.TB
	dir   string
	d     *DB
	store *kv.Store
	last  raft.Index
}

// newMachine starts from what a directory holds, as a node does: the checkpoint, and the log behind it.
func newMachine(tb testing.TB, dir string, opts Options) *machine {
	tb.Helper()
	d, err := Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	m := &machine{tb: tb, dir: dir, d: d}
	if m.store, err = d.LoadState(); err != nil {
		tb.Fatal(err)
	}
	state, log, err := d.LoadLog(raft.Index(m.store.Applied()), 0)
	if err != nil {
		tb.Fatal(err)
	}
	if log.Start.Index != raft.Index(m.store.Applied()) {
		tb.Fatalf("the checkpoint ends at %d, and the log starts after %d", m.store.Applied(), log.Start.Index)
	}
	m.last = log.Last()
	for _, e := range log.Entries {
		if e.Index <= state.Commit {
			m.apply(e)
		}
	}
	return m
}

func (m *machine) apply(e raft.Entry) {
	command := e.Command
	if e.Type != raft.EntryCommand {
		command = nil
	}
	m.store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: command})
}

// do saves and applies commands.
func (m *machine) do(commands ...string) {
	m.tb.Helper()
	var list []raft.Entry
	for _, command := range commands {
		m.last++
		list = append(list, raft.Entry{
			Index: m.last, Term: 1, Timestamp: 1_700_000_000_000_000 + int64(m.last)*1_003, Command: []byte(command),
			Type: entryjson.TypeOf([]byte(command)),
		})
	}
	mustSave(m.tb, m.d, raft.HardState{Term: 1, Vote: 1, Commit: m.last}, list)
	for _, e := range list {
		m.apply(e)
	}
}

func (m *machine) checkpoint() snapshot.Checkpoint {
	return snapshot.Checkpoint{
		Delta: m.store.Delta(m.d.checkpointed.Load()), Seats: []raft.Seat{{Member: 4, Incarnation: 1 << 60}},
		Facts:         map[string]string{"cluster_id": "c-1", "members": "it's\n\"JSON\""},
		Configuration: configurationOf(1, 3),
	}
}

func (m *machine) save() {
	m.tb.Helper()
	if err := m.d.SaveState(m.checkpoint()); err != nil {
		m.tb.Fatal(err)
	}
	m.store.Checkpointed(m.store.Applied())
}

// randomCommand returns a command about one of a few keys, or one that compacts.
func (m *machine) randomCommand(random *rand.Rand) string {
	key := fmt.Sprintf("key/%d", random.IntN(40))
	switch random.IntN(12) {
	case 0, 1:
		return fmt.Sprintf(`{"op":"delete","key":"%s"}`, key)
	case 2:
		return fmt.Sprintf(`{"op":"incr","key":"%s","by":3}`, key)
	case 3:
		return fmt.Sprintf(`{"op":"put","key":"%s","value":"AP+A","encoding":"base64","content_type":"image/png"}`, key)
	case 4:
		return fmt.Sprintf(`{"op":"put","key":"%s\u0000\u2713","value":"","content_type":"text/plain"}`, key)
	case 5:
		return fmt.Sprintf(`{"op":"put","key":"%s","value":"%s"}`, key, strings.Repeat("long ", 3000))
	case 6:
		if m.last > 30 {
			return fmt.Sprintf(`{"op":"compact","revision":%d}`, m.last-raft.Index(random.IntN(30)))
		}
	case 7:
		return `{"op":"noop"}`
	}
	return fmt.Sprintf(`{"op":"set","key":"%s","value":{"n":%d}}`, key, random.IntN(1000))
}

// wantState checks that a directory holds a state.
func wantState(t *testing.T, dir string, want ...*kv.Store) {
	t.Helper()
	d, err := Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	for _, store := range want {
		if got.Applied() == store.Applied() && got.Digest() == store.Digest() {
			return
		}
	}
	t.Fatalf("the checkpoint is of revision %d, with digest %x", got.Applied(), got.Digest())
}

// T44, T57: whatever the commands, the checkpoint is the state at its revision, after a crash too, and with the log
// behind it the state is complete. Between two checkpoints versions are made, replaced and cut.
func TestTheCheckpointAndTheLogBehindItAreTheState(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(11, 7))
	m := newMachine(t, t.TempDir(), small)
	for range 60 / thinned {
		for range random.IntN(60) {
			m.do(m.randomCommand(random))
		}
		m.save()
		saved, err := m.d.LoadState()
		if err != nil || saved.Digest() != m.store.Digest() || saved.Stats() != m.store.Stats() {
			t.Fatalf("at revision %d the state is %+v, and comes back as %+v, %v", m.last, m.store.Stats(), saved.Stats(), err)
		}
		if random.IntN(2) == 0 && m.last > 20 {
			if _, err := m.d.Cut(m.last-raft.Index(random.IntN(20)), nil, raft.Configuration{}); err != nil {
				t.Fatal(err)
			}
		}
		for range random.IntN(20) {
			m.do(m.randomCommand(random))
		}
		want, image := m.store.Digest(), crashImage(t, m.dir)
		if random.IntN(2) == 0 {
			mustClose(t, m.d)
			m = newMachine(t, m.dir, small)
			if m.store.Digest() != want {
				t.Fatalf("after a restart at %d the state is another", m.last)
			}
		}
		again := newMachine(t, image, small)
		if again.store.Digest() != want {
			t.Fatalf("after a crash at %d the state is another", m.last)
		}
		mustClose(t, again.d)
	}
	mustClose(t, m.d)
}

// T44, T53, T57: every call to SQLite of a checkpoint is made to fail in turn, before it happened and after. The file
// then holds the old checkpoint or the new one, never a mixture, and a later checkpoint is refused. The log goes on.
func TestACheckpointThatFails(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	first := newMachine(t, t.TempDir(), small)
	for range 100 {
		first.do(first.randomCommand(random))
	}
	first.save()
	old, err := first.d.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		first.do(first.randomCommand(random))
	}
	mustClose(t, first.d)
	for _, answered := range []bool{false, true} {
		for at := 1; ; at++ {
			f := &fault{answered: answered}
			m := newMachine(t, crashImage(t, first.dir), Options{inject: f.inject, checkpointPages: 50})
			f.at = f.calls + at
			err := m.d.SaveState(m.checkpoint())
			f.at = 0
			if f.struck == "" {
				mustClose(t, m.d)
				if err != nil || at < 20 {
					t.Errorf("%d calls failed, and then: %v", at-1, err)
				}
				break
			}
			wantInjected(t, f, "checkpoint", err)
			if again := m.d.SaveState(m.checkpoint()); f.struck != rangeStatement && !errors.Is(again, errInjected) {
				t.Errorf("after %s failed, another checkpoint returns %v", f.struck, again)
			}
			m.do(`{"op":"noop"}`)
			wantState(t, crashImage(t, m.dir), old, first.store)
			_ = m.d.Close()
			wantState(t, m.dir, old, first.store)
		}
	}
}

// A full disk is no reason to stop: nothing of the checkpoint was synced, and the next one has room again.
func TestACheckpointThatFindsTheDiskFull(t *testing.T) {
	t.Parallel()
	full := false
	m := newMachine(t, t.TempDir(), Options{checkpointPages: 50, inject: func(statement string, call func() error) error {
		if full && statement == putRecordsStatement(1) {
			return syscall.ENOSPC
		}
		return call()
	}})
	m.do(`{"op":"set","key":"a","value":1}`)
	m.save()
	m.do(`{"op":"set","key":"b","value":2}`, `{"op":"delete","key":"a"}`)
	full = true
	if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, ErrDiskFull) {
		t.Fatal(err)
	}
	if got, err := m.d.LoadState(); err != nil || got.Applied() != 1 {
		t.Fatalf("the checkpoint is of revision %d, %v", got.Applied(), err)
	}
	full = false
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// The caller's mistakes are refused, and nothing is written.
func TestACheckpointThatDoesNotFit(t *testing.T) {
	t.Parallel()
	m := newMachine(t, t.TempDir(), small)
	m.do(`{"op":"set","key":"a","value":1}`, `{"op":"set","key":"b","value":2}`)
	m.save()
	m.do(`{"op":"set","key":"b","value":3}`)
	for name, change := range map[string]func(c *snapshot.Checkpoint){
		"changes that are missing":        func(c *snapshot.Checkpoint) { c.Delta.Since = 3 },
		"changes that were saved":         func(c *snapshot.Checkpoint) { c.Delta.Since = 1 },
		"an earlier revision":             func(c *snapshot.Checkpoint) { c.Delta.Meta.Applied = 1 },
		"an entry that is not saved":      func(c *snapshot.Checkpoint) { c.Delta.Meta.Applied = 4 },
		"a fact of the storage's":         func(c *snapshot.Checkpoint) { c.Facts = map[string]string{metaSum: "7"} },
		"more changes than have a number": func(c *snapshot.Checkpoint) { c.Delta.Changes[0].Position = 1 << positionBits },
	} {
		c := m.checkpoint()
		change(&c)
		if err := m.d.SaveState(c); err == nil {
			t.Errorf("%s: a checkpoint is saved", name)
		}
	}
	if got, err := m.d.LoadState(); err != nil || got.Applied() != 2 {
		t.Errorf("the checkpoint is of revision %d, %v", got.Applied(), err)
	}
	m.save()
	mustClose(t, m.d)
	wantState(t, m.dir, m.store)
}

// The names and columns are a contract with every tool that opens the file, also while a checkpoint is written.
func TestAnyToolCanReadTheCheckpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var ask func() string
	during := ""
	m := newMachine(t, dir, Options{checkpointPages: 50, inject: func(statement string, call func() error) error {
		err := call()
		if ask != nil && statement == deleteRecordStatement {
			during = ask()
		}
		return err
	}})
	m.do(`{"op":"put","key":"app/a","value":"text ✓"}`, `{"op":"set","key":"app/b","value":[1,2]}`,
		`{"op":"put","key":"app/c","value":"/w==","encoding":"base64"}`, `{"op":"set","key":"b","value":1}`)
	m.save()
	ask = func() string {
		c, err := connect(filepath.Join(dir, "state.db"), "ro", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close() //nolint:errcheck // it only read
		var rows []string
		err = c.query(`SELECT key, value, revision, typeof(value), version FROM kv WHERE key LIKE 'app/%'`,
			func(row []driver.Value) error {
				rows = append(rows, fmt.Sprint(row))
				return nil
			})
		if err != nil {
			t.Error(err)
		}
		applied, err := c.value(`SELECT value FROM meta WHERE key = 'applied_index'`)
		return fmt.Sprintf("%v %v %v", rows, applied, err)
	}
	want := `[[app/a text ✓ 1 text 1] [app/b [1,2] 2 text 1] [app/c [255] 3 blob 1]] 4 <nil>`
	if got := ask(); got != want {
		t.Errorf("before: %s\nwant    %s", got, want)
	}
	m.do(`{"op":"delete","key":"app/a"}`, `{"op":"set","key":"app/b","value":null}`)
	m.save()
	if during != want {
		t.Errorf("during: %s\nwant    %s", during, want)
	}
	if got, want := ask(), `[[app/b null 6 text 2] [app/c [255] 3 blob 1]] 6 <nil>`; got != want {
		t.Errorf("after: %s\nwant   %s", got, want)
	}
	mustClose(t, m.d)
}

// The cost of a checkpoint grows with what changed, not with the state: in rows and in pages.
func TestTheCostOfACheckpoint(t *testing.T) {
	t.Parallel()
	rows := 0
	opts := Options{checkpointPages: 1000}
	opts.inject = func(statement string, call func() error) error {
		switch statement {
		case putRecordsStatement(rowsPerInsert):
			rows += rowsPerInsert
		case putRecordsStatement(1), putSegmentStatement, deleteRecordStatement:
			rows++
		}
		return call()
	}
	m := newMachine(t, t.TempDir(), opts)
	write := func(from, to int) {
		for part := from; part < to; part += 1000 {
			var commands []string
			for i := part; i < min(part+1000, to); i++ {
				commands = append(commands, fmt.Sprintf(`{"op":"set","key":"key/%05d","value":"%0200d"}`, i, i))
			}
			m.do(commands...)
		}
	}
	write(0, 10_000)
	m.save()
	m.d.checkpoint.pages, rows = 0, 0
	write(5000, 5050)
	m.save()
	if rows != 50+1 || m.d.checkpoint.pages > 30 {
		t.Errorf("50 changes of 10,000 keys write %d rows and %d pages", rows, m.d.checkpoint.pages)
	}
	m.d.checkpoint.pages, rows = 0, 0
	m.save() // nothing changed
	if rows != 0 || m.d.checkpoint.pages > 2 {
		t.Errorf("no change writes %d rows and %d pages", rows, m.d.checkpoint.pages)
	}
	mustClose(t, m.d)
}
