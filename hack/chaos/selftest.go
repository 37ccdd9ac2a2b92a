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
	kind    fault.Kind    // that is injected
	fault   history.Fault // the name of what is found in the history; "": a wrong state is not repaired
	further []string      // arguments of the nodes
}

// The bugs of the self-test. A leader that is cut off loses more acknowledged writes if it may append without
// waiting for responses, and leads for a while.
var plants = []planted{
	{"T41", "a planted stale read", fault.IsolateLeader, history.StaleRead, nil},
	{
		"T13b", "a planted lost acknowledgement", fault.IsolateLeader, history.Lost,
		[]string{"--inflight", "64", "--election-timeout", "500ms"},
	},
	{"T45b", "a wrong state that no comparison finds", fault.WrongState, "", nil},
	{"T45k", "a wrong state that no snapshot repairs", fault.WrongState, "", nil},
}

// selfTestLength is how long each planted bug runs.
const selfTestLength = 20 * time.Second

// selfTest runs processes with planted bugs. The checks must find and name each: a check that has never failed proves
// nothing.
func (o *options) selfTest(ctx context.Context, dir string) error {
	quick := *o
	var errs []error
	for _, p := range plants {
		quick.further, quick.kinds = p.further, []fault.Kind{p.kind}
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
	if p.fault == "" {
		return p.wantUnrepaired(t)
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

// wantUnrepaired returns an error unless a state that was made wrong stayed so, and the checks found it.
func (p *planted) wantUnrepaired(t *trial) error {
	v := t.wrongVerdict()
	if v.Err == nil {
		return fmt.Errorf("not found: of the wrong states, %s", v.Good)
	}
	fmt.Printf("%s is found (mutant %s):\n  %v\n", strings.ToUpper(p.name[:1])+p.name[1:], p.mutant, v.Err)
	return nil
}
