package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/hack/chaos/fault"
	"github.com/kontiki-dev/kontiki/hack/lab/history"
	"github.com/kontiki-dev/kontiki/node/sim/mutants"
)

// planted is a bug that the checks must find: a mutant of node/sim/mutants.
type planted struct {
	mutant  string
	name    string
	fault   history.Fault // the fault's name
	further []string      // arguments of the nodes
}

// The two bugs of the self-test. A leader that is cut off loses more acknowledged writes if it may append without
// waiting for responses, and leads for a while.
var plants = []planted{
	{"T41", "a planted stale read", history.StaleRead, nil},
	{
		"T13b", "a planted lost acknowledgement", history.Lost,
		[]string{"--inflight", "64", "--election-timeout", "500ms"},
	},
}

// selfTestLength is how long each planted bug runs.
const selfTestLength = 20 * time.Second

// selfTest runs processes with planted bugs. The checks must find and name each: a check that has never failed proves
// nothing.
func (o *options) selfTest(ctx context.Context, dir string) error {
	quick := *o
	quick.kinds = []fault.Kind{fault.IsolateLeader}
	var errs []error
	for _, p := range plants {
		quick.further = p.further
		if err := quick.plant(ctx, filepath.Join(dir, p.mutant), p); err != nil {
			errs = append(errs, fmt.Errorf("%s (mutant %s): %w", p.name, p.mutant, err))
		}
	}
	return errors.Join(errs...)
}

// plant runs a cluster with a bug, and returns an error if the checks do not find it.
func (o *options) plant(ctx context.Context, dir string, p planted) error {
	m, err := mutants.Find(p.mutant)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "raftnode")
	if err := build(ctx, p.mutant, program); err != nil {
		return err
	}
	t, err := o.trial(ctx, dir, program, netProxies, selfTestLength)
	if err != nil {
		return err
	}
	impossible := len(violations(t.failed()))
	i := slices.IndexFunc(t.findings, func(f history.Finding) bool { return f.Fault == p.fault })
	if i < 0 || impossible == 0 {
		return fmt.Errorf("not found: %d keys are not linearizable, and the findings are\n%s", impossible,
			joinFindings(t.findings))
	}
	fmt.Printf("%s is found (mutant %s: %s):\n  %d findings, one of which is: %s\n  %d keys are not linearizable\n",
		strings.ToUpper(p.name[:1])+p.name[1:], p.mutant, m.About, len(t.findings), t.findings[i], impossible)
	return nil
}
