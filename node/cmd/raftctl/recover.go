package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/recovery"
)

// recoverFlags are the flags of raftctl recover.
type recoverFlags struct {
	recovery.Options
	yes bool
}

func (p *program) recoverCommand() *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover --data-dir DIR... --into DIR --advertise-peer URL",
		Short: "Make a new cluster of one member of what is left of one that lost its quorum",
		Long: `Make a new cluster of one member from the data directories of a cluster that has lost a
majority of its disks for good. It works offline: stop all nodes, and copy the directories
that are left to one machine.

It verifies them, chooses the longest log, and writes a new data directory with all of that
log and its state. Entries that may not have been committed are kept, because they may have
been acknowledged. Writes that only missing members hold are lost. The directories that it
reads are not changed.

The new cluster has an id of its own, so members of the old one that return are refused.
Start it with raftnode serve --data-dir DIR, then add members.

While a majority of the members have their disks, do not use it: start them.`,
		Example: `  raftctl recover --data-dir /mnt/2 --data-dir /mnt/3 --into /var/lib/kontiki-new \
    --advertise-peer http://h1:7080`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return p.recoverCluster(&f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.Dirs, "data-dir", nil, "data directory of a stopped member; give each that is left (required)")
	flags.StringVar(&f.Into, "into", "", "data directory to make, which must be missing or empty (required)")
	flags.StringVar(&f.Address, "advertise-peer", "", "peer URL of the new cluster's member (required)")
	flags.BoolVar(&f.yes, "yes", false, "recover without asking")
	return cmd
}

// check checks the flags.
func (f *recoverFlags) check(cmd *cobra.Command) error {
	switch {
	case len(f.Dirs) == 0:
		return usageOf(cmd, "--data-dir is missing; give the data directory of each member that is left")
	case f.Into == "":
		return usageOf(cmd, "--into is missing; name the directory to make")
	case f.Address == "":
		return usageOf(cmd, "--advertise-peer is missing; give the peer URL of the new member, like http://h1:7080")
	}
	f.Now, f.Rand = time.Now().UnixMicro(), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	return nil
}

func (p *program) recoverCluster(f *recoverFlags) (err error) {
	r, err := recovery.Open(f.Options)
	switch {
	case errors.Is(err, recovery.ErrOptions):
		return &failure{code: exitUsage, message: err.Error(), cause: err}
	case errors.Is(err, recovery.ErrRunning):
		return &failure{code: exitFailed, message: err.Error(), cause: err, hints: []string{
			"stop every node of the cluster before it is recovered",
		}}
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	plan := r.Plan()
	p.warn("%s", printable(planText(&plan, time.UnixMicro(f.Now))))
	if err := p.confirm(f.yes); err != nil {
		return err
	}
	if err := r.Write(); err != nil {
		return err
	}
	start := words([]string{"raftnode", "serve", "--data-dir", plan.Dir})
	text := fmt.Sprintf("%s is the data directory of node %d of cluster %s\nstart it: %s\n", plan.Dir, plan.NodeID,
		plan.ClusterID, start)
	return p.printValue(plan, text, plan.ClusterID+"\n")
}

// confirm asks the person at the terminal.
func (p *program) confirm(yes bool) error {
	if yes {
		return nil
	}
	refused := &failure{
		code: exitUsage, message: "nothing was done: stdin is not a terminal, so this needs --yes",
		hints: []string{"if the plan above is right, run it again with --yes"},
	}
	if !p.fromTerminal {
		return refused
	}
	p.warn("Type yes to continue: ")
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	if strings.TrimSpace(line) == "yes" {
		return nil
	}
	refused.code, refused.message, refused.hints = exitFailed, "nothing was done", nil
	refused.cause = err
	return refused
}

// planText returns a plan as text.
func planText(plan *recovery.Plan, now time.Time) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("cluster", "%s", plan.OldClusterID)
	line("survivor", "%s%s", directoryText(&plan.Survivor), ageText(plan.LastEntryMs, now))
	for i := range plan.Others {
		line("other", "%s", directoryText(&plan.Others[i]))
	}
	s := &plan.Survivor
	line("kept", "all entries up to %s", grouped(s.LastIndex))
	if s.LastIndex > plan.KnownCommit {
		line("", "those after %s are not known to be committed; they become so", grouped(plan.KnownCommit))
	}
	switch {
	case plan.NothingLost:
		line("lost", "nothing that was acknowledged: these are the disks of a majority")
		line("", "with these disks the old cluster works: start its nodes instead, if they can run")
	default:
		line("lost", "what was acknowledged after entry %s and is only on the disk of %s", grouped(s.LastIndex),
			identity.NodeNames(plan.Missing))
	}
	line("new", "%s: node %d at %s, the only member of cluster %s", plan.Dir, plan.NodeID, plan.Address, plan.ClusterID)
	return b.String()
}

func directoryText(d *recovery.Directory) string {
	return fmt.Sprintf("%s: node %d, log up to entry %s of term %d, committed up to %s", d.Dir, d.NodeID,
		grouped(d.LastIndex), d.LastTerm, grouped(d.CommitIndex))
}

// ageText returns the time of the last entry.
func ageText(ms int64, now time.Time) string {
	if ms == 0 {
		return ""
	}
	at := time.UnixMilli(ms)
	return fmt.Sprintf(", written %s (%s ago)", at.UTC().Format(time.RFC3339), age(max(0, now.Sub(at))))
}
