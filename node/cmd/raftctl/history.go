package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) historyCommand() *cobra.Command {
	var how reading
	var before uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "Show the versions of a key",
		Long: `Show the versions of a key that are kept, the newest first, and when it was deleted.
The last line states where the history ends. -o raw prints the revisions only.`,
		Example: `  raftctl history cfg/color
  raftctl history cfg/color --before 42 --limit 10
  raftctl history cfg/color -o ndjson | jq .value`,
		Args: keyArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > api.MaxVersions {
				return usage("--limit is %d; it must be from 1 to %d", limit, api.MaxVersions)
			}
			if err := how.check(cmd); err != nil {
				return err
			}
			return p.history(args[0], before, limit, &how)
		},
	}
	cmd.Flags().Uint64Var(&before, "before", 0, "show versions from before this revision (default: the newest)")
	cmd.Flags().IntVar(&limit, "limit", api.DefaultVersions, "number of versions to show")
	how.register(cmd)
	return cmd
}

func (p *program) history(key string, before uint64, limit int, how *reading) error {
	if p.curl {
		query := how.query()
		query.Set(api.ParamHistory, "true")
		query.Set(api.ParamLimit, strconv.Itoa(limit))
		if before > 0 {
			query.Set(api.ParamBefore, strconv.FormatUint(before, 10))
		}
		return p.printCurl("GET", withQuery(api.KeyPath(key), query))
	}
	return p.withClient(key, func(ctx context.Context, c *client.Client) error {
		h, err := c.History(ctx, key, before, limit, how.options()...)
		if err != nil {
			return p.explainRevision(c, how.minRevision, err)
		}
		return p.printHistory(key, h)
	})
}

// versionJSON returns a version in the JSON form of the API.
func versionJSON(v *client.Version) api.Version {
	shown := api.Version{Revision: v.Revision, Deleted: v.Deleted, Modified: seconds(v.Modified)}
	if !v.Deleted {
		shown.Value, shown.Encoding = jsonValue(v.Value, v.ContentType)
		shown.ContentType, shown.CreateRevision, shown.Version = v.ContentType, v.CreateRevision, v.Item.Version
	}
	return shown
}

func (p *program) printHistory(key string, h client.History) error {
	page := api.HistoryPage{Key: key, CompactedRevision: h.CompactedRevision, More: h.More, Versions: []api.Version{}}
	t := table{right: []bool{true, true}}
	t.add("REVISION", "VERSION", "TIME", "VALUE")
	var raw strings.Builder
	for i := range h.Versions {
		v := &h.Versions[i]
		page.Versions = append(page.Versions, versionJSON(v))
		fmt.Fprintln(&raw, v.Revision)
		at := v.Modified.UTC().Format("2006-01-02 15:04:05.000")
		if v.Deleted {
			t.add(grouped(v.Revision), "", at, "(deleted)")
		} else {
			t.add(grouped(v.Revision), grouped(v.Item.Version), at, shownValue(v.Value))
		}
	}
	switch p.output {
	case "ndjson":
		for _, v := range page.Versions {
			if err := p.printJSON(v); err != nil {
				return err
			}
		}
		return nil
	case "json":
		return p.printJSON(page)
	case "raw":
		return p.write(raw.String())
	}
	var b strings.Builder
	t.render(&b)
	switch last := len(h.Versions) - 1; {
	case h.More:
		fmt.Fprintf(&b, "there are older versions: raftctl %s\n", p.older(key, h.Versions[last].Revision))
	case h.CompactedRevision > 0:
		fmt.Fprintf(&b, "older versions were compacted: the history begins at revision %s\n", grouped(h.CompactedRevision))
	default:
		b.WriteString("this is the whole history\n")
	}
	return p.write(b.String())
}

// older returns the arguments that show the versions before a revision.
func (p *program) older(key string, revision uint64) string {
	return words([]string{"history", key, "--before", strconv.FormatUint(revision, 10)})
}

func (p *program) revertCommand() *cobra.Command {
	var revision uint64
	cmd := &cobra.Command{
		Use:   "revert KEY --revision N",
		Short: "Restore an earlier value of a key",
		Long: `Write the value that the key had at a revision, with its content type, as a new version.
If the key did not exist then, it is deleted. Nothing is written if the key has that
version already, or if it is changed meanwhile (exit code 4).`,
		Example: `  raftctl history cfg/color
  raftctl revert cfg/color --revision 42`,
		Args: keyArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if revision == 0 {
				return usageOf(cmd, "%s needs --revision N, the revision whose value is restored", cmd.CommandPath())
			}
			if p.curl {
				return usage("--curl shows one request, and a revert needs several")
			}
			return p.withClient(args[0], func(ctx context.Context, c *client.Client) error {
				return p.revert(ctx, c, args[0], revision)
			})
		},
	}
	cmd.Flags().Uint64Var(&revision, "revision", 0, "revision whose value is restored")
	return cmd
}

// reverted is the result of a revert.
type reverted struct {
	Revision uint64 `json:"revision"` // of the key; 0: it does not exist
	Changed  bool   `json:"changed"`
	Deleted  bool   `json:"deleted,omitempty"`
}

func (p *program) revert(ctx context.Context, c *client.Client, key string, revision uint64) error {
	then, existed, err := optional(c.Get(ctx, key, client.AtRevision(revision)))
	if err != nil {
		return err
	}
	now, exists, err := optional(c.Get(ctx, key))
	if err != nil {
		return err
	}
	result := reverted{Revision: now.Revision}
	text := fmt.Sprintf("unchanged: %s is as it was at revision %d\n", key, revision)
	switch {
	case existed && (!exists || now.Revision != then.Revision):
		var r api.PutResponse
		r, err = c.Put(ctx, key, then.Value, client.ContentType(then.ContentType), present(now, exists))
		result = reverted{Revision: r.Revision, Changed: true}
		text = fmt.Sprintf("revision %d, with the value of revision %d\n", r.Revision, revision)
	case !existed && exists:
		var r api.DeleteResponse
		r, err = c.Delete(ctx, key, client.IfRevision(now.Revision))
		result = reverted{Revision: r.Revision, Changed: true, Deleted: true}
		text = fmt.Sprintf("revision %d, deleted: it did not exist at revision %d\n", r.Revision, revision)
	}
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodePreconditionFailed {
		return &failure{code: exitPrecondition, message: key + " was changed meanwhile; nothing was written", cause: e}
	}
	if err != nil {
		return err
	}
	p.changed = result.Changed
	return p.printValue(result, printable(text), fmt.Sprintln(result.Revision))
}

// optional turns the error of a read of an absent key into false.
func optional(item client.Item, err error) (client.Item, bool, error) {
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.CodeNotFound {
		return item, false, nil
	}
	return item, err == nil, err
}

// present returns the condition that a key is still as it was read.
func present(item client.Item, exists bool) client.WriteOption {
	if exists {
		return client.IfRevision(item.Revision)
	}
	return client.IfAbsent()
}

func (p *program) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact REVISION",
		Short: "Discard the history before a revision",
		Long: `Discard the history before a revision: reads before it fail from then on, and versions
that only such reads could see are removed. The present values are not affected. The
cluster does the same by itself when the history exceeds its retention.`,
		Example: `  raftctl compact 42`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || revision == 0 {
				return usageOf(cmd, "REVISION is %q; it must be a revision like 42", args[0])
			}
			if p.curl {
				return p.printCurl("POST", api.PathCompact, "--data-binary", fmt.Sprintf(`{"revision":%d}`, revision))
			}
			return p.withClient("", func(ctx context.Context, c *client.Client) error {
				r, err := c.Compact(ctx, revision)
				if err != nil {
					return err
				}
				p.changed = true
				return p.printValue(r, fmt.Sprintf("the history begins at revision %d\n", r.Revision),
					fmt.Sprintln(r.Revision))
			})
		},
	}
}
