package storage

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// S1, S2, S7, T55: the settings that durability depends on are in effect on the connections that are used.
func TestSettingsHold(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	for _, c := range []struct {
		conn          *conn
		setting, want string
	}{
		{d.writer, "journal_mode", "wal"},
		{d.writer, "synchronous", "2"},
		{d.writer, "wal_autocheckpoint", "0"},
		{d.writer, "mmap_size", "0"},
		{d.writer, "fullfsync", "1"},
		{d.writer, "busy_timeout", "5000"},
		{d.writer, "page_size", "4096"},
		{d.reader, "journal_mode", "wal"},
		{d.reader, "mmap_size", "0"},
		{d.reader, "busy_timeout", "5000"},
	} {
		got, err := c.conn.value("PRAGMA " + c.setting)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s is %v, %v; want %s", c.setting, got, err, c.want)
		}
	}
}

// S1: SQLite returns no error for a setting that is unknown or cannot be applied.
func TestSettingThatDoesNotHoldIsAnError(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]pragma{
		"unknown": {"no_such_setting", "1", "1"},
		"ignored": {"journal_mode", "OFF", "off"}, // a defensive connection does not turn it off
		"altered": {"wal_autocheckpoint", "-5", "-5"},
	} {
		c, err := connect(filepath.Join(t.TempDir(), "x.db"), "rwc", []pragma{p}, nil)
		if err == nil {
			t.Errorf("%s: it opened", name)
			_ = c.close() // the test failed already
			continue
		}
		if !strings.Contains(err.Error(), p.name) || !strings.Contains(err.Error(), "must be "+p.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReaderCannotWrite(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	mustSave(t, d, raft.HardState{Term: 1}, entries(1, 1, 1))
	if err := d.reader.exec("DELETE FROM logs"); err == nil {
		t.Error("the reader deleted the log")
	}
}

// S2: the version in use is new enough, and an older one would be refused.
func TestSQLiteIsNewEnough(t *testing.T) {
	t.Parallel()
	d := mustOpen(t, t.TempDir(), small)
	if err := checkSQLite(d.reader, oldestSQLite); err != nil {
		t.Error(err)
	}
	if err := checkSQLite(d.reader, [3]int{3, 999, 0}); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Error(err)
	}
}

// A path is not a URL: characters with a meaning in a URL must have none in a path.
func TestPathsOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with space", "ques?tion", "per%41cent", "ha#sh", "a&b=c", "é✓", "quote'\"s"} {
		dir := filepath.Join(t.TempDir(), name)
		mustClose(t, mustOpen(t, dir, small))
		if got := len(files(t, dir)); got != 1 {
			t.Errorf("%q has %d files", name, got)
		}
	}
}
