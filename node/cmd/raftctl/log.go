package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) logCommand() *cobra.Command {
	var from uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show the replicated log",
		Long: `Show entries of the replicated log as one node's disk has them: the last ones, or
those from --from on. An entry's index is the revision of its change. Entries above
the commit index are marked with ?: they may yet be replaced.`,
		Example: `  raftctl log
  raftctl log --from 1 --limit 10
  raftctl log -o ndjson | jq .command`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if limit < 1 || limit > api.MaxLogEntries {
				return usage("--limit is %d; it must be from 1 to %d", limit, api.MaxLogEntries)
			}
			return p.showLog(from, limit)
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "first index to show (default: the end of the log)")
	cmd.Flags().IntVar(&limit, "limit", 20, "number of entries to show")
	return cmd
}

func (p *program) showLog(from uint64, limit int) error {
	if p.curl {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if from > 0 {
			query.Set("from", strconv.FormatUint(from, 10))
		}
		return p.printCurl("GET", api.PathLogs+"?"+query.Encode())
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		page, err := c.Logs(ctx, from, limit)
		if err != nil {
			return err
		}
		return p.printLog(page)
	})
}

func (p *program) printLog(page api.LogPage) error {
	if p.output == "json" {
		return p.printJSON(page)
	}
	t := table{right: []bool{false, true, true}}
	t.add("", "INDEX", "TERM", "TIME", "COMMAND")
	for _, e := range page.Entries {
		switch p.output {
		case "ndjson":
			if err := p.printJSON(e); err != nil {
				return err
			}
		case "raw":
			if err := p.write(string(e.Command) + "\n"); err != nil {
				return err
			}
		default:
			mark := ""
			if e.Index > page.CommitIndex {
				mark = "?"
			}
			at := time.UnixMicro(int64(e.Timestamp * 1e6)).UTC().Format("2006-01-02 15:04:05.000")
			t.add(mark, grouped(e.Index), grouped(e.Term), at, clip(string(e.Command), 100))
		}
	}
	if p.output != "table" {
		return nil
	}
	var b strings.Builder
	t.render(&b)
	fmt.Fprintf(&b, "entries %s to %s, committed up to %s\n",
		grouped(page.FirstIndex), grouped(page.LastIndex), grouped(page.CommitIndex))
	return p.write(b.String())
}

// clip shortens a text to the width of a cell.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-3]) + "..."
}
