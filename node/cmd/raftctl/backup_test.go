package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

func TestBackup(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	raftctl(t, cluster, "", "put", "a", "1").want(t, 0, "revision 1, created\n")
	file := filepath.Join(t.TempDir(), "b.db")
	r := raftctl(t, cluster, "", "backup", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	sum := sha256.Sum256(data)
	r.want(t, 0, fmt.Sprintf("%s: revision 1, %s, sha256 %x\n", file, bytesText(int64(len(data))), sum))
	if text, err := os.ReadFile(file + ".sha256"); err != nil || string(text) != fmt.Sprintf("%x  b.db\n", sum) {
		t.Errorf("the hash is in %q, %v", text, err)
	}
	raftctl(t, cluster, "", "put", "a", "2").want(t, 0, "revision 2\n")
	raftctl(t, cluster, "", "backup", file).want(t, 1, "", "error: "+file+" exists", "--force")
	r = raftctl(t, cluster, "", "backup", file, "--force", "-o", "ndjson")
	if r.code != 0 || !strings.HasPrefix(r.stdout, `{"file":"`+file+`","revision":2,"bytes":`) {
		t.Errorf("got %+v", r)
	}
	cluster.Elect(0)
	other := filepath.Join(filepath.Dir(file), "c.db")
	raftctl(t, cluster, "", "backup", other, "--consistency", "stale", "-o", "raw").want(t, 0, sumText(t, other)+"\n")
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 4 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	raftctl(t, cluster, "", "backup", "b.db", "--curl", "--endpoints", "h:1").want(t, 0,
		"curl -o b.db http://h:1/api/v1/backup\n")
	raftctl(t, cluster, "", "backup").want(t, 2, "", "accepts 1 arg")
	raftctl(t, cluster, "", "backup", filepath.Join(file, "x")).want(t, 1, "", "not a directory")
}

// A backup that cannot be continued begins anew, and nothing of the first attempt stays, although that was longer. One
// that fails leaves no file.
func TestBackupBeginsAnew(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "put", "a", "1").want(t, 0, "revision 1, created\n")
	asked := 0
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBackup {
			return false
		}
		if asked++; asked > 1 && r.Header.Get("Range") == "" {
			return false
		}
		h := w.Header()
		h.Set("Etag", fmt.Sprintf(`"%d-a"`, asked)) // another one each time
		h.Set(api.HeaderRevision, "1")
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))+":")
		h.Set("Content-Length", "200000")
		_, _ = w.Write(make([]byte, 100_000))
		panic(http.ErrAbortHandler)
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "b.db")
	r := raftctl(t, cluster, "", "backup", file, "-o", "raw")
	r.want(t, 0, sumText(t, file)+"\n", "it begins anew")
	data, err := os.ReadFile(file)
	if err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != sumText(t, file) || len(data) >= 100_000 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != api.PathBackup {
			return false
		}
		h := w.Header()
		h.Set("Etag", `"1-a"`)
		h.Set(api.HeaderRevision, "1")
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))+":")
		h.Set("Content-Length", "10")
		_, _ = w.Write(make([]byte, 10))
		return true
	})
	if r := raftctl(t, cluster, "", "backup", filepath.Join(dir, "c.db")); r.code == 0 ||
		!strings.Contains(r.stderr, "has the hash") {
		t.Errorf("a backup with another hash: %+v", r)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// sumText returns the hash that lies beside a backup.
func sumText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file + ".sha256")
	if err != nil {
		return err.Error()
	}
	sum, _, _ := strings.Cut(string(text), " ")
	return sum
}

// stoppedNode returns the data directory of a node with a checkpoint, and a backup of it.
func stoppedNode(t *testing.T) (dir, file string) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "n1"), filepath.Join(t.TempDir(), "b.db")
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := identity.Assignment{
		Identity: identity.Identity{ID: 1, ClusterID: "c-1"}, Members: []identity.Member{{ID: 1, Address: "http://h1:7080"}},
	}
	facts, err := a.Facts(&identity.Seating{Incarnation: 7, Founders: []raft.Seat{{Member: 1, Incarnation: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	store := kv.New()
	var log []raft.Entry
	for i := range uint64(9) {
		command := fmt.Appendf(nil, `{"op":"put","key":"key/%d","value":"value %d"}`, i, i)
		log = append(log, raft.Entry{Index: raft.Index(i) + 1, Term: 3, Timestamp: 1, Command: command})
		store.Apply(kv.Entry{Revision: i + 1, Timestamp: 1, Command: command})
	}
	shared, err := a.ClusterFacts(nil)
	err = errors.Join(err, d.SaveFacts(facts), d.Save(raft.HardState{Term: 3, Vote: 1, Commit: 9}, log),
		d.SaveState(snapshot.Checkpoint{Delta: store.Delta(0), Facts: shared}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.OpenSnapshot(9)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
	s.Release()
	if err := errors.Join(err, d.Close(), os.WriteFile(file, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func offline(t *testing.T, args ...string) result { return raftctlIn(t.Context(), nil, "", args...) }

func TestVerify(t *testing.T) {
	t.Parallel()
	dir, file := stoppedNode(t)
	offline(t, "verify", dir).want(t, 0, dir+`: ok
  node     1 of cluster c-1
  state    revision 9, 9 keys, `+liveBytes(t, dir)+`
  history  0 versions, 0 B, compacted up to revision 0
  log      entries 1 to 9, committed up to 9, term 3, vote for node 1
`)
	r := offline(t, "verify", file, "-o", "ndjson")
	const report = `"kind":"file","ok":true,"cluster_id":"c-1","state":{"revision":9,"keys":9,`
	if r.code != 0 || !strings.Contains(r.stdout, report) {
		t.Errorf("got %+v", r)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(data, []byte("value 7"), []byte("value 6"), 1)
	if err := os.WriteFile(file, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	r = offline(t, "verify", file)
	if r.code != 1 || !strings.HasPrefix(r.stdout, file+": damaged\n") ||
		!strings.Contains(r.stdout, `key "key/7" in kv`) ||
		!strings.Contains(r.stderr, "error: "+file+" is damaged; errors: 1") {
		t.Errorf("got %+v", r)
	}
	offline(t, "verify", file, "-o", "raw").want(t, 1, "damaged\n")
	offline(t, "verify", filepath.Join(dir, "none")).want(t, 1, "", "no such file")
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	offline(t, "verify", dir).want(t, 1, "", "the data directory is in use")
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// liveBytes returns the size of the state as the text shows it.
func liveBytes(t *testing.T, dir string) string {
	t.Helper()
	v, err := storage.VerifyDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return bytesText(v.State.LiveBytes)
}

func TestRestore(t *testing.T) {
	t.Parallel()
	_, file := stoppedNode(t)
	dir := filepath.Join(t.TempDir(), "new")
	command := func(more ...string) []string {
		return append([]string{
			"restore", file, "--data-dir", dir, "--id", "2", "--initial-cluster", "1=http://h1:7080,2=http://h2:7080",
		}, more...)
	}
	offline(t, command()...).want(t, 1, "", "the hash of the backup is unknown", "--skip-hash-check")
	offline(t, command("--sha256", strings.Repeat("0", 64))...).want(t, 1, "", "the backup has another hash")
	offline(t, command("--sha256", "12")...).want(t, 2, "", "is no SHA-256")
	offline(t, command("--id", "3")...).want(t, 2, "", "this node's id 3 is not among the members")
	offline(t, command("--initial-cluster", "1=h1")...).want(t, 2, "", "--initial-cluster: member 1")
	offline(t, "restore", file).want(t, 2, "", "--data-dir is missing")
	offline(t, "restore", file, "--data-dir", dir).want(t, 2, "", "--initial-cluster is missing")
	r := offline(t, command("--skip-hash-check", "--bump", "1000")...)
	if r.code != 0 || !strings.Contains(r.stdout, dir+" is the data directory of node 2 of cluster restored-") ||
		!strings.Contains(r.stdout, "9 keys of revision 9; new revisions are above 1,009\n") ||
		!strings.Contains(r.stdout, "raftnode serve --id 2 --data-dir "+dir+" --initial-cluster 1=http://h1:7080,2=") {
		t.Errorf("got %+v", r)
	}
	offline(t, command("--skip-hash-check")...).want(t, 1, "", "the directory is not empty")
	const log = "no entry after 1,009, committed up to 1,009, term 3, no vote"
	if r := offline(t, "verify", dir); r.code != 0 || !strings.Contains(r.stdout, log) {
		t.Errorf("got %+v", r)
	}
}
