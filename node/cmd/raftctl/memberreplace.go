package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

const (
	// replaceTime bounds a replacement without --timeout.
	replaceTime = time.Hour
	// replaceLook bounds a request for the members, and replaceChange one for a change.
	replaceLook   = 5 * time.Second
	replaceChange = 30 * time.Second
	// A replacement looks at the members this often, at first and in the end.
	replaceSoon  = 20 * time.Millisecond
	replaceLater = 500 * time.Millisecond
	// showEvery is how often progress is shown at most.
	showEvery = time.Second
	// mostRefusals is how many refusals of a step in a row end a replacement.
	mostRefusals = 6
)

func (p *program) memberReplaceCommand() *cobra.Command {
	var flags memberFlags
	r := &replacement{}
	cmd := &cobra.Command{
		Use:   "replace ID --with URL",
		Short: "Replace a member by a new node",
		Long: `Replace the member ID by the node whose peer port is at URL. The node must run with --join
and an empty disk. It is added as a learner; once it has caught up, one change makes it
a voter and removes the member ID.

If the disk of the member was lost, URL may be its own: it is removed, and added again
under a new id. Until it has caught up, the cluster has one voter less.

The command ends when the replacement is complete, after an hour, or after --timeout. If
it is interrupted, run it again: it goes on where it was.`,
		Example: `  raftctl member replace 2 --with http://h4:7080 --api-url http://h4:8080
  raftctl member replace 2 --with http://h2:7080       the disk of member 2 was lost`,
		Args: oneMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case r.url == "":
				return usageOf(cmd, "%s needs --with URL, the peer URL of the new node", cmd.CommandPath())
			case p.curl:
				return usage("--curl shows one request, and a replacement makes many; see raftctl member change --curl")
			}
			if err := checkURLs(cmd, r.url, r.apiURL); err != nil {
				return err
			}
			r.old, r.force = memberID(args[0]), flags.force
			limit := replaceTime
			if cmd.Flags().Changed("timeout") {
				limit = p.timeout
			}
			return p.replace(r, limit)
		},
	}
	cmd.Flags().StringVar(&r.url, "with", "", "peer URL of the new node")
	cmd.Flags().StringVar(&r.apiURL, "api-url", "", "API URL of the new node; default: what it reports")
	cmd.Flags().BoolVar(&flags.force, "force", false,
		"replace the member although it runs, or too few voters would respond")
	return cmd
}

// replacing is one run of a replacement.
type replacing struct {
	*replacement
	program  *program
	client   *client.Client
	answer   memberAnswer
	begun    bool // answer.Before is set
	limit    time.Duration
	last     string    // line of progress
	shown    string    // the last one that was shown
	shownAt  time.Time // when that was
	refusals int       // in a row
	runs     int       // how often in a row the old member was seen with its disk, though it is to take its own place
	every    time.Duration
}

// replace replaces a member, within a time limit.
func (p *program) replace(r *replacement, limit time.Duration) error {
	c, _, done, err := p.connect()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	run := &replacing{replacement: r, program: p, client: c, limit: limit, every: replaceSoon}
	for {
		complete, err := run.advance(ctx)
		switch {
		case err != nil:
			return err
		case complete:
			return run.finish()
		}
		if !run.pause(ctx) {
			return run.unfinished()
		}
	}
}

// advance looks at the members and takes the next step. It reports whether the replacement is complete.
func (run *replacing) advance(ctx context.Context) (complete bool, err error) {
	view, err := run.look(ctx)
	if err != nil {
		return false, run.judge(ctx, err, nil)
	}
	if !run.begun {
		run.begun, run.answer.Before = true, view
	}
	run.answer.After = view
	step, err := run.next(&view)
	if err != nil || step.done {
		return step.done, err
	}
	if step.change == nil {
		run.refusals = 0
		run.show(step.says, showEvery)
		return false, nil
	}
	if runs, err := run.oldRuns(ctx, &view); runs || err != nil {
		return false, err
	}
	run.show(step.says, 0)
	response, err := run.order(ctx, step.change)
	if err != nil {
		return false, run.judge(ctx, err, step.change)
	}
	run.program.changed, run.refusals, run.every = true, 0, replaceSoon
	run.answer.Added = append(run.answer.Added, response.Added...)
	return false, nil
}

func (run *replacing) look(ctx context.Context) (api.MembersView, error) {
	ctx, cancel := context.WithTimeout(ctx, replaceLook)
	defer cancel()
	return run.client.Members(ctx)
}

func (run *replacing) order(ctx context.Context, change *api.MemberChange) (api.MemberChangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, replaceChange)
	defer cancel()
	return run.client.ChangeMembers(ctx, *change)
}

// oldRuns reports whether a node that is to take its own place runs with its disk, and fails if that lasts: for a
// moment, the other members may report what they saw of it before it lost its disk.
func (run *replacing) oldRuns(ctx context.Context, view *api.MembersView) (bool, error) {
	old := find(view, run.old)
	if old == nil || run.force || memberAt(view, run.url) != old {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, replaceLook)
	defer cancel()
	status, err := run.client.Status(ctx)
	if err != nil {
		return false, nil //nolint:nilerr // the leader checks the node, too
	}
	for i := range status.Nodes {
		if n := &status.Nodes[i]; n.ID == run.old && n.Healthy {
			return run.stillRuns(old)
		}
	}
	run.runs = 0
	return false, nil
}

// stillRuns counts how often the old member was seen with its disk.
func (run *replacing) stillRuns(old *api.ConfigMember) (bool, error) {
	if run.runs++; run.runs < mostRefusals {
		return true, nil
	}
	return true, &failure{
		code:    exitPrecondition,
		message: fmt.Sprintf("member %d runs at %s, and has its disk", old.ID, old.Address),
		hints:   []string{"give the URL of another node, or stop it, empty its data directory, and start it with --join"},
	}
}

// judge returns nil for a failure after which the members are looked at again. An outcome that is unknown is one of
// them: each change is for one configuration only, so that it cannot be done twice. (trap T49)
func (run *replacing) judge(ctx context.Context, err error, change *api.MemberChange) error {
	var e *api.Error
	if ctx.Err() != nil || !errors.As(err, &e) {
		return nil // pause returns why it ends
	}
	switch e.Code {
	case api.CodeConflict:
		if run.refusals++; run.refusals < mostRefusals || isOther(e, change) {
			return nil
		}
	case api.CodeNoLeader, api.CodeNotReady, api.CodeUnreachable, api.CodeOverloaded, api.CodeOutcomeUnknown:
		run.show(e.Message, showEvery)
		return nil
	}
	if change == nil {
		return run.program.explain(run.client, "", err)
	}
	return run.program.explainChange(run.client, &run.answer.After, change, err)
}

// isOther reports whether a change was refused because the members are others now.
func isOther(e *api.Error, change *api.MemberChange) bool {
	return change != nil && e.Config != nil && e.Config.Index != *change.ExpectedConfigIndex
}

// show prints a line of progress if it is new, and the last one is old enough.
func (run *replacing) show(line string, every time.Duration) {
	now := time.Now()
	run.last = line
	if line == run.shown || now.Sub(run.shownAt) < every {
		return
	}
	run.shown, run.shownAt = line, now
	run.program.warn("%s\n", printable(line))
}

// pause waits before the members are looked at again, longer each time. It returns false if the time is over.
func (run *replacing) pause(ctx context.Context) bool {
	timer := time.NewTimer(run.every)
	defer timer.Stop()
	run.every = min(2*run.every, replaceLater)
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// unfinished returns the failure of a replacement that was interrupted, or whose time was over.
func (run *replacing) unfinished() error {
	f := &failure{code: exitFailed, message: fmt.Sprintf("the replacement is not complete after %v", run.limit)}
	if run.program.ctx.Err() != nil {
		f.code, f.message = exitInterrupted, "interrupted"
	}
	if run.last != "" {
		f.message += "; " + run.last
	}
	f.hints = []string{"go on: raftctl " + run.program.again(), "or look first: raftctl member list"}
	return f
}

// finish prints the members before and after.
func (run *replacing) finish() error {
	by := run.successor(&run.answer.After)
	run.program.warn("node %d has replaced member %d\n", by.ID, run.old)
	return run.program.printChange(&run.answer)
}
