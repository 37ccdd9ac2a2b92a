package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/kontiki-dev/kontiki/node/sim/scenario"
)

// fixed are the options that a scenario sets itself, or that do not apply to one scenario.
var fixed = []string{
	"nodes", "clients", "mix", "without", "steps", "chapter", "seeds", "first", "shrink", "mutant", "mutants", "build",
}

// checkScenario returns an error for options that do not go together with a scenario.
func (p *program) checkScenario(given map[string]bool) error {
	if p.verbose && p.json {
		return errBoth
	}
	for _, name := range fixed {
		if given[name] {
			return fmt.Errorf("-%s cannot be combined with -scenario: the file defines what happens, -seed the timing", name)
		}
	}
	return nil
}

// playScenario plays a scenario, and prints it with what happened beside each line.
func (p *program) playScenario() (broken bool, err error) {
	text, err := os.ReadFile(p.scenario)
	if err != nil {
		return false, fmt.Errorf("%w: -scenario: %w", errUsage, err)
	}
	script, err := scenario.Parse(string(text))
	if err != nil {
		return false, fmt.Errorf("%w: %s: %w", errUsage, p.scenario, err)
	}
	cfg := p.cfg
	var trace *bufio.Writer
	if p.verbose {
		trace = bufio.NewWriter(p.stdout)
		cfg.Trace = trace
	}
	r := scenario.Run(script, cfg)
	if trace != nil {
		if err := trace.Flush(); err != nil {
			return false, err
		}
	}
	if p.json {
		return r.Violation != nil, p.printJSON(report{
			Seeds: 1, Digest: r.Digest, Steps: r.Steps, SimulatedHours: r.Simulated.Hours(), Operations: r.Operations,
			Script: r.Script, Violation: r.Violation,
		})
	}
	fmt.Fprintf(p.stdout, "%s\n\n", script.Title)
	for _, line := range r.Script {
		fmt.Fprintln(p.stdout, line)
	}
	fmt.Fprintln(p.stdout)
	describe(p.stdout, &r)
	if v := r.Violation; v != nil {
		fmt.Fprintf(p.stdout, "\nBROKEN: %s\nseed %d, step %d: %s\nreplay: raftsim -scenario %s -seed %d -v\n",
			v.Broken, v.Seed, v.Step, v.Detail, p.scenario, v.Seed)
		return true, nil
	}
	fmt.Fprintln(p.stdout, "every expectation and every invariant held")
	return false, nil
}
