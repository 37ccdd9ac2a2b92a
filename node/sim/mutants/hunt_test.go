package mutants

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// simulator writes a program that runs a script.
func simulator(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "raftsim")
	if err := writeProgram(name, script); err != nil {
		t.Fatal(err)
	}
	return name
}

// writeProgram writes a shell script that can be run. No process is forked meanwhile: it would hold the file open for
// writing until it runs its own program, and this one could not be run.
func writeProgram(name, script string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700)
}

func TestAHuntTellsWhatWasFound(t *testing.T) {
	t.Parallel()
	program := simulator(t, `echo "seed 7: $*"
		echo '{"seed":7,"step":123,"invariant":"election safety","detail":"two"}'
		exit 1`)
	got, err := Hunt(t.Context(), program, "0..9")
	want := Catch{Seed: 7, Step: 123, Invariant: "election safety", Detail: "two"}
	if err != nil || got == nil || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestAHuntPassesSeedsAndOptionsOn(t *testing.T) {
	t.Parallel()
	program := simulator(t, `test "$*" = "-seeds 0..9 -json -nodes 4" || exit 3`)
	if got, err := Hunt(t.Context(), program, "0..9", "-nodes", "4"); got != nil || err != nil {
		t.Errorf("got %+v, %v; want nothing found", got, err)
	}
}

func TestOnlyAViolationIsACatch(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"a simulator that fails":         `echo '{"invariant":"x"}'; exit 2`,
		"a violation without words":      `exit 1`,
		"a violation of nothing":         `echo '{"seed":1}'; exit 1`,
		"words that are no JSON":         `echo 'seed 1 is broken'; exit 1`,
		"a simulator that kills itself":  `kill -9 $$`,
		"a JSON line that is not at end": `echo '{"seed":1,"invariant":"x"}'; echo done; exit 1`,
	} {
		if got, err := Hunt(t.Context(), simulator(t, script), "0..9"); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
	if got, err := Hunt(t.Context(), filepath.Join(t.TempDir(), "none"), "0..9"); err == nil {
		t.Errorf("no simulator: got %+v, want an error", got)
	}
}

func TestAHuntThatHangsIsNoCatch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got, err := Hunt(ctx, simulator(t, `exec sleep 60`), "0..9")
	if got != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v; want the end of the time", got, err)
	}
}

func TestAMutantIsBuiltIntoAProgramAndNowhereElse(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a package")
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	before, err := source("node/raft/leader.go")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "raft.a")
	if err := Build(t.Context(), root, "T12", "./node/raft", out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
	after, err := source("node/raft/leader.go")
	if err != nil || string(before) != string(after) {
		t.Errorf("the source changed: %v", err)
	}
	if err := Build(t.Context(), root, "T0", "./node/raft", out); err == nil || !strings.Contains(err.Error(), "T0") {
		t.Errorf("there is no mutant T0, but Build says %v", err)
	}
}

func TestAMutantThatDoesNotCompileIsDead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module dead\n", "dead.go": "package dead\n\nvar x int = \"\"\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Build(t.Context(), root, "", ".", filepath.Join(root, "out")); !errors.Is(err, ErrDead) {
		t.Errorf("got %v, want %v", err, ErrDead)
	}
}
