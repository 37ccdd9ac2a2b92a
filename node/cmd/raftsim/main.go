// Command raftsim simulates whole clusters, each from one seed, and checks the invariants of Raft and of the store.
// See node/sim/DESIGN.md for what it simulates.
//
//	raftsim -seed 7              one cluster: what it was, what happened, what was broken
//	raftsim -seeds 0..500        many
//	raftsim -seeds fresh+2000    many that nobody has run
//	raftsim -seed 7 -shrink      a shorter run of the same failure
//	raftsim -scenario FILE       a scenario, with what happened beside each line
//	raftsim -mutants             the planted bugs; -mutant T12 -seeds 0..500 hunts one
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// gcPercent lets garbage grow larger than usual before it is collected. A simulation keeps little and throws much away:
// this makes it half as fast again, for some 30 MB.
const gcPercent = 400

// Exit codes. A violation has one of its own, because the hunt for planted bugs takes it for a catch.
const (
	exitKept   = 0 // every invariant held; or a planted bug was caught
	exitBroken = 1 // one was broken; or a planted bug was not caught
	exitUsage  = 2
	exitFailed = 3 // for reasons that say nothing about the cluster
)

// errUsage marks what the user can mend on the command line.
var errUsage = errors.New("usage")

// run runs the program and gives its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	p := program{stdout: stdout, stderr: stderr}
	broken, err := p.run(args)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "raftsim:", err)
		return exitUsage
	case err != nil:
		fmt.Fprintln(stderr, "raftsim:", err)
		return exitFailed
	case broken:
		return exitBroken
	}
	return exitKept
}

// program is one run of raftsim.
type program struct {
	stdout, stderr io.Writer
	options
}

// run does what the options ask for. True if an invariant was broken.
func (p *program) run(args []string) (broken bool, err error) {
	if done, err := p.parse(args); done || err != nil {
		return false, err
	}
	switch {
	case p.mutants:
		return false, p.listMutants()
	case p.scenario != "":
		return p.playScenario()
	case p.mutant != "" && p.build != "":
		return false, p.buildMutant()
	case p.mutant != "" && p.seeds != "":
		return p.huntMutant()
	case p.mutant != "":
		return p.replayMutant()
	case p.seeds != "":
		return p.many()
	case p.shrink:
		return p.shrinkOne(), nil
	}
	return p.one()
}
