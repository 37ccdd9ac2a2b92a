package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) incrCommand() *cobra.Command {
	var by int64
	cmd := &cobra.Command{
		Use:   "incr KEY",
		Short: "Add to a number",
		Long:  `Add to a whole number, and print the new one. A key that does not exist counts as 0.`,
		Example: `  raftctl incr jobs/done
  raftctl incr jobs/left --by -1`,
		Args: keyArgs(),
		RunE: func(_ *cobra.Command, args []string) error {
			key := args[0]
			if p.curl {
				return p.printCurlCommand(api.Command{
					Op: api.OpIncr, Key: key, By: json.Number(strconv.FormatInt(by, 10)),
				})
			}
			return p.withClient(key, func(ctx context.Context, c *client.Client) error {
				r, err := c.Incr(ctx, key, by)
				if err != nil {
					return err
				}
				p.changed = true
				return p.printValue(r, fmt.Sprintln(r.Value), fmt.Sprintln(r.Value))
			})
		},
	}
	cmd.Flags().Int64Var(&by, "by", 1, "number to add")
	return cmd
}

func (p *program) casCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cas KEY EXPECTED VALUE",
		Short: "Set a JSON value if the present one is as expected",
		Long: `Compare and set: write the JSON value VALUE if the key holds EXPECTED now.
EXPECTED null means that the key does not exist. Exit code 4: it holds something else.`,
		Example: `  raftctl cas cfg/debug false true
  raftctl cas cfg/debug null '{"level":2}'`,
		Args: keyArgs("EXPECTED", "VALUE"),
		RunE: func(_ *cobra.Command, args []string) error {
			for i, name := range []string{"EXPECTED", "VALUE"} {
				if !json.Valid([]byte(args[i+1])) {
					return &failure{
						code: exitUsage, message: name + " is not JSON: " + args[i+1],
						hints: []string{"a string needs quotes: " + quote(strconv.Quote(args[i+1]))},
					}
				}
			}
			return p.cas(args[0], json.RawMessage(args[1]), json.RawMessage(args[2]))
		},
	}
}

func (p *program) cas(key string, expected, value json.RawMessage) error {
	if p.curl {
		return p.printCurlCommand(api.Command{Op: api.OpCas, Key: key, Expected: expected, Value: value})
	}
	return p.withClient(key, func(ctx context.Context, c *client.Client) error {
		r, err := c.CAS(ctx, key, expected, value)
		if err != nil {
			return err
		}
		if r.Swapped {
			p.changed = true
			return p.printValue(r, fmt.Sprintf("revision %d, swapped\n", r.Revision), fmt.Sprintln(r.Revision))
		}
		if p.output == "json" || p.output == "ndjson" {
			if err := p.printJSON(r); err != nil {
				return err
			}
		}
		holds := fmt.Sprintf("%s holds %s, not %s", key, r.Value, expected)
		if string(r.Value) == "null" {
			holds = key + " does not exist"
		}
		return &failure{code: exitPrecondition, message: holds + "; nothing was written"}
	})
}
