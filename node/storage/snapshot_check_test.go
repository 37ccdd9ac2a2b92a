package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/storage/sqlitefile"
)

// checkedBy opens a snapshot and reads it in one way.
func checkedBy(path string, read func(*conn, *pace) (*kv.Store, stateMeta, error)) (*kv.Store, error) {
	c, err := connect(path, "immutable", commonPragmas, nil)
	if err != nil {
		return nil, err
	}
	var store *kv.Store
	if _, err = stateKind.check(c); err == nil {
		store, _, err = read(c, nil)
	}
	return store, errors.Join(err, c.close())
}

// largeSnapshot returns the bytes of a snapshot with trees of several levels, rows on several pages, history, and pages
// that are free.
func largeSnapshot(tb testing.TB, seed uint64) (data []byte, want *kv.Store) {
	tb.Helper()
	m := newMachine(tb, tb.TempDir(), kept)
	random := rand.New(rand.NewPCG(seed, 1))
	for first := 0; first < 1200; first += 300 {
		m.change(first, 300, 1)
		m.save()
	}
	for range 4 {
		for range 80 {
			m.do(m.randomCommand(random))
		}
		m.do(fmt.Sprintf(`{"op":"delete","prefix":"key/%026d"}`, random.IntN(12))) // a hundred keys
		m.save()
	}
	s := mustSnapshot(tb, m.d)
	data = make([]byte, s.Size())
	if _, err := s.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		tb.Fatal(err)
	}
	return data, m.store
}

// S10, T34: what is read page by page is what SQLite reads.
func TestPagesHaveWhatSQLiteReads(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		data, want := largeSnapshot(t, seed)
		path := filepath.Join(t.TempDir(), "snapshot.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, read := range map[string]func(*conn, *pace) (*kv.Store, stateMeta, error){
			"pages": readPages, "SQLite": readWithSQLite, "a snapshot": readSnapshot,
		} {
			if got, err := checkedBy(path, read); err != nil || got.Digest() != want.Digest() {
				t.Errorf("seed %d, %s: %v", seed, name, err)
			}
		}
		if trunk := binary.BigEndian.Uint32(data[32:]); seed == 0 && trunk == 0 {
			t.Error("no page is free")
		}
	}
}

// T34: damage of the structure that SQLite finds in a snapshot is found page by page, too, and nothing is read that
// SQLite does not read.
func TestPagesFindTheDamageThatSQLiteFinds(t *testing.T) {
	t.Parallel()
	good, _ := largeSnapshot(t, 1)
	path := filepath.Join(t.TempDir(), "snapshot.db")
	random := rand.New(rand.NewPCG(3, 4))
	pages := len(good) / pageSize
	found, stricter := 0, 0
	for i := range 800 / thinned {
		bad := bytes.Clone(good)
		page := bad[random.IntN(pages)*pageSize:][:pageSize]
		switch i % 4 {
		case 0: // a bit anywhere
			bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
		case 1: // a bit of the structure: the headers and pointers at the beginning of a page
			page[random.IntN(40)] ^= 1 << random.IntN(8)
		case 2: // a page in the place of another
			copy(page, good[random.IntN(pages)*pageSize:][:pageSize])
		case 3: // two bytes anywhere in a page
			binary.BigEndian.PutUint16(page[random.IntN(pageSize-1):], uint16(random.Uint32()))
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		want, bySQLite := checkedBy(path, readWithSQLite)
		got, byPages := checkedBy(path, readPages)
		switch {
		case byPages == nil && bySQLite != nil:
			t.Errorf("change %d: SQLite finds %v, and it is read page by page", i, bySQLite)
		case byPages == nil && got.Digest() != want.Digest():
			t.Errorf("change %d: it is read as something else", i)
		case errors.Is(byPages, sqlitefile.ErrUnsupported): // SQLite reads it then
		case byPages != nil && !errors.Is(byPages, ErrDamaged) && bySQLite == nil:
			t.Errorf("change %d: an error of no known kind: %v", i, byPages)
		case byPages != nil && bySQLite == nil:
			stricter++
			t.Logf("change %d: only page by page: %v", i, byPages)
		case byPages != nil:
			found++
		}
	}
	t.Logf("%d found, %d of them by pages alone", found+stricter, stricter)
}

// A snapshot with an index of the user is read by SQLite, which checks that index as well.
func TestASnapshotWithMoreInItIsReadBySQLite(t *testing.T) {
	t.Parallel()
	data, want := largeSnapshot(t, 2)
	for name, statement := range map[string]string{
		"an index":    `CREATE INDEX by_revision ON kv (revision)`,
		"a table":     `CREATE TABLE mine (a)`,
		"page size":   `PRAGMA page_size = 8192; VACUUM`,
		"auto vacuum": `PRAGMA auto_vacuum = FULL; VACUUM`,
	} {
		path := filepath.Join(t.TempDir(), "snapshot.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		runSQL(t, path, strings.Split(statement, "; ")...)
		if _, err := checkedBy(path, readPages); !errors.Is(err, sqlitefile.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := checkedBy(path, readSnapshot); err != nil || got.Digest() != want.Digest() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is about to be loaded is reported with its size, and when it is loaded: a checkpoint as well as a snapshot.
func TestALoadIsReported(t *testing.T) {
	t.Parallel()
	m := sender(t, kept)
	s := mustSnapshot(t, m.d)
	var sizes []int64
	loaded := 0
	opts := small
	opts.Loading = func(bytes int64) func() {
		sizes = append(sizes, bytes)
		return func() { loaded++ }
	}
	d, err := Open(receiver(t, 40), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, d)
	if _, err := d.LoadState(); err != nil || len(sizes) != 1 || loaded != 1 || sizes[0] <= 0 {
		t.Errorf("the checkpoint: sizes %d, %d loaded, %v", sizes, loaded, err)
	}
	if verified(t, s, d); len(sizes) != 2 || loaded != 2 || sizes[1] < s.Size() {
		t.Errorf("the snapshot of %d bytes: sizes %d, %d loaded", s.Size(), sizes, loaded)
	}
}
