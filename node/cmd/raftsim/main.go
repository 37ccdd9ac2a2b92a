// Command raftsim simulates whole clusters, each from one seed, and checks the invariants of Raft and of the store.
// node/sim/DESIGN.md describes what it simulates.
//
//	raftsim -seed 7              one cluster: its setting, its faults, the broken invariant
//	raftsim -seeds 0..500        many clusters
//	raftsim -seeds fresh+2000    2,000 clusters from fresh seeds
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

// gcPercent makes garbage collection rarer than by default. A simulation keeps little memory and discards much: this
// makes it half as fast again, at a cost of some 30 MB.
const gcPercent = 400

// Exit codes. A violation has one of its own, which the hunt for planted bugs counts as a catch.
const (
	exitKept   = 0 // every invariant held; or a planted bug was caught
	exitBroken = 1 // an invariant was broken; or a planted bug was not caught
	exitUsage  = 2
	exitFailed = 3 // for a reason outside of the simulation
)

// errUsage marks an error of the command line.
var errUsage = errors.New("usage")

// run runs the program and returns its exit code.
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

// run does what the options select, and reports whether an invariant was broken.
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
