package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

func (p *program) txnCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "txn [FILE]",
		Short: "Carry out a transaction",
		Long: `Carry out a transaction, which is read as JSON from FILE, or from stdin: if every
comparison in "if" holds, the operations in "then" are carried out, otherwise those in
"else", all of them or none and at one revision.

  comparisons  {"key":"a","revision":{"eq":42}}; instead of the key "prefix" or "from"
               and "to"; value, revision, create_revision or version with eq, ne, lt
               or gt; or "exists":true
  operations   {"put":{"key":"a","value":"1"}}, and set, delete, incr, cas, get, count

That a comparison does not hold is no failure. -o raw prints whether all did: true or
false. A transaction whose outcome is unknown (exit code 6) is not repeated.`,
		Example: `  echo '{"if":[{"key":"a","revision":{"eq":42}}],
         "then":[{"put":{"key":"a","value":"1"}},{"delete":{"prefix":"old/"}}],
         "else":[{"get":{"key":"a"}}]}' | raftctl txn
  raftctl txn move.json -o json | jq .results`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return p.txn(args) },
	}
}

func (p *program) txn(args []string) error {
	name := "-"
	if len(args) > 0 {
		name = args[0]
	}
	if p.curl {
		return p.printCurl("POST", api.PathTxn, "--data-binary", "@"+name)
	}
	text, err := p.readTxn(name)
	if err != nil {
		return err
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		r, err := c.TxnJSON(ctx, text)
		if err != nil {
			return err
		}
		p.changed = true
		shown, err := txnText(&r)
		if err != nil {
			return err
		}
		return p.printValue(r, shown, fmt.Sprintln(r.Succeeded))
	})
}

// readTxn reads a transaction from a file, or from stdin for the name -.
func (p *program) readTxn(name string) ([]byte, error) {
	from, source := p.stdin, "stdin"
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, &failure{code: exitUsage, message: "cannot read the transaction: " + err.Error(), cause: err}
		}
		defer func() { _ = file.Close() }()
		from, source = file, name
	}
	text, err := io.ReadAll(io.LimitReader(from, api.MaxTxnBytes+1))
	switch {
	case err != nil:
		return nil, &failure{
			code: exitFailed, message: "cannot read the transaction from " + source + ": " + err.Error(), cause: err,
		}
	case len(text) > api.MaxTxnBytes:
		return nil, &failure{code: exitFailed, message: fmt.Sprintf(
			"the transaction in %s is larger than %d bytes, the maximum size", source, api.MaxTxnBytes)}
	case len(bytes.TrimSpace(text)) == 0:
		return nil, usage("%s is empty; it must have a transaction, like %s", source,
			`{"then":[{"put":{"key":"a","value":"1"}}]}`)
	}
	return text, nil
}

// txnText returns the answer to a transaction: a line for each operation, and for each key that was read.
func txnText(r *api.TxnResponse) (string, error) {
	var text strings.Builder
	branch := "the comparisons hold: then"
	if !r.Succeeded {
		branch = "a comparison does not hold: else"
	}
	fmt.Fprintf(&text, "revision %d, %s\n", r.Revision, branch)
	for i := range r.Results {
		if err := addTxnResult(&text, &r.Results[i]); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}

func addTxnResult(text *strings.Builder, r *api.TxnResult) error {
	written := func(op string, put *api.PutResponse) {
		what := "changed"
		if put.Created {
			what = "created"
		}
		fmt.Fprintf(text, "  %s: %s\n", op, what)
	}
	switch {
	case r.Put != nil:
		written("put", r.Put)
	case r.Set != nil:
		written("set", r.Set)
	case r.Delete != nil:
		fmt.Fprintf(text, "  delete: %s\n", keysText(r.Delete.Deleted, false))
	case r.Incr != nil:
		fmt.Fprintf(text, "  incr: %d\n", r.Incr.Value)
	case r.Cas != nil:
		text.WriteString("  cas: swapped\n")
	case r.Count != nil:
		fmt.Fprintf(text, "  count: %s\n", keysText(r.Count.Count, r.Count.More))
	case r.Get != nil:
		return addTxnRecords(text, r.Get)
	}
	return nil
}

func addTxnRecords(text *strings.Builder, get *api.TxnRecords) error {
	fmt.Fprintf(text, "  get: %s\n", keysText(len(get.Records), get.More))
	var rows table
	for i := range get.Records {
		record := &get.Records[i]
		value, err := client.ValueOf(record)
		if err != nil {
			return err
		}
		rows.add("   ", oneLine(record.Key), grouped(record.Revision), shownValue(value))
	}
	rows.right = []bool{false, false, true}
	rows.render(text)
	return nil
}

// keysText returns a number of keys: 1 key, 2 keys, 1,000 keys or more.
func keysText(n int, more bool) string {
	text := grouped(n) + " keys"
	if n == 1 {
		text = "1 key"
	}
	if more {
		text += ", and more"
	}
	return text
}

// deletePrefix deletes the keys that begin with a prefix.
func (p *program) deletePrefix(prefix string) error {
	if p.curl {
		return p.printCurl("DELETE", withQuery(api.PathList, map[string][]string{api.ParamPrefix: {prefix}}))
	}
	return p.withClient("", func(ctx context.Context, c *client.Client) error {
		r, err := c.DeletePrefix(ctx, prefix)
		p.changed = r.Deleted > 0
		if err != nil {
			if r.Deleted > 0 {
				p.warn("%s deleted so far, up to revision %d; the same command deletes the rest\n",
					keysText(r.Deleted, false), r.Revision)
			}
			return err
		}
		if r.Deleted == 0 {
			return &failure{code: exitNotFound, message: "there is no key that begins with " + prefix}
		}
		text := fmt.Sprintf("revision %d, %s deleted\n", r.Revision, keysText(r.Deleted, false))
		return p.printValue(r, text, fmt.Sprintln(r.Revision))
	})
}

// deleteArgs requires a key or a prefix, and returns what is wrong.
func deleteArgs(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed("prefix")
	prefix, _ := cmd.Flags().GetString("prefix")
	switch {
	case !given:
		return keyArgs()(cmd, args)
	case len(args) > 0:
		return usageOf(cmd, "%s takes KEY or --prefix, not both", cmd.CommandPath())
	case prefix == "":
		return usageOf(cmd, "--prefix is empty; it must be what the keys begin with")
	case cmd.Flags().Changed("if-revision"):
		return usageOf(cmd, "--if-revision goes with KEY, not with --prefix; see: raftctl txn --help")
	}
	return nil
}
