package main

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// reading are the flags of a read.
type reading struct {
	consistency string
	minRevision uint64
	revision    uint64
}

func (r *reading) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.consistency, "consistency", string(api.Linearizable), "linearizable, lease or stale")
	cmd.Flags().Uint64Var(&r.minRevision, "min-revision", 0, "wait until the node has applied this revision")
	_ = cmd.RegisterFlagCompletionFunc("consistency", cobra.FixedCompletions(
		[]string{"linearizable", "lease", "stale"}, cobra.ShellCompDirectiveNoFileComp))
}

// registerRevision adds the flag of a read that may be of the past.
func (r *reading) registerRevision(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&r.revision, "revision", 0, "revision to read at (default: the newest)")
}

func (r *reading) check(cmd *cobra.Command) error {
	switch api.Consistency(r.consistency) {
	case api.Linearizable, api.Lease, api.Stale:
	default:
		return usage("--consistency is %q; it must be linearizable, lease or stale", r.consistency)
	}
	if cmd.Flags().Changed("revision") && r.revision == 0 {
		return usage("--revision is 0; it must be a revision like 42")
	}
	return nil
}

func (r *reading) options() []client.ReadOption {
	var options []client.ReadOption
	if c := api.Consistency(r.consistency); c != api.Linearizable {
		options = append(options, client.Consistency(c))
	}
	if r.minRevision > 0 {
		options = append(options, client.MinRevision(r.minRevision))
	}
	if r.revision > 0 {
		options = append(options, client.AtRevision(r.revision))
	}
	return options
}

// query returns the flags as parameters, for a curl line.
func (r *reading) query() url.Values {
	query := url.Values{}
	if r.consistency != string(api.Linearizable) {
		query.Set(api.ParamConsistency, r.consistency)
	}
	for name, revision := range map[string]uint64{api.ParamMinRevision: r.minRevision, api.ParamRevision: r.revision} {
		if revision > 0 {
			query.Set(name, strconv.FormatUint(revision, 10))
		}
	}
	return query
}

// withQuery returns a path with parameters, if there are any.
func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
