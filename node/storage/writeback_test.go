package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// calls records the calls that an injector sees, and has one fail.
type calls struct {
	mu      sync.Mutex // guards seen
	seen    []string
	failing string
}

func (c *calls) inject(name string, call func() error) error {
	c.mu.Lock()
	c.seen = append(c.seen, name)
	c.mu.Unlock()
	if name == c.failing {
		return errInjected
	}
	return call()
}

// take returns the calls since the last time.
func (c *calls) take() (seen []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, c.seen = c.seen, nil
	return seen
}

func (c *calls) count(name string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, seen := range c.seen {
		if seen == name {
			n++
		}
	}
	return n
}

// largeSender returns a machine whose checkpoint is a little larger than so many times writeBackBytes.
func largeSender(tb testing.TB, opts Options, times int) *machine {
	tb.Helper()
	m := newMachine(tb, tb.TempDir(), opts)
	value := strings.Repeat("v", 500_000)
	for i := range times*writeBackBytes/len(value) + 1 {
		m.do(fmt.Sprintf(`{"op":"put","key":"k%d","value":"%s"}`, i, value))
	}
	m.save()
	return m
}

// H1, T37: the disk is given a copy and a reception in parts. What becomes state.db is synced before it is renamed.
func TestTheDiskIsGivenASnapshotInParts(t *testing.T) {
	t.Parallel()
	var sent, received calls
	opts := kept
	opts.inject = sent.inject
	m := largeSender(t, opts, 2)
	s := mustSnapshot(t, m.d)
	if n := sent.count("write copy back"); n != 2 {
		t.Errorf("the disk was given the copy %d times, want 2", n)
	}
	d, err := Open(receiver(t, 5), Options{inject: received.inject, checkpointPages: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, d)
	in := verified(t, s, d)
	if n := received.count("write reception back"); n != 2 {
		t.Errorf("the disk was given the reception %d times, want 2", n)
	}
	if err := in.Install(); err != nil {
		t.Fatal(err)
	}
	synced, renamed := slices.Index(received.seen, "sync reception"), slices.Index(received.seen, "prepare installation")
	if synced < 0 || renamed < synced {
		t.Errorf("synced in call %d, renamed in call %d", synced, renamed)
	}
}

// A copy that the disk does not take is removed, and the next one is made from the beginning.
func TestACopyThatTheDiskDoesNotTake(t *testing.T) {
	t.Parallel()
	failing := calls{failing: "write copy back"}
	opts := kept
	opts.inject = failing.inject
	m := largeSender(t, opts, 1)
	if _, err := m.d.openSnapshot(1); !errors.Is(err, errInjected) {
		t.Fatalf("the copy returned %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(m.dir, snapshotsName)); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
	failing.failing = ""
	s := mustSnapshot(t, m.d)
	d := mustOpen(t, receiver(t, 40), small)
	verified(t, s, d)
	mustClose(t, d)
}

// receiving returns the reception of a snapshot by a new node, with an injector.
func receiving(t *testing.T, s *Snapshot, received *calls) (d *DB, in *Incoming) {
	t.Helper()
	d, err := Open(receiver(t, 5), Options{inject: received.inject, checkpointPages: 50})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, d) })
	return d, mustReceive(t, d, s)
}

// sendAll writes all of a snapshot, and verifies it.
func sendAll(s *Snapshot, in *Incoming) error {
	part := make([]byte, 1<<20)
	for in.Offset() < s.Size() {
		n, err := s.ReadAt(part, in.Offset())
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := in.Write(in.Offset(), part[:n]); err != nil {
			return err
		}
	}
	_, _, _, err := in.Verify()
	return err
}

// wantEnded checks that nothing is done with a reception any more.
func wantEnded(t *testing.T, in *Incoming) {
	t.Helper()
	_, _, _, verified := in.Verify()
	for name, err := range map[string]error{
		"the first part": in.Write(0, []byte("x")), "a part of nothing": in.Write(0, nil), "the check": verified,
		"the installation": in.Install(),
	} {
		if !errors.Is(err, errInjected) {
			t.Errorf("%s after the failure returned %v", name, err)
		}
	}
}

// T37, T53: the system returns the error of a write-back or a sync once, and takes the part for written: a later sync
// of the file succeeds, and what is read of it is right until the cache is empty. So the reception ends, its file is
// removed, and the next one begins with a new file.
func TestAReceptionThatTheDiskDoesNotTake(t *testing.T) {
	t.Parallel()
	m := largeSender(t, kept, 1)
	s := mustSnapshot(t, m.d)
	for _, failing := range []string{"write reception back", "sync reception"} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			received := calls{failing: failing}
			d, in := receiving(t, s, &received)
			err := sendAll(s, in)
			if !errors.Is(err, errInjected) {
				t.Fatalf("the reception returned %v", err)
			}
			received.failing = "" // the next sync succeeds
			wantEnded(t, in)
			left, err := os.ReadDir(filepath.Join(filepath.Dir(d.path), snapshotsName))
			if err != nil || len(left) > 0 || in.Offset() != 0 {
				t.Errorf("%v are left, with offset %d, %v", left, in.Offset(), err)
			}
			next := mustReceive(t, d, s)
			if next.Offset() != 0 {
				t.Fatalf("the next reception begins at %d", next.Offset())
			}
			if err := errors.Join(sendAll(s, next), in.Close(), next.Install()); err != nil {
				t.Error(err)
			}
			wantInstalled(t, crashImage(t, filepath.Dir(d.path)), m)
		})
	}
}

// T53: as long as the file that the disk did not take cannot be removed, no reception begins: it would go on with it.
func TestAReceptionThatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	s := mustSnapshot(t, largeSender(t, kept, 1).d)
	received := calls{failing: "write reception back"}
	d, in := receiving(t, s, &received)
	d.snapshots.inject = func(name string, call func() error) error {
		err := received.inject(name, call)
		if name == "write reception back" {
			received.failing = "remove reception" // which is next
		}
		return err
	}
	if err := sendAll(s, in); !errors.Is(err, errInjected) {
		t.Fatalf("the reception returned %v", err)
	}
	for range 2 {
		if _, err := d.receive(s.ID(), s.Size(), s.Sum()); !errors.Is(err, errInjected) {
			t.Errorf("a reception beside the file returned %v", err)
		}
		if err := in.Discard(); !errors.Is(err, errInjected) {
			t.Errorf("the end of the reception returned %v", err)
		}
	}
	received.failing = ""
	wantEnded(t, in)
	if next := mustReceive(t, d, s); next.Offset() != 0 {
		t.Errorf("the next reception begins at %d", next.Offset())
	}
}

// T53: a process ends between a write-back that failed and the removal of the file. The next one reads what the disk
// has of it, not what the memory of the system has, before anything is replaced.
func TestAReceptionOfAnEarlierProcessIsReadFromTheDisk(t *testing.T) {
	t.Parallel()
	s := mustSnapshot(t, largeSender(t, kept, 1).d)
	for _, lost := range []string{"a page", "all"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			dir, received := receiver(t, 5), calls{failing: "write reception back"}
			d, err := Open(dir, Options{checkpointPages: 50, inject: func(name string, call func() error) error {
				if name == "remove reception" {
					return errInjected // it ends before that
				}
				return received.inject(name, call)
			}})
			if err != nil {
				t.Fatal(err)
			}
			if err := sendAll(s, mustReceive(t, d, s)); !errors.Is(err, errInjected) {
				t.Fatalf("the reception returned %v", err)
			}
			_ = d.Close()
			forgotten := 0
			d, err = Open(dir, Options{checkpointPages: 50, inject: func(name string, call func() error) error {
				err := call()
				if name == "forget reception" && err == nil {
					forgotten++
					if lost == "all" {
						return errInjected // the disk reports it now
					}
					parts, _ := filepath.Glob(filepath.Join(dir, snapshotsName, incomingPrefix+"*"))
					edit(t, parts[0], func(f *os.File) error { // what the disk has instead
						_, err := f.WriteAt([]byte("damage"), 4096)
						return err
					})
				}
				return err
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, d)
			in := mustReceive(t, d, s)
			if forgotten != 1 || (in.Offset() == 0) != (lost == "all") {
				t.Errorf("the pages were forgotten %d times, and the offset is %d", forgotten, in.Offset())
			}
			if err := sendAll(s, in); (err != nil) != (lost == "a page") || err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("the reception returned %v", err)
			}
			if err := sendAll(s, in); err != nil {
				t.Fatalf("the second time it returned %v", err)
			}
		})
	}
}
