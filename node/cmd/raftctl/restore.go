package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/backup"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// restoreFlags are the flags of raftctl restore.
type restoreFlags struct {
	backup.Options
	initialCluster string
	sum            string
}

func (p *program) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the data directory of a member of a new cluster of a backup",
		Long: `Make the data directory of one member of a new cluster, which begins with the state in
FILE. Run it once for each member, with the same FILE, --initial-cluster and --bump, then
start each with raftnode serve and the same --id and --initial-cluster. As with any new
cluster, 3 of 3, 4 of 5 or 6 of 7 members must start before it takes requests.

The cluster has an id of its own, so that its members never mix with those of the old one.
New revisions are above those of the backup. --bump N leaves out N more: give it more than
the old cluster can have made since the backup, if clients compare revisions across the
restore.

FILE must have the hash in FILE.sha256, or in --sha256.`,
		Example: `  raftctl restore kontiki.db --data-dir /var/lib/kontiki --id 1 \
    --initial-cluster 1=http://h1:7080,2=http://h2:7080,3=http://h3:7080`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.File = args[0]
			if err := f.check(cmd); err != nil {
				return err
			}
			return p.restore(&f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Dir, "data-dir", "", "data directory to make, which must be missing or empty (required)")
	flags.Uint64Var(&f.ID, "id", 0, "id of the member in --initial-cluster (required)")
	flags.StringVar(&f.initialCluster, "initial-cluster", "", "all members of the new cluster as ID=URL,... (required)")
	flags.Uint64Var(&f.Bump, "bump", 0, "number of revisions to leave out")
	flags.StringVar(&f.sum, "sha256", "", "hash that FILE must have (default: that in FILE.sha256)")
	flags.BoolVar(&f.SkipHash, "skip-hash-check", false, "restore FILE whatever its hash")
	return cmd
}

// check checks the flags.
func (f *restoreFlags) check(cmd *cobra.Command) error {
	switch {
	case f.Dir == "":
		return usageOf(cmd, "--data-dir is missing; name the directory to make")
	case f.initialCluster == "":
		return usageOf(cmd, "--initial-cluster is missing; give all members, like 1=http://h1:7080,2=http://h2:7080")
	case f.ID == 0:
		return usageOf(cmd, "--id is missing; give the id of this member in --initial-cluster")
	case f.sum != "" && f.SkipHash:
		return usageOf(cmd, "--sha256 and --skip-hash-check exclude each other")
	}
	var err error
	if f.Members, err = identity.ParseMembers(f.initialCluster); err != nil {
		return usageOf(cmd, "--initial-cluster: %v", err)
	}
	if f.sum == "" {
		return nil
	}
	sum, err := backup.ParseSum(f.sum)
	if err != nil {
		return usageOf(cmd, "--sha256: %v", err)
	}
	f.Sum = &sum
	return nil
}

func (p *program) restore(f *restoreFlags) error {
	r, err := backup.Restore(f.Options)
	switch {
	case errors.Is(err, backup.ErrOptions):
		return &failure{code: exitUsage, message: err.Error(), cause: err}
	case errors.Is(err, backup.ErrNoHash):
		return &failure{code: exitFailed, message: err.Error(), cause: err, hints: []string{
			"give the hash that raftctl backup printed with --sha256, or --skip-hash-check",
		}}
	case err != nil:
		return err
	}
	text := fmt.Sprintf("%s is the data directory of node %d of cluster %s: %s keys of revision %s; new revisions are "+
		"above %s\n", f.Dir, r.NodeID, r.ClusterID, grouped(r.Keys), grouped(r.Revision), grouped(r.Start))
	start := words([]string{
		"raftnode", "serve", "--id", fmt.Sprint(r.NodeID), "--data-dir", f.Dir, "--initial-cluster", f.initialCluster,
	})
	return p.printValue(r, text+"restore the other members with the same file, then start each: "+start+"\n",
		r.ClusterID+"\n")
}
