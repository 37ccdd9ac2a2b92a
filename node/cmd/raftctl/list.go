package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// selection are the flags and the argument that select a range of keys.
type selection struct {
	client.Range
	reading
}

func (s *selection) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.Prefix, "prefix", "", "list the keys that begin with this (as the argument PREFIX)")
	cmd.Flags().StringVar(&s.From, "from", "", "first key")
	cmd.Flags().StringVar(&s.To, "to", "", "first key behind the range")
	s.reading.register(cmd)
	s.registerRevision(cmd)
}

// take takes the argument, and checks the flags.
func (s *selection) take(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		if cmd.Flags().Changed("prefix") {
			return usageOf(cmd, "give the prefix once: as the argument or with --prefix")
		}
		s.Prefix = args[0]
	}
	return s.check(cmd)
}

// parameters returns the selection for a curl line.
func (s *selection) parameters() url.Values {
	query := s.query()
	for name, value := range map[string]string{
		api.ParamPrefix: s.Prefix, api.ParamFrom: s.From, api.ParamTo: s.To, api.ParamDelimiter: s.Delimiter,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if s.KeysOnly {
		query.Set(api.ParamKeysOnly, "true")
	}
	if s.Limit > 0 {
		query.Set(api.ParamLimit, strconv.Itoa(s.Limit))
	}
	return query
}

func (p *program) listCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:     "ls [PREFIX]",
		Aliases: []string{"list"},
		Short:   "List keys",
		Long: `List the keys that begin with PREFIX, or all, in the order of their bytes and at one
revision. The list is streamed: it may have any number of keys. With --delimiter, keys
that contain the delimiter behind the prefix are shown as one folder.

-o raw prints the keys only, one per line and unchanged. -o ndjson prints one record
per line. Exit code 0 means that the list is complete.`,
		Example: `  raftctl ls
  raftctl ls cfg/ --keys
  raftctl ls cfg/ --delimiter /
  raftctl ls --from cfg/a --to cfg/n --limit 100
  raftctl ls cfg/ --revision 42 -o ndjson > cfg.ndjson`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.Limit < 0 || cmd.Flags().Changed("limit") && s.Limit == 0 {
				return usage("--limit is %d; it must be at least 1", s.Limit)
			}
			if err := s.take(cmd, args); err != nil {
				return err
			}
			return p.list(&s)
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&s.KeysOnly, "keys", false, "list the keys without their values")
	cmd.Flags().StringVar(&s.Delimiter, "delimiter", "", "show keys that contain this behind the prefix as folders")
	cmd.Flags().IntVar(&s.Limit, "limit", 0, "number of keys and folders to list (default: all)")
	return cmd
}

func (p *program) list(s *selection) error {
	if p.curl {
		return p.printCurl("GET", withQuery(api.PathList, s.parameters()), "-H", "Accept: application/x-ndjson")
	}
	return p.withClient("", func(_ context.Context, c *client.Client) error {
		out := &listing{program: p, keysOnly: s.KeysOnly}
		for e, err := range c.Scan(p.ctx, s.Range, s.options()...) {
			if err == nil {
				err = out.add(&e)
			}
			if err != nil {
				// What came is shown, and the error with the exit code that it is not all.
				if flushed := out.flush(); flushed != nil {
					return flushed
				}
				return p.explainRevision(c, s.minRevision, err)
			}
		}
		return out.finish()
	})
}

const (
	// listedRows is how many rows of a table are aligned together, and listedBytes when collected output is written.
	listedRows  = 1000
	listedBytes = 64 << 10
	// listedValue is the width of a value in a table.
	listedValue = 60
)

// listing prints a list of any length.
type listing struct {
	*program
	keysOnly bool
	text     strings.Builder
	rows     table
	count    int
}

// add prints an entry, or collects it.
func (l *listing) add(e *client.Entry) error {
	l.count++
	switch {
	case l.output == "json" || l.output == "ndjson":
		if err := l.addJSON(e); err != nil {
			return err
		}
	case l.output == "raw":
		l.text.WriteString(e.Name() + "\n")
	case l.keysOnly:
		l.text.WriteString(printable(strings.ReplaceAll(e.Name(), "\n", "\ufffd")) + "\n")
	default:
		l.addRow(e)
	}
	if l.text.Len() >= listedBytes || len(l.rows.rows) >= listedRows {
		return l.flush()
	}
	return nil
}

func (l *listing) addRow(e *client.Entry) {
	if l.count == 1 {
		l.rows.right = []bool{false, true}
		l.rows.add("KEY", "REVISION", "VALUE")
	}
	if e.Folder != "" {
		l.rows.add(oneLine(e.Folder))
		return
	}
	l.rows.add(oneLine(e.Key), grouped(e.Revision), shownValue(e.Value))
}

func (l *listing) addJSON(e *client.Entry) error {
	var value any = listed(e)
	if e.Folder != "" {
		value = struct {
			Folder string `json:"folder"`
		}{e.Folder}
	}
	text, err := l.encode(value)
	if err != nil {
		return err
	}
	if l.output == "json" { // the elements of one array
		begin := ",\n  "
		if l.count == 1 {
			begin = "[\n  "
		}
		text = begin + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ")
	}
	l.text.WriteString(text)
	return nil
}

// flush writes what was collected.
func (l *listing) flush() error {
	l.rows.render(&l.text)
	l.rows.rows = l.rows.rows[:0]
	text := l.text.String()
	l.text.Reset()
	return l.write(text)
}

// finish writes the rest of a complete list.
func (l *listing) finish() error {
	switch {
	case l.output == "json" && l.count == 0:
		l.text.WriteString("[]\n")
	case l.output == "json":
		l.text.WriteString("\n]\n")
	}
	return l.flush()
}

// oneLine returns a key for a cell of a table.
func oneLine(key string) string { return strings.ReplaceAll(key, "\n", "\ufffd") }

// shownValue returns a value for a cell of a table: the beginning of a text, or the size of other bytes.
func shownValue(value []byte) string {
	if !utf8.Valid(value) {
		return fmt.Sprintf("(%s, not text)", bytesText(int64(len(value))))
	}
	return clip(oneLine(strings.ToValidUTF8(string(value[:min(len(value), 4*listedValue)]), "")), listedValue)
}

// listed returns an entry in the JSON form of the API.
func listed(e *client.Entry) api.Record {
	r := api.Record{
		Key: e.Key, Revision: e.Revision, Modified: seconds(e.Modified),
		RecordMeta: api.RecordMeta{
			ContentType: e.ContentType, CreateRevision: e.CreateRevision, Version: e.Item.Version,
		},
	}
	if e.Value != nil {
		r.Value, r.Encoding = jsonValue(e.Value, e.ContentType)
	}
	return r
}

// jsonValue returns a value as the API shows it, with its encoding.
func jsonValue(value []byte, contentType string) (json.RawMessage, string) {
	switch {
	case strings.HasPrefix(contentType, "application/json") && json.Valid(value):
		return value, ""
	case utf8.Valid(value) && !strings.HasPrefix(contentType, "application/json"):
		return jsonString(string(value)), ""
	}
	return jsonString(base64.StdEncoding.EncodeToString(value)), api.EncodingBase64
}

func jsonString(s string) json.RawMessage {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil { // a string can always be encoded
		return json.RawMessage(`""`)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// seconds returns a time as the API shows it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func (p *program) countCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "count [PREFIX]",
		Short: "Count keys",
		Long:  `Count the keys that begin with PREFIX, or all. Their values are not read.`,
		Example: `  raftctl count
  raftctl count cfg/
  raftctl count cfg/ --revision 42`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.take(cmd, args); err != nil {
				return err
			}
			if p.curl {
				query := s.parameters()
				query.Set(api.ParamCount, "true")
				return p.printCurl("GET", withQuery(api.PathList, query))
			}
			return p.withClient("", func(ctx context.Context, c *client.Client) error {
				counted, err := c.Count(ctx, s.Range, s.options()...)
				if err != nil {
					return p.explainRevision(c, s.minRevision, err)
				}
				text := fmt.Sprintln(counted.Count)
				return p.printValue(counted, text, text)
			})
		},
	}
	s.register(cmd)
	return cmd
}
