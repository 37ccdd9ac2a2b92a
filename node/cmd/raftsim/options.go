package main

import (
	"errors"
	"flag"
	"fmt"
	"runtime"

	"github.com/kontiki-dev/kontiki/node/sim"
)

// options are those of the command line.
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

var errBoth = errors.New("either -v or -json: their output cannot be combined")

const usage = `Raftsim simulates whole clusters and checks the invariants of Raft and of the store.

  raftsim -seed N [-v] [-shrink]                one cluster
  raftsim -seeds A..B [-workers W] [-first]     many clusters; also A+COUNT, and fresh+COUNT for fresh seeds
  raftsim -scenario FILE [-seed N] [-v]         a scenario, with what happened beside each line
  raftsim -mutants                              list the planted bugs
  raftsim -mutant ID -seeds A..B                hunt a planted bug, in a raftsim that is built with it
  raftsim -mutant ID -seed N [-v] [-shrink]     replay one seed with a planted bug
  raftsim -mutant ID -build OUT ./PACKAGE       build a package with a planted bug

Exit codes: 0 every invariant held, or the planted bug was caught; 1 an invariant was broken, or the bug was not caught;
2 the command line is wrong; 3 another error.

`

// parse parses the command line. It reports whether that is all, because help was requested.
func (p *program) parse(args []string) (done bool, err error) {
	set := flag.NewFlagSet("raftsim", flag.ContinueOnError)
	set.SetOutput(p.stderr)
	set.Usage = func() {
		fmt.Fprint(p.stderr, usage)
		set.PrintDefaults()
	}
	p.cfg.Options(set)
	given := map[string]bool{}
	set.StringVar(&p.seeds, "seeds", "", "seeds of the clusters to simulate: `A..B`, A+COUNT or fresh+COUNT")
	set.IntVar(&p.workers, "workers", runtime.GOMAXPROCS(0), "number of seeds that run at once")
	set.BoolVar(&p.first, "first", false, "with -seeds: stop at the first seed that breaks an invariant")
	set.BoolVar(&p.json, "json", false, "print one line of JSON; with -seeds, implies -first")
	set.BoolVar(&p.verbose, "v", false, "print every event as it happens")
	set.BoolVar(&p.shrink, "shrink", false, "with -seed: search for a shorter run of the same failure")
	set.StringVar(&p.scenario, "scenario", "", "`file` with a scenario to run; -seed determines its timing")
	set.BoolVar(&p.mutants, "mutants", false, "list the planted bugs")
	set.StringVar(&p.mutant, "mutant", "", "`ID` of a planted bug")
	set.StringVar(&p.build, "build", "", "with -mutant: `file` for the package that is built with the bug")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if err := p.check(given, set.Args()); err != nil {
		return false, fmt.Errorf("%w: %w", errUsage, err)
	}
	return false, nil
}

// check returns an error for options that do not go together.
func (p *program) check(given map[string]bool, rest []string) error {
	if p.build != "" && len(rest) == 1 {
		p.pkg, rest = rest[0], nil
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; options begin with a dash, and -h lists them", rest[0])
	case p.build != "":
		if p.mutant == "" || p.pkg == "" {
			return errors.New("-build needs a bug and a package: -mutant T12 -build OUT ./node/cmd/raftnode")
		}
		return nil
	case p.mutants:
		return nil
	case p.workers < 1:
		return fmt.Errorf("-workers is %d; it must be at least 1", p.workers)
	}
	if err := p.checkRuns(given); err != nil {
		return err
	}
	return p.cfg.Check()
}

// checkRuns returns an error unless the options select which runs to print, and how.
func (p *program) checkRuns(given map[string]bool) error {
	switch {
	case p.scenario != "":
		return p.checkScenario(given)
	case given["seed"] == given["seeds"]:
		return errors.New("no seed: give either -seed N or -seeds A..B")
	case given["seeds"] && (p.verbose || p.shrink):
		return errors.New("-v and -shrink print one run: give them with -seed")
	case given["seed"] && p.first:
		return errors.New("-first chooses among many: give it with -seeds")
	case p.shrink && (p.verbose || p.json):
		return errors.New("-shrink makes many runs: it takes neither -v nor -json")
	case p.verbose && p.json:
		return errBoth
	}
	return nil
}
