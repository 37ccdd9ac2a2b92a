package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// spoil has a scrub find one wrong value.
func (m *machine) spoil() {
	t := m.tb.(*testing.T)
	t.Helper()
	flip(t, filepath.Join(m.dir, stateName), "value number 3")
	if found, _ := scrub(m.d); !errors.Is(found, snapshot.ErrDamagedState) {
		t.Fatalf("found %v", found)
	}
}

// Nothing is copied of a checkpoint in which damage is known, and a copy that was made before is not used: it may have
// the wrong row, which SQLite does not detect.
func TestNoCopyIsMadeOfADamagedCheckpoint(t *testing.T) { // S10
	t.Parallel()
	m := scrubbed(t)
	before := mustSnapshot(t, m.d)
	before.Release() // it is kept for a minute
	m.spoil()
	for range 2 {
		if s, err := m.d.openSnapshot(1); !errors.Is(err, snapshot.ErrDamagedState) {
			t.Fatalf("the copy %v: %v", s, err)
		}
	}
	if err := m.d.SaveState(m.whole()); err != nil {
		t.Fatal(err)
	}
	s := mustSnapshot(t, m.d)
	defer s.Release()
	all := make([]byte, s.Size())
	if _, err := s.ReadAt(all, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if s.ID() == before.ID() || !bytes.Contains(all, []byte("value number 3")) {
		t.Errorf("the copy %s after the repair lacks the value", s.ID())
	}
}

// A cut that waits goes on with no save while the checkpoint is known to be damaged, because a restart may need the
// whole log, and with none of its own. It goes on when another checkpoint is in place.
func TestACutWaitsForTheRepairOfTheCheckpoint(t *testing.T) { // T50, S10
	t.Parallel()
	for name, repair := range map[string]func(t *testing.T, m *machine){
		"a checkpoint of everything": func(t *testing.T, m *machine) {
			t.Helper()
			if err := m.d.SaveState(m.whole()); err != nil {
				t.Fatal(err)
			}
		},
		"found by a checkpoint": func(t *testing.T, m *machine) {
			t.Helper()
			m.d.checkpoint.noteDamage(ErrDamaged)
			m.do(`{"op":"put","key":"key/30","value":"later"}`)
			if start := m.d.start.Load().Index; start != 0 {
				t.Errorf("the log is cut to entry %d", start)
			}
			if err := m.d.SaveState(m.whole()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := scrubbed(t)
			to := m.last - 2
			if _, err := m.d.Cut(to, nil, raft.Configuration{}); err != nil {
				t.Fatal(err)
			}
			m.d.cut.company = 0 // the next transaction removes what it can
			m.spoil()
			m.do(`{"op":"put","key":"key/20","value":"later"}`)
			version := m.d.version
			for range 3 {
				if waits, err := m.d.Cut(to, nil, raft.Configuration{}); err != nil || !waits || m.d.version != version {
					t.Errorf("entries wait: %v, after %d transactions, %v", waits, m.d.version-version, err)
				}
			}
			if start := m.d.start.Load().Index; start != 0 {
				t.Errorf("the log is cut to entry %d", start)
			}
			repair(t, m)
			m.do(`{"op":"put","key":"key/21","value":"later"}`)
			if start := m.d.start.Load().Index; start != to {
				t.Errorf("after the repair, the log is cut to entry %d, want %d", start, to)
			}
		})
	}
}

// unreadable makes calls of a name fail as a page does that the disk cannot read.
type unreadable struct {
	name string
	on   atomic.Bool
}

func (u *unreadable) inject(name string, call func() error) error {
	if u.on.Load() && name == u.name {
		return &codeError{sqlite3.SQLITE_IOERR_READ, "disk I/O error"}
	}
	return call()
}

// A page that cannot be read is damage, also when the write-ahead log is copied into the database, after the
// transaction. A checkpoint of everything follows.
func TestAPageThatCannotBeReadWhenTheLogIsCopied(t *testing.T) { // T53, S10
	t.Parallel()
	u := unreadable{name: passiveCheckpoint}
	opts := kept
	opts.inject = u.inject
	m := newMachine(t, t.TempDir(), opts)
	value := strings.Repeat("v", 500_000)
	for i := range statePages*pageSize/len(value) + 2 {
		m.do(fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i, value))
	}
	u.on.Store(true)
	for range 2 {
		if err := m.d.SaveState(m.checkpoint()); !errors.Is(err, snapshot.ErrDamagedState) {
			t.Fatalf("the checkpoint: %v", err)
		}
	}
	u.on.Store(false)
	m.wantRewritten()
}

// What a copy finds is noted as what a scrub finds, so that it is repaired before the next scrub.
func TestACopyFindsAPageThatCannotBeRead(t *testing.T) { // S10
	t.Parallel()
	u := unreadable{name: "copy"}
	opts := kept
	opts.inject = u.inject
	m := newMachine(t, t.TempDir(), opts)
	m.do(`{"op":"put","key":"key/03","value":"there"}`)
	m.save()
	u.on.Store(true)
	if _, err := m.d.openSnapshot(1); !errors.Is(err, snapshot.ErrDamagedState) {
		t.Fatalf("the copy: %v", err)
	}
	u.on.Store(false)
	if _, err := m.d.openSnapshot(1); !errors.Is(err, snapshot.ErrDamagedState) {
		t.Errorf("another copy: %v", err)
	}
	m.wantRewritten()
}
