package main

import (
	"errors"
	"flag"
	"fmt"
	"runtime"

	"github.com/kontiki-dev/kontiki/node/sim"
)

// options are what the command line says.
type options struct {
	cfg     sim.Config
	seeds   string
	workers int
	first   bool
	json    bool
	verbose bool
	shrink  bool

	scenario string // file of a scenario

	mutants bool
	mutant  string
	build   string
	pkg     string // to build with the mutant
}

var errBoth = errors.New("either -v or -json: nobody can read both")

const usage = `Raftsim simulates whole clusters and checks the invariants of Raft and of the store.

  raftsim -seed N [-v] [-shrink]                one cluster
  raftsim -seeds A..B [-workers W] [-first]     many; also A+COUNT, and fresh+COUNT for seeds that nobody has run
  raftsim -scenario FILE [-seed N] [-v]         play a scenario, and print what happened beside each line
  raftsim -mutants                              list the planted bugs
  raftsim -mutant ID -seeds A..B                hunt one, in a raftsim that is built with it
  raftsim -mutant ID -seed N [-v] [-shrink]     replay what it does
  raftsim -mutant ID -build OUT ./PACKAGE       build a package with it

Exit codes: 0 every invariant held, or the planted bug was caught; 1 one was broken, or the bug was not caught;
2 the command line is wrong; 3 it could not be done.

`

// parse reads the command line. Done if it only asked for help.
func (p *program) parse(args []string) (done bool, err error) {
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(p.stderr)
	set.Usage = func() {
		fmt.Fprint(p.stderr, usage)
		set.PrintDefaults()
	}
	p.cfg.Options(set)
	said := map[string]bool{}
	set.StringVar(&p.seeds, "seeds", "", "simulate the clusters of all these seeds: `A..B`, A+COUNT or fresh+COUNT")
	set.IntVar(&p.workers, "workers", runtime.GOMAXPROCS(0), "how many seeds to run at once")
	set.BoolVar(&p.first, "first", false, "with -seeds: end with the first seed that breaks something")
	set.BoolVar(&p.json, "json", false, "print one line of JSON; with -seeds, it means -first too")
	set.BoolVar(&p.verbose, "v", false, "print everything that happens, as it happens")
	set.BoolVar(&p.shrink, "shrink", false, "with -seed: look for a shorter run of the same failure")
	set.StringVar(&p.scenario, "scenario", "", "play the scenario in this `file`; -seed decides how it is timed")
	set.BoolVar(&p.mutants, "mutants", false, "list the planted bugs")
	set.StringVar(&p.mutant, "mutant", "", "the `ID` of a planted bug")
	set.StringVar(&p.build, "build", "", "with -mutant: build a package with the bug into this `file`")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	set.Visit(func(f *flag.Flag) { said[f.Name] = true })
	if err := p.check(said, set.Args()); err != nil {
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	return false, nil
}

// check looks whether the options make sense together.
func (p *program) check(said map[string]bool, rest []string) error {
	if p.build != "" && len(rest) == 1 {
		p.pkg, rest = rest[0], nil
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q means nothing here; every option begins with a dash, and -h lists them", rest[0])
	case p.build != "":
		if p.mutant == "" || p.pkg == "" {
			return errors.New("-build wants a bug and a package: -mutant T12 -build OUT ./node/cmd/raftnode")
		}
		return nil
	case p.mutants:
		return nil
	case p.workers < 1:
		return fmt.Errorf("-workers is %d; it must be at least 1", p.workers)
	}
	if err := p.checkRuns(said); err != nil {
		return err
	}
	return p.cfg.Check()
}

// checkRuns reports whether it is clear which runs to print, and how.
func (p *program) checkRuns(said map[string]bool) error {
	switch {
	case p.scenario != "":
		return p.checkScenario(said)
	case said["seed"] == said["seeds"]:
		return errors.New("say which cluster to simulate: either -seed N or -seeds A..B")
	case said["seeds"] && (p.verbose || p.shrink):
		return errors.New("-v and -shrink print one run: give them with -seed")
	case said["seed"] && p.first:
		return errors.New("-first chooses among many: give it with -seeds")
	case p.shrink && (p.verbose || p.json):
		return errors.New("-shrink makes many runs: it takes neither -v nor -json")
	case p.verbose && p.json:
		return errBoth
	}
	return nil
}
