package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/backup"
)

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify PATH",
		Short: "Check a data directory or a backup, offline",
		Long: `Read everything in the data directory of a node that is stopped, or in a backup, and
check it: the structure of the databases, the checksum of every row, the chain of the log,
that the log continues the state, and that no row is missing. Damaged rows are named.
Nothing is changed. Exit code 0 means that all is as it was written, 1 that it is not, or
that it could not be read, for instance because the node runs.`,
		Example: `  raftctl verify /var/lib/kontiki
  raftctl verify kontiki.db
  raftctl verify kontiki.db -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := backup.Verify(args[0])
			if err != nil {
				return err
			}
			if err := p.printValue(r, reportText(&r), outcomeOf(&r)+"\n"); err != nil {
				return err
			}
			if !r.OK {
				return &failure{code: exitFailed, message: fmt.Sprintf("%s is damaged; errors: %d", r.Path,
					len(r.Damage)+r.Unlisted)}
			}
			return nil
		},
	}
}

func outcomeOf(r *backup.Report) string {
	if r.OK {
		return "ok"
	}
	return "damaged"
}

// reportText returns a report as text.
func reportText(r *backup.Report) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-8s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s: %s\n", printable(r.Path), outcomeOf(r))
	switch {
	case r.NodeID > 0:
		line("node", "%d of cluster %s", r.NodeID, r.ClusterID)
	case r.ClusterID != "":
		line("cluster", "%s", r.ClusterID)
	}
	if s := r.State; s != nil {
		line("state", "revision %s, %s keys, %s", grouped(s.Revision), grouped(s.Keys), bytesText(s.LiveBytes))
		line("history", "%s versions, %s, compacted up to revision %s", grouped(s.HistoryVersions),
			bytesText(s.HistoryBytes), grouped(s.CompactedRevision))
	}
	if l := r.Log; l != nil {
		line("log", "%s, committed up to %s, term %d, %s", entriesText(l), grouped(l.CommitIndex), l.CurrentTerm, voteText(l))
	}
	if r.Kind == backup.File {
		line("file", "%s, sha256 %s", bytesText(r.Bytes), r.SHA256)
	}
	for _, text := range r.Warnings {
		line("warning", "%s", text)
	}
	for _, text := range r.Damage {
		line("damage", "%s", text)
	}
	if r.Unlisted > 0 {
		line("damage", "and %d more errors", r.Unlisted)
	}
	return b.String()
}

func entriesText(l *backup.Log) string {
	if l.LastIndex < l.FirstIndex {
		return "no entry after " + grouped(l.LastIndex)
	}
	return "entries " + grouped(l.FirstIndex) + " to " + grouped(l.LastIndex)
}

func voteText(l *backup.Log) string {
	if l.VotedFor == 0 {
		return "no vote"
	}
	return fmt.Sprintf("vote for node %d", l.VotedFor)
}
