package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/backup"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/recovery"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// survivor returns the data directory of node 2 of three, with some entries.
func survivor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	members, err := identity.ParseMembers("1=http://h1:7080,2=http://h2:7080,3=http://h3:7080")
	if err != nil {
		t.Fatal(err)
	}
	assigned := identity.Assignment{Identity: identity.Identity{ID: 2, ClusterID: "old"}, Members: members}
	facts, err := assigned.Facts(&identity.Seating{Incarnation: 7, Founders: []raft.Seat{{Member: 2, Incarnation: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	var entries []raft.Entry
	for i := range raft.Index(4) {
		entries = append(entries, raft.Entry{
			Index: i + 1, Term: 2, Timestamp: 1_700_000_000_000_000, Command: []byte(`{"op":"set","key":"k","value":1}`),
		})
	}
	if err := errors.Join(d.SaveFacts(facts), d.Save(raft.HardState{Term: 2, Commit: 3}, entries), d.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// recoverFrom runs raftctl recover with an answer on a terminal; nil: there is none.
func recoverFrom(t *testing.T, answer *string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: os.Getenv}
	if answer != nil {
		p.stdin, p.fromTerminal = strings.NewReader(*answer), true
	}
	code := p.run(append([]string{"recover"}, args...))
	return result{code, stdout.String(), stderr.String()}
}

func TestRecoverShowsWhatMayBeLostAndAsksFirst(t *testing.T) {
	t.Parallel()
	old := survivor(t)
	yes, no, end := "yes\n", "y\n", ""
	for name, c := range map[string]struct {
		answer *string
		flags  []string
		code   int
		stderr string
	}{
		"a program":              {nil, nil, 2, "stdin is not a terminal, so this needs --yes"},
		"a program with --yes":   {nil, []string{"--yes"}, 0, "survivor"},
		"a person who types yes": {&yes, nil, 0, "Type yes to continue: "},
		"a person who types y":   {&no, nil, 1, "nothing was done"},
		"a person who leaves":    {&end, nil, 1, "nothing was done"},
		"a person with --yes":    {&no, []string{"--yes"}, 0, "survivor"},
	} {
		into := filepath.Join(t.TempDir(), "new")
		args := append([]string{"--data-dir", old, "--into", into, "--advertise-peer", "http://h9:7080"}, c.flags...)
		r := recoverFrom(t, c.answer, args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("%s: exit code %d, want %d; stderr:\n%s", name, r.code, c.code, r.stderr)
		}
		for _, text := range []string{
			"node 2, log up to entry 4 of term 2, committed up to 3, written 2023-11-14T22:13:20Z (", "all entries up to 4",
			"those after 3 are not known to be committed", "after entry 4 and is only on the disk of nodes 1 and 3",
			into + ": node 4 at http://h9:7080, the only member of cluster recovered-1-",
		} {
			if !strings.Contains(r.stderr, text) {
				t.Errorf("%s: the plan lacks %q:\n%s", name, text, r.stderr)
			}
		}
		if _, err := os.Stat(into); (err == nil) != (c.code == 0) {
			t.Errorf("%s: the new directory: %v", name, err)
		}
		if c.code == 0 && !strings.Contains(r.stdout, "start it: raftnode serve --data-dir "+into) {
			t.Errorf("%s: stdout:\n%s", name, r.stdout)
		}
	}
	if r, err := backup.Verify(old); err != nil || !r.OK || r.ClusterID != "old" || r.Log.LastIndex != 4 {
		t.Errorf("the old directory is %+v, %v", r, err)
	}
}

func TestRecoverIsScriptable(t *testing.T) {
	t.Parallel()
	into := filepath.Join(t.TempDir(), "new")
	r := recoverFrom(t, nil, "--data-dir", survivor(t), "--into", into, "--advertise-peer", "http://h9:7080", "--yes",
		"-o", "json")
	var plan recovery.Plan
	err := json.Unmarshal([]byte(r.stdout), &plan)
	if r.code != 0 || err != nil || plan.NodeID != 4 || plan.LastIndex != 5 ||
		plan.KnownCommit != 3 || plan.Dir != into || len(plan.Missing) != 2 {
		t.Errorf("%+v: %+v, %v", r, plan, err)
	}
	if v, err := backup.Verify(into); err != nil || !v.OK || v.ClusterID != plan.ClusterID || v.Log.CommitIndex != 5 {
		t.Errorf("the new directory is %+v, %v", v, err)
	}
}

func TestRecoverRefusesWithWhatIsRight(t *testing.T) {
	t.Parallel()
	old, into := survivor(t), filepath.Join(t.TempDir(), "new")
	d, err := storage.Open(old, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	all := []string{"--data-dir", old, "--into", into, "--advertise-peer", "http://h9:7080", "--yes"}
	recoverFrom(t, nil, all...).want(t, 1, "", "is in use", "stop every node of the cluster")
	recoverFrom(t, nil).want(t, 2, "", "--data-dir is missing")
	recoverFrom(t, nil, all[:2]...).want(t, 2, "", "--into is missing")
	recoverFrom(t, nil, all[:4]...).want(t, 2, "", "--advertise-peer is missing")
	recoverFrom(t, nil, append(all, "--advertise-peer", "h9")...).want(t, 2, "", "h9")
	recoverFrom(t, nil, append(all, "--data-dir", old)...).want(t, 2, "", "are the same")
}
