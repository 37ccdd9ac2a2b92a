package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kontiki-dev/kontiki/node/sim"
	"github.com/kontiki-dev/kontiki/node/sim/engine"
)

// report is what -json prints. It includes the fields of the first violation: seed, step, invariant, detail and last.
type report struct {
	Seeds          int     `json:"seeds"`
	Digest         string  `json:"digest,omitempty"` // of one seed
	Steps          int     `json:"steps"`
	SimulatedHours float64 `json:"simulated_hours"`
	StepsPerSecond float64 `json:"steps_per_second"` // and core
	sim.Operations
	Script []string `json:"script,omitempty"` // of a scenario
	*sim.Violation
}

func (p *program) printJSON(r report) error { return json.NewEncoder(p.stdout).Encode(r) }

func reportMany(s *sim.Summary, cost speed) report {
	r := report{
		Seeds: s.Seeds, Steps: s.Steps, SimulatedHours: s.Simulated.Hours(),
		StepsPerSecond: cost.perSecond(), Operations: s.Operations,
	}
	if len(s.Violations) > 0 {
		r.Violation = s.Violations[0]
	}
	return r
}

// summarize prints the results of many seeds.
func summarize(w io.Writer, s *sim.Summary, cost speed) {
	fmt.Fprintf(w, "operations  %s done, %s refused, %s unknown\n", thousands(s.Done), thousands(s.Refused),
		thousands(s.Unknown))
	fmt.Fprintf(w, "struck      %s\n", counted(s.Struck))
	printKept(w, s.Kept)
	fmt.Fprintf(w, "steps       %s, simulated %.2f hours, %v\n", thousands(s.Steps), s.Simulated.Hours(), cost)
	fmt.Fprintf(w, "%s seeds, %d violations\n", thousands(s.Seeds), len(s.Violations))
	for _, v := range s.Violations {
		fmt.Fprintf(w, "  seed %d: %s\n", v.Seed, v.Broken)
	}
}

// printKept prints what bounded the disks.
func printKept(w io.Writer, h engine.Housekeeping) {
	fmt.Fprintf(w, "kept        %s checkpoints, %s cuts, %s reads of the log for followers, %s snapshots installed\n",
		thousands(h.Checkpoints), thousands(h.Cuts), thousands(h.Reads), thousands(h.Installs))
}

// counted returns counts as a list, the largest first.
func counted(counts map[string]int) string {
	if len(counts) == 0 {
		return "none"
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(-cmp.Compare(counts[a], counts[b]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + thousands(counts[name])
	}
	return strings.Join(names, ", ")
}

// thousands returns a number that is not negative with commas: 1,234,567.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20)) }
