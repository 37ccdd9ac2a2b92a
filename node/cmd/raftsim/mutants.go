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

// interruptible is for what runs other programs, and leaves files behind if it is killed.
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

// rootWith finds the module, and looks whether the mutant is known before anything is built.
func (p *program) rootWith() (root string, err error) {
	if _, err := mutants.Find(p.mutant); err != nil {
		return "", fmt.Errorf("%w: -mutant: %w", errUsage, err)
	}
	return mutants.Root()
}

// huntMutant looks for the seed that shows a bug. Here it is bad if there is none.
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

// plantedIn is where a raftsim that was built with a bug finds the bug's name, for the command that it prints.
const plantedIn = "RAFTSIM_MUTANT"

// replayMutant runs one seed in a raftsim that has the bug, with the same options, and ends as that does.
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
	defer func() { _ = os.RemoveAll(folder) }() // a leftover in the temporary folder does no harm
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

// replayOptions are this command line's, but for the mutant.
func (p *program) replayOptions() []string {
	options := append(p.cfg.Arguments(), fmt.Sprintf("-seed=%d", p.cfg.Seed))
	for name, said := range map[string]bool{"-v": p.verbose, "-json": p.json, "-shrink": p.shrink} {
		if said {
			options = append(options, name)
		}
	}
	return options
}
