package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// keyArgs requires a key and, with names, more arguments.
func keyArgs(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1+len(names) && args[0] != "" {
			return nil
		}
		want := strings.ToUpper(strings.Join(append([]string{"KEY"}, names...), " "))
		got := fmt.Sprintf("%d were given", len(args))
		switch {
		case len(args) > 0 && args[0] == "":
			got = "the key is empty"
		case len(args) == 1:
			got = "1 was given"
		}
		return usageOf(c, "%s needs %s; %s", c.CommandPath(), want, got)
	}
}

func (p *program) getCommand() *cobra.Command {
	var how reading
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Read a key",
		Long: `Read a key. The read is linearizable: it returns every write that was acknowledged
before the read began. With --consistency stale any node answers from its own state,
also without a leader. With --revision the key is read as it was then.

The value is printed on stdout unchanged; a line end is added if it has none, except
with -o raw. On a terminal, control characters and bytes that are not text are
escaped (\x1b), except with -o raw. -o json shows the revisions too.`,
		Example: `  raftctl get cfg/color
  raftctl get cfg/color -o json
  raftctl get cfg/color --revision 42
  raftctl get cfg/logo -o raw > logo.png
  raftctl get cfg/color --consistency stale --min-revision 57`,
		Args: keyArgs(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := how.check(cmd); err != nil {
				return err
			}
			return p.get(args[0], &how)
		},
	}
	how.register(cmd)
	how.registerRevision(cmd)
	return cmd
}

func (p *program) get(key string, how *reading) error {
	asJSON := p.output == "json" || p.output == "ndjson"
	if p.curl {
		path := withQuery(api.KeyPath(key), how.query())
		if asJSON {
			return p.printCurl("GET", path, "-H", "Accept: application/json")
		}
		return p.printCurl("GET", path)
	}
	return p.withClient(key, func(ctx context.Context, c *client.Client) error {
		if asJSON {
			record, err := c.GetRecord(ctx, key, how.options()...)
			if err != nil {
				return p.explainRevision(c, how.minRevision, err)
			}
			return p.printJSON(record)
		}
		item, err := c.Get(ctx, key, how.options()...)
		if err != nil {
			return p.explainRevision(c, how.minRevision, err)
		}
		if p.output == "raw" {
			return p.write(string(item.Value))
		}
		text := string(item.Value)
		if !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if p.toTerminal {
			text = escapedValue(text)
		}
		return p.write(text)
	})
}

// explainRevision reports how far the nodes are if none has applied the revision that a read waits for.
func (p *program) explainRevision(c *client.Client, revision uint64, err error) error {
	var e *api.Error
	if revision == 0 || p.ctx.Err() != nil || !errors.As(err, &e) ||
		e.Code != api.CodeNotReady && e.Code != api.CodeUnreachable {
		return err
	}
	ctx, cancel := context.WithTimeout(p.ctx, probeTime)
	defer cancel()
	answers, newest := 0, uint64(0)
	for _, o := range c.Observe(ctx) {
		if o.View != nil && o.View.LeaderID != 0 {
			answers++
			newest = max(newest, o.View.LastApplied)
		}
	}
	if answers == 0 || newest >= revision {
		return err
	}
	return &failure{
		code: exitUnreachable, cause: e,
		message: fmt.Sprintf("no node has applied revision %d yet (newest: %d)", revision, newest),
	}
}

// withClient runs one request about a key, and explains its error.
func (p *program) withClient(key string, f func(ctx context.Context, c *client.Client) error) error {
	c, ctx, done, err := p.connect()
	if err != nil {
		return err
	}
	defer done()
	if err := f(ctx, c); err != nil {
		return p.explain(c, key, err)
	}
	return nil
}

// conditions are the flags of a conditional write.
type conditions struct {
	ifRevision int64
	ifAbsent   bool
}

func (w *conditions) register(cmd *cobra.Command, absent bool) {
	cmd.Flags().Int64Var(&w.ifRevision, "if-revision", -1,
		"write only if the key has this revision; 0: only if it does not exist")
	if absent {
		cmd.Flags().BoolVar(&w.ifAbsent, "if-absent", false, "write only if the key does not exist")
	}
}

// check rejects an invalid condition. Ignoring it would mean an unconditional write.
func (w *conditions) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("if-revision") && w.ifAbsent {
		return usageOf(cmd, "--if-revision and --if-absent exclude each other")
	}
	if cmd.Flags().Changed("if-revision") && w.ifRevision < 0 {
		return usage("--if-revision is %d; it must be a revision like 42, or 0 for a key that must not exist", w.ifRevision)
	}
	return nil
}

func (w *conditions) options() []client.WriteOption {
	switch {
	case w.ifRevision >= 0:
		return []client.WriteOption{client.IfRevision(uint64(w.ifRevision))}
	case w.ifAbsent:
		return []client.WriteOption{client.IfAbsent()}
	}
	return nil
}

// header returns the condition as an argument of curl.
func (w *conditions) header() []string {
	switch {
	case w.ifRevision > 0:
		return []string{"-H", fmt.Sprintf(`If-Match: "%d"`, w.ifRevision)}
	case w.ifRevision == 0 || w.ifAbsent:
		return []string{"-H", "If-None-Match: *"}
	}
	return nil
}

// explain names the revision that does not meet the condition of a write, and the next command.
func (w *conditions) explain(p *program, key string, err error) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodePreconditionFailed {
		return err
	}
	f := &failure{code: exitPrecondition, cause: e}
	switch {
	case w.ifAbsent || w.ifRevision == 0:
		f.message = fmt.Sprintf("%s exists already, at revision %d; nothing was written", key, e.Revision)
	case e.Revision == 0:
		f.message = fmt.Sprintf("%s does not exist, so it is not at revision %d; nothing was written", key, w.ifRevision)
	default:
		f.message = fmt.Sprintf("%s is at revision %d, not %d; nothing was written", key, e.Revision, w.ifRevision)
	}
	f.hints = []string{"read it: raftctl get " + quote(key) + "    write anyway: raftctl " +
		p.withRevision(e.Revision)}
	return f
}

// withRevision returns this run's arguments with the found revision in the condition.
func (p *program) withRevision(revision uint64) string {
	kept := *p
	kept.args = nil
	for i := 0; i < len(p.args); i++ {
		switch arg := p.args[i]; {
		case arg == "--if-revision":
			i++
		case arg == "--if-absent" || strings.HasPrefix(arg, "--if-revision=") || strings.HasPrefix(arg, "--if-absent="):
		default:
			kept.args = append(kept.args, arg)
		}
	}
	return kept.again("--if-revision", strconv.FormatUint(revision, 10))
}

func (p *program) putCommand() *cobra.Command {
	var when conditions
	var contentType string
	cmd := &cobra.Command{
		Use:   "put KEY VALUE",
		Short: "Write a key",
		Long: `Write a key, and print its new revision. VALUE - reads the value from stdin,
byte for byte.

A put whose outcome is unknown (exit code 6) is not repeated: read the key first.`,
		Example: `  raftctl put cfg/color blue
  raftctl put cfg/color red --if-revision 42     only if it is unchanged
  raftctl put lock/job me --if-absent            only if it does not exist
  raftctl put cfg/app '{"debug":true}' --content-type application/json
  raftctl put cfg/logo - --content-type image/png < logo.png`,
		Args: keyArgs("VALUE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := when.check(cmd); err != nil {
				return err
			}
			return p.put(args[0], args[1], contentType, when)
		},
	}
	when.register(cmd, true)
	cmd.Flags().StringVar(&contentType, "content-type", "", "media type of the value, like application/json "+
		"(default text/plain for an argument, application/octet-stream for stdin)")
	return cmd
}

func (p *program) put(key, value, contentType string, when conditions) error {
	data := []byte(value)
	if value == "-" {
		if p.curl {
			return p.printCurl("PUT", api.KeyPath(key), putWords("@-", contentType, when)...)
		}
		var err error
		if data, err = io.ReadAll(io.LimitReader(p.stdin, api.MaxValueBytes+1)); err != nil {
			return &failure{code: exitFailed, message: "cannot read the value from stdin: " + err.Error(), cause: err}
		}
		if len(data) > api.MaxValueBytes {
			return &failure{code: exitFailed, message: fmt.Sprintf(
				"the value on stdin is larger than %d bytes, the maximum size of a value", api.MaxValueBytes)}
		}
	} else if contentType == "" {
		contentType = "text/plain"
	}
	if p.curl {
		return p.printCurl("PUT", api.KeyPath(key), putWords(value, contentType, when)...)
	}
	options := when.options()
	if contentType != "" {
		options = append(options, client.ContentType(contentType))
	}
	return p.withClient(key, func(ctx context.Context, c *client.Client) error {
		r, err := c.Put(ctx, key, data, options...)
		if err != nil {
			return when.explain(p, key, err)
		}
		p.changed = true
		text := fmt.Sprintf("revision %d\n", r.Revision)
		if r.Created {
			text = fmt.Sprintf("revision %d, created\n", r.Revision)
		}
		return p.printValue(r, text, fmt.Sprintln(r.Revision))
	})
}

// putWords returns curl's arguments for a put. A value that begins with @ would name a file.
func putWords(value, contentType string, when conditions) []string {
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	words := append(when.header(), "-H", "Content-Type: "+contentType)
	if strings.HasPrefix(value, "@") && value != "@-" {
		return append(words, "--data-raw", value)
	}
	return append(words, "--data-binary", value)
}

func (p *program) delCommand() *cobra.Command {
	var when conditions
	var prefix string
	cmd := &cobra.Command{
		Use:     "del KEY",
		Aliases: []string{"delete"},
		Short:   "Delete a key, or the keys with a prefix",
		Long: `Delete a key, or with --prefix the keys that begin with it. A key that does not exist
is exit code 3, as is a prefix without keys.

The keys with a prefix are deleted 10,000 at a time, each time at one revision.`,
		Example: `  raftctl del cfg/color
  raftctl del cfg/color --if-revision 42
  raftctl del --prefix cfg/`,
		Args: deleteArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.deletePrefix(prefix)
			}
			if err := when.check(cmd); err != nil {
				return err
			}
			key := args[0]
			if p.curl {
				return p.printCurl("DELETE", api.KeyPath(key), when.header()...)
			}
			return p.withClient(key, func(ctx context.Context, c *client.Client) error {
				r, err := c.Delete(ctx, key, when.options()...)
				if err != nil {
					return when.explain(p, key, err)
				}
				if !r.Deleted {
					return &failure{code: exitNotFound, message: "there is no key " + key}
				}
				p.changed = true
				return p.printValue(r, fmt.Sprintf("revision %d, deleted\n", r.Revision), fmt.Sprintln(r.Revision))
			})
		},
	}
	when.register(cmd, false)
	cmd.Flags().StringVar(&prefix, "prefix", "", "delete the keys that begin with this, instead of KEY")
	return cmd
}
