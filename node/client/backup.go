package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

const (
	// backupStart is how long a node may take to make the copy of its state, and backupWait how long all of them may: one
	// that hangs must not use up the time of the others.
	backupStart = 5 * time.Minute
	backupWait  = 3 * backupStart
	// backupFailures is the number of times in a row that a backup may break off without a byte in between: with the
	// pauses, several seconds. backupSilence is how long that may take: the node keeps the copy for a minute.
	backupFailures = 20
	backupSilence  = 75 * time.Second
	// backupBuffer is the length of the parts that are written.
	backupBuffer = 256 << 10
)

// Backup describes a backup.
type Backup struct {
	Revision uint64
	Bytes    int64
	Sum      [sha256.Size]byte // SHA-256 of the file
	Name     string            // that the node proposes for the file
}

// BackupLostError is the cause of the error of a backup that broke off and could not be continued. What was written is
// of no use: the backup must begin anew.
type BackupLostError struct {
	Written int64 // bytes
	Reason  string
}

// Error implements error.
func (e *BackupLostError) Error() string {
	return fmt.Sprintf("the backup broke off after %d bytes, and cannot be continued: %s", e.Written, e.Reason)
}

// Backup writes a copy of the state to w, as one SQLite file, in constant memory. By default it includes every write
// that was acknowledged before the call. If the connection breaks, Backup goes on where it broke off, as long as the
// node has the same copy; otherwise the cause of its error is a BackupLostError. It returns nil only if the hash of
// what was written is the one that the node has sent. The context bounds the whole call; a connection on which nothing
// comes for Config.RequestTimeout counts as broken.
func (c *Client) Backup(ctx context.Context, w io.Writer, options ...ReadOption) (Backup, error) {
	r := httpRequest{
		method: http.MethodGet, path: api.PathBackup, query: queryOf(options), accept: "application/vnd.sqlite3",
		patience: backupStart,
	}
	waiting, cancel := context.WithTimeout(ctx, backupWait)
	defer cancel()
	stream, err := c.openStream(ctx, waiting, r)
	if err != nil {
		return Backup{}, err
	}
	b := &backupWriter{client: c, request: r, w: w, hash: sha256.New(), endpoint: stream.endpoint}
	if err := b.begin(stream.response); err != nil {
		stream.close()
		return Backup{}, settledRead(ctx, badAnswer(stream.endpoint.name()+": "+err.Error(), err))
	}
	if err := b.write(ctx, stream); err != nil {
		return Backup{}, err
	}
	if got := b.hash.Sum(nil); string(got) != string(b.Sum[:]) {
		return Backup{}, settledRead(ctx, badAnswer(fmt.Sprintf("%s: the backup has the hash %x, and must have %x",
			stream.endpoint.name(), got, b.Sum), nil))
	}
	return b.Backup, nil
}

// backupWriter is one call of Backup.
type backupWriter struct {
	Backup
	client   *Client
	request  httpRequest
	endpoint *endpoint
	etag     string
	w        io.Writer
	hash     hash.Hash
	written  int64
	last     time.Time // when something was written
}

// begin reads the headers of the first answer.
func (b *backupWriter) begin(response *http.Response) error {
	h := response.Header
	var err error
	if b.Revision, err = strconv.ParseUint(h.Get(api.HeaderRevision), 10, 64); err != nil {
		return fmt.Errorf("the backup has no %s: %w", api.HeaderRevision, err)
	}
	if b.Bytes = response.ContentLength; b.Bytes < 1 {
		return fmt.Errorf("the backup has a length of %d bytes", b.Bytes)
	}
	digest, begun := strings.CutPrefix(h.Get("Repr-Digest"), "sha-256=:")
	digest, ended := strings.CutSuffix(digest, ":")
	sum, err := base64.StdEncoding.DecodeString(digest)
	if !begun || !ended || err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("the backup has the digest %q, and must have that of SHA-256", h.Get("Repr-Digest"))
	}
	b.Sum = [sha256.Size]byte(sum)
	if b.etag = h.Get("Etag"); b.etag == "" {
		return errors.New("the backup has no ETag")
	}
	if _, parameters, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil {
		b.Name = parameters["filename"]
	}
	return nil
}

// write writes the stream, and those that continue it.
func (b *backupWriter) write(ctx context.Context, stream *answerStream) error {
	b.last = time.Now()
	for failures := 0; ; failures++ {
		before := b.written
		broken, err := b.copyFrom(stream)
		stream.close()
		switch {
		case err != nil:
			return &api.Error{Code: api.CodeInternal, Message: "the backup cannot be written: " + err.Error(), Cause: err}
		case b.written == b.Bytes:
			return nil
		case ctx.Err() != nil:
			return settledRead(ctx, ended(stream.endpoint.name()+": "+broken.Error(), ctx.Err()))
		}
		if b.written > before {
			failures = 0
		}
		if stream, err = b.reopen(ctx, failures, broken); err != nil {
			return err
		}
	}
}

// copyFrom writes what a stream has. It returns why the stream ended, and the error of the writer.
func (b *backupWriter) copyFrom(s *answerStream) (broken, err error) {
	part := make([]byte, backupBuffer)
	for {
		s.stalled.Reset(s.patience)
		n, end := s.response.Body.Read(part[:min(int64(len(part)), b.Bytes-b.written)])
		s.stalled.Stop()
		_, _ = b.hash.Write(part[:n]) // never fails: hash.Hash
		if _, err := b.w.Write(part[:n]); err != nil {
			return nil, err
		}
		b.written += int64(n)
		if n > 0 {
			b.last = time.Now()
		}
		switch {
		case b.written == b.Bytes:
			return nil, nil
		case errors.Is(end, io.EOF):
			return io.ErrUnexpectedEOF, nil
		case end != nil:
			return end, nil
		}
	}
}

// reopen opens a stream of the rest of the same copy at the same node.
func (b *backupWriter) reopen(ctx context.Context, failures int, broken error) (*answerStream, error) {
	r := b.request
	r.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", b.written)}, "If-Range": {b.etag}}
	for ; failures < backupFailures && time.Since(b.last) < backupSilence; failures++ {
		select {
		case <-time.After(backOff(&api.Error{Code: api.CodeNoLeader}, failures)):
		case <-ctx.Done():
			return nil, settledRead(ctx, ended(b.endpoint.name()+": "+ctx.Err().Error(), ctx.Err()))
		}
		stream, err := b.client.openStreamAt(ctx, b.endpoint, r, b.client.config.RequestTimeout)
		switch {
		case err != nil:
			broken = err
			continue
		case stream.response.StatusCode == http.StatusPartialContent && stream.response.Header.Get("Etag") == b.etag:
			return stream, nil
		}
		stream.close()
		return nil, b.lost("the node does not have that copy any more")
	}
	b.client.noteFailure(b.endpoint, ended(broken.Error(), broken))
	return nil, b.lost(broken.Error())
}

func (b *backupWriter) lost(reason string) error {
	err := &BackupLostError{b.written, reason}
	return ended(b.endpoint.name()+": "+err.Error(), err)
}
