package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// votersDisk returns the data directory of node 2 of three, which ended without closing its disk if crashed is set.
func votersDisk(t *testing.T, crashed bool) string {
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
	assigned := identity.Assignment{Identity: identity.Identity{ID: 2, ClusterID: "c"}, Members: members}
	facts, err := assigned.Facts(&identity.Seating{Incarnation: 7, Founders: []raft.Seat{{Member: 2, Incarnation: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	var entries []raft.Entry
	for i := range raft.Index(400) {
		entries = append(entries, raft.Entry{
			Index: i + 1, Term: 2, Command: fmt.Appendf(nil, `{"op":"set","key":"k","value":"number %d"}`, i+1),
		})
	}
	err = errors.Join(d.SaveFacts(facts), d.Save(raft.HardState{Term: 2, Vote: 1, Commit: 390}, entries))
	if crashed {
		image := t.TempDir()
		err = errors.Join(err, os.CopyFS(image, os.DirFS(dir)))
		dir = image
	}
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// spoil changes the content of a file; nil: it is removed.
func spoil(t *testing.T, path string, change func(content []byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if content = change(content); content == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever is damaged in the log or the vote, the node does not start, and prints the command that replaces it.
func TestAVoterWithADamagedLogNamesTheCommandThatReplacesIt(t *testing.T) { // T54
	t.Parallel()
	zero := func(from, to int) func(content []byte) []byte {
		return func(content []byte) []byte {
			clear(content[from:min(to, len(content))])
			return content
		}
	}
	replaced := func(old, now string) func(content []byte) []byte {
		return func(content []byte) []byte {
			if !bytes.Contains(content, []byte(old)) {
				t.Errorf("the file does not have %q", old)
			}
			return bytes.ReplaceAll(content, []byte(old), []byte(now))
		}
	}
	cutTo := func(size int) func(content []byte) []byte {
		return func(content []byte) []byte { return content[:size] }
	}
	garbage := func([]byte) []byte { return bytes.Repeat([]byte("?"), 9000) }
	for name, c := range map[string]struct {
		crashed bool
		file    string
		change  func(content []byte) []byte
	}{
		"a flipped bit in an entry":              {false, "raft.db", replaced("number 17\"", "number 16\"")},
		"a flipped bit in the vote":              {false, "raft.db", replaced("voted_for1", "voted_for3")},
		"a header of zeros":                      {false, "raft.db", zero(0, 100)},
		"a page of zeros":                        {false, "raft.db", zero(4096, 8192)},
		"a truncated file":                       {false, "raft.db", cutTo(20_000)},
		"an empty file":                          {false, "raft.db", func([]byte) []byte { return []byte{} }},
		"garbage":                                {false, "raft.db", garbage},
		"no database beside its write-ahead log": {true, "raft.db", func([]byte) []byte { return nil }},
		"no write-ahead log":                     {true, "raft.db-wal", func([]byte) []byte { return nil }},
		"a truncated write-ahead log":            {true, "raft.db-wal", cutTo(4096)},
		"no mark":                                {true, "raft.db-mark", func([]byte) []byte { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := votersDisk(t, c.crashed)
			spoil(t, filepath.Join(dir, c.file), c.change)
			var output syncBuffer
			code := run(t.Context(), []string{
				"serve", "--data-dir", dir, "--id", "2", "--initial-cluster", "1=http://h1:7080,2=http://h2:7080,3=http://h3:7080",
			}, &output, &output)
			for _, want := range []string{
				"raftctl member replace 2 --with http://h2:7080", "move " + dir + " away",
				"--join --advertise-peer http://h2:7080 and an empty data directory",
			} {
				if code != exitFailed || !strings.Contains(output.String(), want) {
					t.Errorf("exit code %d, want %q in %s", code, want, &output)
				}
			}
		})
	}
}

// What is named depends on what is known; nothing is named for an error that a new disk does not mend.
func TestWhatReplacesAMemberIsNamedAsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	members, err := identity.ParseMembers("1=http://h1:7080,2=http://h2:7080")
	if err != nil {
		t.Fatal(err)
	}
	damage := fmt.Errorf("open: %w", storage.ErrIncomplete)
	second := memberConfig{id: 2, members: members}
	for _, c := range []struct {
		err    error
		config memberConfig
		want   string
	}{
		{damage, second, "raftctl member replace 2 --with http://h2:7080"},
		{damage, memberConfig{join: true, advertisePeer: "http://h9:7080"}, "member replace ID --with http://h9:7080"},
		{damage, memberConfig{fromData: true}, "raftctl member replace ID --with URL"},
		{damage, memberConfig{id: 1, members: members[:1]}, "raftctl restore"},
		{fmt.Errorf("x: %w", identity.ErrDiskLost), second, "raftctl member replace 2"},
		{&divergence.Error{Node: 2}, second, "raftctl member replace 2"},
		{&divergence.Error{Node: 2, OtherFounders: []raft.NodeID{1}}, second, "raftctl get KEY"},
		{fmt.Errorf("%w: %w", snapshot.ErrDamagedState, damage), second, ""},
		{storage.ErrLocked, second, ""},
		{storage.ErrDiskFull, second, ""},
	} {
		got := explainDamage(c.err, &c.config)
		if !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.want) ||
			strings.Contains(got.Error(), "raftctl") != (c.want != "") {
			t.Errorf("%v becomes %v, want %q", c.err, got, c.want)
		}
	}
	if explainDamage(nil, &memberConfig{}) != nil {
		t.Error("no error becomes one")
	}
}
