package storage

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// T1, T55, T57: a process is killed with SIGKILL at random moments of its writes and of its start, hundreds of times
// on the same directory. Every save that returned is on the disk, the one in progress is there as a whole or not at
// all, and nothing else is there.
func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	t.Parallel()
	lanes, rounds := 2, 100/thinned
	if testing.Short() {
		lanes, rounds = 1, 20/thinned
	}
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var known disk
			saves := 0
			for range rounds {
				run := runAndKill(t, dir)
				saves += run.acknowledged
				known = run.check(t, mustRead(t, dir), known)
			}
			t.Logf("%d kills, %d saves acknowledged, %d entries at the end", rounds, saves, len(known.log))
			if saves < rounds {
				t.Errorf("only %d saves were acknowledged: the kills came too early to show anything", saves)
			}
		})
	}
}

// killedRun is the output of a killed process.
type killedRun struct {
	attempts     []attempt
	acknowledged int // of them, the first ones
}

// runAndKill starts a process, and kills it after a random number of saves and a random delay, or while it starts.
func runAndKill(t *testing.T, dir string) killedRun {
	t.Helper()
	c := child(t, "write", dir)
	output, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	var run killedRun
	if rand.IntN(8) == 0 { // during its start
		time.Sleep(time.Duration(rand.IntN(60_000)) * time.Microsecond)
	} else {
		for acks := rand.IntN(15); run.acknowledged <= acks && run.readLine(t, lines); {
		}
		time.Sleep(time.Duration(rand.IntN(1_000)) * time.Microsecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for run.readLine(t, lines) { // its output until it was killed
	}
	_, _ = io.Copy(io.Discard, output)
	_ = c.Wait() // returns that it was killed
	return run
}

// readLine parses one line, and reports whether there was one.
func (r *killedRun) readLine(t *testing.T, lines *bufio.Scanner) bool {
	t.Helper()
	if !lines.Scan() {
		return false
	}
	kind, rest, _ := strings.Cut(lines.Text(), " ")
	switch kind {
	case "s":
		a, err := parseAttempt(rest)
		if err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		r.attempts = append(r.attempts, a)
	case "a":
		r.acknowledged++
	default:
		t.Fatalf("the child prints: %s", lines.Text())
	}
	return true
}

// check compares what was found with what was there before and the run's output, and returns what is there now.
func (r *killedRun) check(t *testing.T, found, before disk) disk {
	t.Helper()
	want := before
	for _, a := range r.attempts[:r.acknowledged] {
		want = want.after(a)
	}
	if found.equal(want) {
		if found.state.Commit < want.state.Commit {
			t.Fatalf("the commit index is %d, and %d was acknowledged", found.state.Commit, want.state.Commit)
		}
		return want
	}
	if len(r.attempts) > r.acknowledged {
		last := want.after(r.attempts[r.acknowledged])
		if found.equal(last) {
			last.state.Commit = found.state.Commit // the kill may precede this NoteCommit
			return last
		}
		t.Fatalf("found      %v\nwant       %v\nor         %v", found, want, last)
	}
	t.Fatalf("found      %v\nwant       %v", found, want)
	return disk{}
}

func (m disk) after(a attempt) disk {
	if a.cut != 0 {
		return m.cut(a.cut)
	}
	return m.with(a.state, entries(a.term, a.first, a.last))
}
