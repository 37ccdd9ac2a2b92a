package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kontiki-dev/kontiki/node/sim/mutants"
)

func (p *program) listMutants() error { return mutants.List(p.stdout) }

// interruptible returns a context for work that runs other programs, and would leave files behind if it were killed.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// buildMutant builds a package of this module with a bug in it.
func (p *program) buildMutant() error {
	root, err := p.rootWith()
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	return mutants.Build(ctx, root, p.mutant, p.pkg, p.build)
}

// rootWith returns the root of the module, or an error if the mutant is unknown.
func (p *program) rootWith() (root string, err error) {
	if _, err := mutants.Find(p.mutant); err != nil {
		return "", fmt.Errorf("%w: -mutant: %w", errUsage, err)
	}
	return mutants.Root()
}

// huntMutant searches for a seed that shows a bug, and reports whether there is none.
func (p *program) huntMutant() (missed bool, err error) {
	if _, err := p.rootWith(); err != nil {
		return false, err
	}
	ctx, stop := interruptible()
	defer stop()
	options := append(p.cfg.Arguments(), fmt.Sprintf("-workers=%d", p.workers))
	c, err := mutants.HuntMutant(ctx, p.mutant, p.seeds, options...)
	if err != nil {
		return false, err
	}
	if c == nil {
		fmt.Fprintf(p.stdout, "mutant %s is not caught by the seeds %s\n", p.mutant, p.seeds)
		return true, nil
	}
	cfg := p.cfg
	cfg.Seed = c.Seed
	fmt.Fprintf(p.stdout, "mutant %s is caught by %q, at seed %d, step %d\n%s\nreplay: %s\n", p.mutant, c.Invariant,
		c.Seed, c.Step, c.Detail, replay(p.mutant, cfg))
	return false, nil
}

// plantedIn is the environment variable with the name of the bug that a raftsim was built with, for the command that it
// prints.
const plantedIn = "RAFTSIM_MUTANT"

// replayMutant runs one seed in a raftsim with the bug, with the same options, and returns its result.
func (p *program) replayMutant() (broken bool, err error) {
	root, err := p.rootWith()
	if err != nil {
		return false, err
	}
	ctx, stop := interruptible()
	defer stop()
	folder, err := os.MkdirTemp("", "raftsim-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // a file that is left in the temporary folder does no harm
	file := filepath.Join(folder, "raftsim")
	if err := mutants.Build(ctx, root, p.mutant, mutants.Simulator, file); err != nil {
		return false, err
	}
	m, err := mutants.Find(p.mutant)
	if err != nil {
		return false, err
	}
	replay := exec.CommandContext(ctx, file, append(slices.Clone(m.Options), p.replayOptions()...)...)
	replay.Env = append(os.Environ(), plantedIn+"="+p.mutant)
	replay.Stdout, replay.Stderr = p.stdout, p.stderr
	err = replay.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitBroken {
		return true, nil
	}
	return false, err
}

// replayOptions returns the options of this command line without the mutant.
func (p *program) replayOptions() []string {
	options := append(p.cfg.Arguments(), fmt.Sprintf("-seed=%d", p.cfg.Seed))
	for name, given := range map[string]bool{"-v": p.verbose, "-json": p.json, "-shrink": p.shrink} {
		if given {
			options = append(options, name)
		}
	}
	return options
}
