package storage

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

// The variables that make this test binary run as a child process.
const (
	childRole  = "KONTIKI_STORAGE_TEST_CHILD"
	childDir   = "KONTIKI_STORAGE_TEST_DIR"
	childUmask = "KONTIKI_STORAGE_TEST_UMASK"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "open":
		openOnce(os.Getenv(childDir))
	case "umask":
		openWithUmask(os.Getenv(childDir), os.Getenv(childUmask))
	case "hold":
		holdDatabase(filepath.Join(os.Getenv(childDir), databaseName))
	case "write":
		writeUntilKilled(os.Getenv(childDir))
	default:
		os.Exit(m.Run())
	}
}

// child is a process that runs a role on a directory.
func child(tb testing.TB, role, dir string) *exec.Cmd {
	tb.Helper()
	program, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	c := exec.Command(program)
	c.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	return c
}

// openOnce reports whether the directory can be opened.
func openOnce(dir string) {
	d, err := Open(dir, small)
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("opened")
}

// openWithUmask opens a directory under another umask, and exits without closing it.
func openWithUmask(dir, mask string) {
	bits, err := strconv.ParseInt(mask, 8, 0)
	if err == nil {
		syscall.Umask(int(bits))
		_, err = Open(dir, small)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("killed itself")
	os.Exit(0)
}

// holdDatabase keeps a transaction open, as a user of sqlite3 may, until its input ends.
func holdDatabase(path string) {
	c, err := connect(path, "rw", nil, nil)
	if err == nil {
		err = errors.Join(c.exec("PRAGMA locking_mode = EXCLUSIVE"), c.exec("BEGIN IMMEDIATE"),
			c.exec("UPDATE node_state SET value = value"))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// attempt is one Save or Cut of the child, as printed on its output: before with an s, and after with an a.
type attempt struct {
	state       raft.HardState
	term        raft.Term // of the entries
	first, last raft.Index
	cut         raft.Index // not 0: a Cut up to here, and no Save
}

const attemptFormat = "%d %d %d %d %d %d %d"

func (a attempt) String() string {
	return fmt.Sprintf(attemptFormat, a.state.Term, a.state.Vote, a.state.Commit, a.term, a.first, a.last, a.cut)
}

func parseAttempt(text string) (a attempt, err error) {
	_, err = fmt.Sscanf(text, attemptFormat, &a.state.Term, &a.state.Vote, &a.state.Commit, &a.term, &a.first, &a.last,
		&a.cut)
	return a, err
}

// writeUntilKilled calls Save and Cut in a loop. It appends, overwrites the end of the log in a new term, removes
// entries from its start, and sometimes saves the hard state alone. The write-ahead log is short, so that checkpoints
// are frequent.
func writeUntilKilled(dir string) {
	d, err := Open(dir, small)
	if err != nil {
		fmt.Println("e", err)
		os.Exit(1)
	}
	state, log, err := d.LoadLog(0, 0)
	if err != nil {
		fmt.Println("e", err)
		os.Exit(1)
	}
	for last := log.Last(); ; {
		a := nextAttempt(state, d.start.Load().Index, last)
		fmt.Println("s", a)
		if err := a.on(d); err != nil {
			fmt.Println("e", err)
			os.Exit(1)
		}
		fmt.Println("a")
		state, last = a.state, a.last
	}
}

// on makes the attempt.
func (a attempt) on(d *DB) error {
	if a.cut != 0 {
		return cutTo(d, a.cut)
	}
	return d.Save(a.state, entries(a.term, a.first, a.last))
}

func nextAttempt(state raft.HardState, start, last raft.Index) attempt {
	a := attempt{state: state, term: state.Term, first: last + 1}
	if rand.IntN(8) == 0 && state.Commit > start && state.Commit < last {
		a.last = last
		a.cut = start + 1 + raft.Index(rand.Uint64N(uint64(min(state.Commit-start, cutEntries))))
		return a
	}
	switch rand.IntN(8) {
	case 0: // a new term and the vote in it, nothing else
		a.state.Term++
		a.state.Vote = raft.NodeID(a.state.Term%5 + 1)
		a.last = last
		return a
	case 1: // a new leader overwrites uncommitted entries
		a.state.Term++
		a.state.Vote = raft.NodeID(a.state.Term%5 + 1)
		a.term = a.state.Term
		a.first = a.state.Commit + 1 + raft.Index(rand.Uint64N(uint64(last-a.state.Commit+1)))
	}
	a.last = a.first + raft.Index(rand.IntN(4))
	if rand.IntN(30) == 0 {
		a.last += 40
	}
	if a.first == last+1 {
		a.state.Commit = last - min(last-a.state.Commit, raft.Index(rand.IntN(8)))
	}
	return a
}
