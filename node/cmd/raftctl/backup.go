package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/backup"
	"github.com/kontiki-dev/kontiki/node/client"
)

// backupStarts is how often a backup begins anew, because the node lost the copy that it was sending.
const backupStarts = 3

func (p *program) backupCommand() *cobra.Command {
	var how reading
	var force bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a backup of the state to a file",
		Long: `Write all keys with their history, as they are at one revision, to FILE, and the hash of
it to FILE.sha256. Writes go on meanwhile. The backup includes every write that was
acknowledged before it began. It is an SQLite database: raftctl verify checks it, raftctl
restore makes a new cluster of it, and sqlite3 reads it. While it is written it is named
FILE.part. A connection that breaks is continued. --timeout does not apply.`,
		Example: `  raftctl backup kontiki.db
  raftctl backup kontiki.db --force
  sqlite3 kontiki.db "SELECT key, value FROM kv WHERE key LIKE 'cfg/%'"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := how.check(cmd); err != nil {
				return err
			}
			return p.backup(args[0], force, &how)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace FILE if it exists")
	how.register(cmd)
	return cmd
}

func (p *program) backup(file string, force bool, how *reading) error {
	if p.curl {
		return p.printCurl("GET", withQuery(api.PathBackup, how.query()), "-o", file)
	}
	if _, err := os.Lstat(file); !force && err == nil {
		return &failure{code: exitFailed, message: file + " exists", hints: []string{"give another name, or --force"}}
	}
	return p.withClient("", func(_ context.Context, c *client.Client) error {
		part := file + ".part"
		b, err := p.download(c, part, how)
		if err == nil {
			err = backup.Publish(part, file, b.Sum)
		}
		if err != nil {
			return withoutPart(part, err)
		}
		shown := struct {
			File     string `json:"file"`
			Revision uint64 `json:"revision"`
			Bytes    int64  `json:"bytes"`
			SHA256   string `json:"sha256"`
		}{file, b.Revision, b.Bytes, fmt.Sprintf("%x", b.Sum)}
		return p.printValue(shown, fmt.Sprintf("%s: revision %s, %s, sha256 %s\n", file, grouped(b.Revision),
			bytesText(b.Bytes), shown.SHA256), shown.SHA256+"\n")
	})
}

// withoutPart removes an unfinished backup after an error.
func withoutPart(part string, err error) error {
	if removed := os.Remove(part); removed != nil && !errors.Is(removed, os.ErrNotExist) {
		return errors.Join(err, removed)
	}
	return err
}

// download writes a backup to a file, from the beginning if it cannot be continued.
func (p *program) download(c *client.Client, part string, how *reading) (b client.Backup, err error) {
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for start := 1; ; start++ {
		b, err = c.Backup(p.ctx, &syncingFile{File: f}, how.options()...)
		lost, is := errors.AsType[*client.BackupLostError](err)
		if !is || start == backupStarts {
			return b, err
		}
		p.warn("%s; it begins anew\n", printable(lost.Error()))
		if err := f.Truncate(0); err != nil {
			return b, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return b, err
		}
	}
}

// syncEvery is the number of bytes of a backup after which they are synced: one sync of all of them would hold up those
// of a node on the same disk.
const syncEvery = 4 << 20

// syncingFile is a file that is synced as it is written.
type syncingFile struct {
	*os.File
	unsynced int
}

// Write implements io.Writer.
func (f *syncingFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.unsynced += n; err == nil && f.unsynced >= syncEvery {
		f.unsynced = 0
		err = f.Sync()
	}
	return n, err
}
