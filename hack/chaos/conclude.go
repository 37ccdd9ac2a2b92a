package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/lab/history"
)

// decideWithin is the time limit of porcupine for one key.
const decideWithin = time.Minute

// verdict is the result of one check.
type verdict struct {
	Name string
	Good string // the text if there is no fault
	Err  error
}

// conclude reads all keys back when all faults are over, and checks the history.
func (t *trial) conclude(ctx context.Context) error {
	reading, cancel := context.WithTimeout(ctx, lastReads)
	defer cancel()
	t.load.ReadBack(reading)
	diverged := t.load.Diverged(reading)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.findings = history.Account(t.operations)
	refused := measure(t.operations, t.absences)
	t.verdicts = []verdict{
		{"linearizable per key", "by porcupine", history.Check(t.operations, decideWithin)},
		{"acknowledged writes", "none lost, duplicated or reordered", joinFindings(t.findings)},
		{"read back", "every key that was written", history.ReadBack(t.operations)},
		{"replicas", "all nodes have the same state", diverged},
		{"processes", "none ended without reason", t.cluster.Ended()},
		{"faults", fmt.Sprintf("whole again within %s after each", wholeWithin), errors.Join(t.refuted...)},
		{"service", "writes were done after each fault", t.unserved()},
		t.wrongVerdict(),
		{"minority side", refused.words(), refused.err()},
		{"the test itself", "it had faults and writes", t.idle()},
	}
	return nil
}

// unserved returns an error if the library's clients could not write any more after some fault or calm: a cluster that
// reports that it is whole must also serve.
func (t *trial) unserved() error {
	for _, s := range t.spells {
		if _, over := history.LongestGap(t.operations, history.Library, s.From, s.To); !over {
			return fmt.Errorf("since %s no write was done", s.Name)
		}
	}
	return nil
}

// words describes how nodes that were cut off behaved.
func (r *refusals) words() string {
	text := "no refusals to measure"
	switch longest := r.Longest.Round(time.Millisecond); {
	case r.Late > 0:
		text = fmt.Sprintf("MISSED: %d of %d refusals took more than %s, the longest %s", r.Late, r.Refused, refusedWithin,
			longest)
	case r.Refused > 0:
		text = fmt.Sprintf("%d refusals, all within %s, the longest %s", r.Refused, refusedWithin, longest)
	}
	if r.Mute > 0 {
		text += fmt.Sprintf("; the longest of a node that cannot send but receives, %s", r.Mute.Round(time.Millisecond))
	}
	return text
}

// idle returns an error if the run proves nothing: no fault, or no acknowledged write.
func (t *trial) idle() error {
	done := 0
	for i := range t.operations {
		if o := &t.operations[i]; o.IsWrite() && o.Outcome == history.OK {
			done++
		}
	}
	if done == 0 || len(t.injections) == 0 {
		return fmt.Errorf("%d writes and %d faults prove nothing", done, len(t.injections))
	}
	return nil
}

func joinFindings(findings []history.Finding) error {
	const most = 20
	var errs []error
	for i, f := range findings {
		if i == most {
			errs = append(errs, fmt.Errorf("and %d more", len(findings)-most))
			break
		}
		errs = append(errs, errors.New(f.String()))
	}
	return errors.Join(errs...)
}

// failed returns the failed verdicts.
func (t *trial) failed() error {
	var errs []error
	for _, v := range t.verdicts {
		if v.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v.Name, v.Err))
		}
	}
	return errors.Join(errs...)
}

// tidy removes the directory of a trial without faults. Otherwise the nodes' logs stay, with the history and
// porcupine's visualizations.
func (t *trial) tidy(ctx context.Context, dir string) error {
	failure := t.failed()
	switch {
	case ctx.Err() != nil: // the run was interrupted
		return os.RemoveAll(dir)
	case len(t.verdicts) == 0:
		return fmt.Errorf("the run did not finish; the nodes' logs are in %s", dir)
	case failure == nil && !t.options.keep:
		return os.RemoveAll(dir)
	}
	t.kept = dir
	text, err := json.MarshalIndent(map[string]any{
		"seed": t.options.seed, "nodes": t.options.nodes, "faults": t.injections, "findings": t.findings,
		"cut_off": t.absences, "operations": t.operations,
	}, "", " ")
	if err != nil {
		return err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, "history.json"), text, 0o600)}
	for i, v := range violations(failure) {
		const most = 10
		if i == most {
			break
		}
		errs = append(errs, v.Draw(filepath.Join(dir, strings.ReplaceAll(v.Key, "/", "-")+".html")))
	}
	return errors.Join(errs...)
}

// violations returns all violations in a joined error.
func violations(err error) []*history.Violation {
	if v, ok := err.(*history.Violation); ok { //nolint:errorlint // each branch of the tree is looked at by itself
		return []*history.Violation{v}
	}
	var found []*history.Violation
	switch e := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			found = append(found, violations(inner)...)
		}
	case interface{ Unwrap() error }:
		found = violations(e.Unwrap())
	}
	return found
}
