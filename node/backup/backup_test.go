package backup

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

var members = []identity.Member{
	{ID: 1, Address: "http://h1:7080"}, {ID: 2, Address: "http://h2:7080"}, {ID: 3, Address: "http://h3:7080"},
}

const keys = 20

// stopped returns the data directory of a node that is stopped: its checkpoint has the keys, and its log one more.
func stopped(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d := opened(t, dir)
	assigned := identity.Assignment{Identity: identity.Identity{ID: 1, ClusterID: "old"}, Members: members}
	facts, err := assigned.Facts(&identity.Seating{Incarnation: 7, Founders: []raft.Seat{{Member: 1, Incarnation: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	store := kv.New()
	var entries []raft.Entry
	for i := range keys + 1 {
		e := raft.Entry{
			Index: raft.Index(i) + 1, Term: 2, Timestamp: 1_700_000_000_000_000,
			Command: fmt.Appendf(nil, `{"op":"put","key":"key/%02d","value":"value %d","content_type":"text/plain"}`, i, i),
		}
		entries = append(entries, e)
		if i < keys {
			store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command})
		}
	}
	shared, err := assigned.ClusterFacts(nil)
	err = errors.Join(err, d.SaveFacts(facts), d.Save(raft.HardState{Term: 2, Vote: 1, Commit: keys + 1}, entries),
		d.SaveState(snapshot.Checkpoint{Delta: store.Delta(0), Facts: shared}), d.Close())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func opened(t *testing.T, dir string) *storage.DB {
	t.Helper()
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// backupOf returns a published backup of a data directory.
func backupOf(t *testing.T, dir string) string {
	t.Helper()
	d := opened(t, dir)
	s, err := d.OpenSnapshot(1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	s.Release()
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(file+".part", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Publish(file+".part", file, sha256.Sum256(data)); err != nil {
		t.Fatal(err)
	}
	return file
}

// change changes a database from outside.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(statement)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func mustRestore(t *testing.T, o Options) Restored {
	t.Helper()
	r, err := Restore(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRestoreMakesTheDirectoryOfAMember(t *testing.T) {
	t.Parallel()
	file := backupOf(t, stopped(t))
	const bump = 1000
	dir := filepath.Join(t.TempDir(), "data")
	r := mustRestore(t, Options{File: file, Dir: dir, ID: 2, Members: members, Bump: bump})
	if r.NodeID != 2 || r.Revision != keys || r.Start != keys+bump || r.Keys != keys {
		t.Errorf("restored %+v", r)
	}
	report, err := Verify(dir)
	if err != nil || !report.OK || report.ClusterID != r.ClusterID || report.NodeID != 2 || report.State.Keys != keys ||
		report.Log.LastIndex != keys+bump || report.Log.CommitIndex != keys+bump ||
		!slices.Contains(report.Warnings, "the cluster is not founded yet") {
		t.Errorf("verified %+v, %v", report, err)
	}
	d := opened(t, dir)
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	facts, err := d.Facts()
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.Read(facts)
	if err != nil || who.ID != 2 || who.ClusterID != r.ClusterID || len(who.Members) != 3 || who.Seating != nil {
		t.Errorf("the identity is %+v, %v", who, err)
	}
	store, err := d.LoadState()
	if err != nil || store.Applied() != keys+bump {
		t.Fatalf("the state is of %d, %v", store.Applied(), err)
	}
	if record, found := store.Get("key/07"); !found || string(record.Value) != "value 7" || record.ModRevision != 8 {
		t.Errorf("key/07 is %+v", record)
	}
}

// T28: each restore makes a disk of its own, which draws an incarnation when it first starts, and takes part in the
// founding. So what is restored holds no seat.
func TestARestoredDiskHoldsNoSeat(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	mustRestore(t, Options{File: backupOf(t, stopped(t)), Dir: dir, ID: 1, Members: members})
	d := opened(t, dir)
	facts, err := d.Facts()
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if identity.HoldsSeat(facts) {
		t.Error("it holds a seat, so that restoring it again would make a second disk with that seat")
	}
	drawn := map[raft.Incarnation]bool{}
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, seed))
		a, changes, err := identity.OpenAcceptor(facts, facts[identity.FactClusterID], random)
		if err != nil || len(changes) == 0 {
			t.Errorf("its acceptor is %+v, %v, and must be drawn at the start", a, err)
		}
		drawn[a.Incarnation] = true
	}
	if len(drawn) != 2 {
		t.Error("two disks that are restored from one backup have the same incarnation")
	}
}

// The members of one cluster agree on its id and on the start of its log; two restores that differ in anything that
// they must have in common are two clusters (H3).
func TestTheClusterIDFollowsFromWhatIsRestored(t *testing.T) {
	t.Parallel()
	file, other := backupOf(t, stopped(t)), filepath.Join(t.TempDir(), "other.db")
	parent := t.TempDir()
	seen := map[string]int{identity.StaticClusterID(members): -1, "old": -1}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	change(t, other, "VACUUM; PRAGMA user_version = 1")
	moved := []identity.Member{members[0], members[1], {ID: 3, Address: "http://h4:7080"}}
	reversed := []identity.Member{members[2], members[1], members[0]}
	for i, c := range []struct {
		o    Options
		same int // as the restore with this number
	}{
		{Options{File: file, ID: 1, Members: members}, 0},
		{Options{File: file, ID: 3, Members: reversed}, 0},
		{Options{File: file, ID: 1, Members: members, Bump: 5}, 2},
		{Options{File: file, ID: 1, Members: moved}, 3},
		{Options{File: other, ID: 1, Members: members, SkipHash: true}, 4},
	} {
		c.o.Dir = filepath.Join(parent, fmt.Sprint(i))
		r := mustRestore(t, c.o)
		first, is := seen[r.ClusterID]
		if !is {
			seen[r.ClusterID], first = i, i
		}
		if first != c.same {
			t.Errorf("restore %d has the cluster id of %d, want that of %d", i, first, c.same)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	file := backupOf(t, stopped(t))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	variant := func(name string, content []byte) string {
		path := filepath.Join(parent, name)
		sums := FormatSum(path, sha256.Sum256(data)) // that of the file as it was written
		err := errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(SumPath(path), []byte(sums), 0o600))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := bytes.Replace(data, []byte("value 7"), []byte("value 6"), 1)
	alone := variant("alone.db", data)
	full := filepath.Join(parent, "full")
	if err := errors.Join(os.Remove(SumPath(alone)), os.MkdirAll(filepath.Join(full, "lost+found"), 0o700)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "new")
	before := names(t, parent)
	for name, c := range map[string]struct {
		o    Options
		kind error
		want string
	}{
		"no hash":           {Options{File: alone}, ErrNoHash, "alone.db.sha256"},
		"wrong hash beside": {Options{File: variant("x.db", flipped)}, ErrWrongHash, "x.db.sha256"},
		"wrong hash given":  {Options{File: file, Sum: &Sum{1}}, ErrWrongHash, "must have 0100"},
		"truncated":         {Options{File: variant("x.db", data[:len(data)-4096]), SkipHash: true}, ErrDamaged, ""},
		"flipped bit":       {Options{File: variant("x.db", flipped), SkipHash: true}, ErrDamaged, `"key/07"`},
		"no database":       {Options{File: variant("x.db", []byte("text")), SkipHash: true}, ErrDamaged, ""},
		"no file":           {Options{File: filepath.Join(parent, "none")}, nil, "none"},
		"full directory":    {Options{File: file, Dir: full}, storage.ErrNotEmpty, "lost+found"},
		"not a member":      {Options{File: file, ID: 9}, ErrOptions, "9 is not among the members"},
		"bump":              {Options{File: file, Bump: math.MaxUint64}, ErrOptions, "bump"},
	} {
		c.o.Members = members
		if c.o.Dir == "" {
			c.o.Dir = dir
		}
		if c.o.ID == 0 {
			c.o.ID = 1
		}
		if c.o.File == filepath.Join(parent, "x.db") {
			content := map[string][]byte{"truncated": data[:len(data)-4096], "no database": []byte("text")}[name]
			if content == nil {
				content = flipped
			}
			variant("x.db", content)
		}
		_, err := Restore(c.o)
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.kind, c.want)
		}
	}
	_ = os.Remove(filepath.Join(parent, "x.db"))
	_ = os.Remove(SumPath(filepath.Join(parent, "x.db")))
	if after := names(t, parent); after != before {
		t.Errorf("left behind: %s, and before there was %s", after, before)
	}
}

// names returns the names in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestVerifyReportsWhatItFound(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	file := backupOf(t, dir)
	r, err := Verify(dir)
	if err != nil || !r.OK || r.Kind != Directory || r.ClusterID != "old" || r.NodeID != 1 || len(r.Warnings) > 0 {
		t.Errorf("the directory: %+v, %v", r, err)
	}
	want := Log{FirstIndex: 1, LastIndex: keys + 1, CommitIndex: keys + 1, CurrentTerm: 2, VotedFor: 1}
	if r.Log == nil || *r.Log != want {
		t.Errorf("the log: %+v", r.Log)
	}
	if r.State == nil || r.State.Revision != keys || r.State.Keys != keys || r.State.LiveBytes == 0 {
		t.Errorf("the state: %+v", r.State)
	}
	if r, err = Verify(file); err != nil || !r.OK || r.Kind != File || r.ClusterID != "old" || r.Log != nil ||
		r.State.Keys != keys || len(r.SHA256) != 64 || len(r.Warnings) > 0 {
		t.Errorf("the backup: %+v, %v", r, err)
	}
	d := opened(t, dir)
	if _, err := Verify(dir); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a directory in use: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Verify(t.TempDir()); !errors.Is(err, storage.ErrNotDatabase) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	file := backupOf(t, dir)
	want := func(path string, texts ...string) {
		t.Helper()
		r, err := Verify(path)
		if err != nil || r.OK || len(r.Damage) == 0 {
			t.Fatalf("got %+v, %v", r, err)
		}
		for _, text := range texts {
			if !strings.Contains(strings.Join(r.Damage, "\n"), text) {
				t.Errorf("found %q, want %q", r.Damage, text)
			}
		}
	}
	if err := os.WriteFile(SumPath(file), []byte(FormatSum(file, Sum{1})), 0o600); err != nil {
		t.Fatal(err)
	}
	want(file, "must have 0100")
	if err := os.WriteFile(SumPath(file), []byte("no hash"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(file, "is no SHA-256")
	change(t, filepath.Join(dir, "state.db"), `UPDATE kv SET value = 'other' WHERE key IN ('key/03', 'key/04')`)
	change(t, filepath.Join(dir, "raft.db"), `DELETE FROM logs WHERE id = 5`)
	want(dir, `"key/03"`, `"key/04"`, "entry 6 follows entry 4")
}

// A state.db of another cluster.
func TestVerifyComparesTheClusters(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	d := opened(t, dir)
	err := errors.Join(d.SaveFacts(map[string]string{identity.FactClusterID: "another"}), d.Close())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(dir)
	if err != nil || r.OK || !strings.Contains(strings.Join(r.Damage, "\n"), `"old", and the log of cluster "another"`) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// T45: every row of a state that differs is as it was written, so only the fact on the disk shows it.
func TestVerifyWarnsOfAStateThatDiffers(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	for index, want := range map[string]int{"0": 0, "17": 1} {
		d := opened(t, dir)
		if err := errors.Join(d.SaveFacts(map[string]string{snapshot.FactStateDiffers: index}), d.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(dir)
		if err != nil || !r.OK || len(r.Warnings) != want || want > 0 && !strings.Contains(r.Warnings[0], "entry 17") {
			t.Errorf("%s: got %+v, %v", index, r, err)
		}
	}
}

func TestPublishComparesTheHash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "b.db")
	if err := os.WriteFile(file+".part", []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Publish(file+".part", file, Sum{1}); !errors.Is(err, ErrWrongHash) || names(t, dir) != "b.db.part" {
		t.Errorf("got %v, and there is %s", err, names(t, dir))
	}
	sum := sha256.Sum256([]byte("content"))
	if err := Publish(file+".part", file, sum); err != nil || names(t, dir) != "b.db b.db.sha256" {
		t.Errorf("got %v, and there is %s", err, names(t, dir))
	}
	text, err := os.ReadFile(SumPath(file))
	if want := fmt.Sprintf("%x  b.db\n", sum); err != nil || string(text) != want {
		t.Errorf("the hash is in %q, want %q", text, want)
	}
	if got, found, err := readSums(file); err != nil || !found || !slices.Equal(got, []Sum{sum}) {
		t.Errorf("read %x, %t, %v", got, found, err)
	}
}

// A crash at any step of the replacement of a backup leaves one that is accepted, or none, and the next replacement
// leaves the hash of the new one alone.
func TestACrashWhileABackupIsReplacedLeavesOneThatIsAccepted(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	for name, prepare := range map[string]func(file string) error{
		"over a backup":                func(string) error { return nil },
		"over a backup without a hash": func(file string) error { return os.Remove(SumPath(file)) },
		"where only a hash was left":   os.Remove,
		"where there is nothing": func(file string) error {
			return errors.Join(os.Remove(file), os.Remove(SumPath(file)))
		},
		"over an interrupted replacement": func(file string) error { return writeSums(file, Sum{1}, mustSum(t, file)) },
	} {
		for done := 0; done <= 3; done++ {
			file := backupOf(t, dir)
			if err := prepare(file); err != nil {
				t.Fatal(err)
			}
			next := backupOf(t, dir)
			change(t, next, `VACUUM`) // other bytes, and as sound
			want := mustSum(t, next)
			steps, err := publication(next, file, want)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range steps[:min(done, len(steps))] {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(file); err == nil {
				_, err := Restore(Options{File: file, Dir: filepath.Join(t.TempDir(), "new"), ID: 1, Members: members})
				if err != nil && !errors.Is(err, ErrNoHash) {
					t.Errorf("%s, %d steps: %v", name, done, err)
				}
				if r, err := Verify(file); err != nil || !r.OK {
					t.Errorf("%s, %d steps: %+v, %v", name, done, r, err)
				}
			}
			if done >= len(steps) {
				if got, _, err := readSums(file); err != nil || !slices.Equal(got, []Sum{want}) {
					t.Errorf("%s: the hashes are %x, %v", name, got, err)
				}
			}
		}
	}
}

func mustSum(t *testing.T, file string) Sum {
	t.Helper()
	sum, _, err := sumOf(file)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
