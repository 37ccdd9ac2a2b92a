package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

const (
	// mostBackups is the number of backups that a server sends at once.
	mostBackups = 4
	// backupPart is the number of bytes of a backup between two pauses.
	backupPart = 1 << 20
	// backupRate is the maximum rate of a backup in bytes per second, so that it does not take the disk from writes.
	backupRate = 64 << 20
	// backupPatience is how long a backup waits for a client that does not read.
	backupPatience = 30 * time.Second
	// leastRate and backupGrace bound how long one response may take: a node has one copy of its state at a time, and a
	// follower may need a newer one. A client that is cut off goes on with a range.
	leastRate   = 1 << 20
	backupGrace = time.Minute
)

// backups serves copies of the state.
type backups struct {
	*keys
	open    atomic.Int32
	endOnce sync.Once
	end     chan struct{} // closed when all must end

	rate     int64
	patience time.Duration
	grace    time.Duration
}

func newBackups(k *keys) *backups {
	return &backups{
		keys: k, end: make(chan struct{}), rate: backupRate, patience: backupPatience, grace: backupGrace,
	}
}

// close ends all backups.
func (b *backups) close() { b.endOnce.Do(func() { close(b.end) }) }

var errTooManyBackups = &api.Error{
	Code:    api.CodeOverloaded,
	Message: "overloaded: this node sends " + strconv.Itoa(mostBackups) + " backups; retry later, or ask another node",
}

// getBackup is GET /api/v1/backup: the state as one SQLite file, which includes all that was acknowledged before the
// request. Its ETag names this copy, so that a range with If-Range continues it. 200, 206; 400, 416, 429, 503.
func (b *backups) getBackup(c *gin.Context) {
	if b.open.Add(1) > mostBackups {
		b.open.Add(-1)
		b.fail(c, errTooManyBackups)
		return
	}
	defer b.open.Add(-1)
	source, err := b.continued(c.Request)
	if err == nil && source == nil {
		source, err = b.fresh(c)
	}
	if err != nil {
		b.fail(c, err)
		return
	}
	defer source.Release()
	b.send(c, source)
}

// fresh returns a copy of the state that is as new as the request requires.
func (b *backups) fresh(c *gin.Context) (snapshot.Source, error) {
	ctx := c.Request.Context()
	q, err := parseReadQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	var source snapshot.Source
	err = withLease(q, func(q readQuery) error {
		fresh, err := b.makeFresh(ctx, q)
		if err != nil {
			return err
		}
		if source, err = b.node.OpenBackup(ctx, raft.Index(b.node.Revision())); err != nil {
			return backupError(ctx, err)
		}
		if err = fresh.check(); err != nil {
			source.Release()
			return err
		}
		fresh.stamp(c.Writer.Header())
		return nil
	})
	return source, err
}

// backupError returns the error of a request that changes nothing, so that its outcome is never unknown.
func backupError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return &api.Error{Code: api.CodeNotReady, Message: "the backup was interrupted: " + ctx.Err().Error()}
	}
	return err
}

// continued returns the copy that the request continues, nil if that is not there any more.
func (b *backups) continued(r *http.Request) (snapshot.Source, error) {
	id := strings.Trim(r.Header.Get("If-Range"), `"`)
	text, _, found := strings.Cut(id, "-")
	index, err := strconv.ParseUint(text, 10, 64)
	if r.Header.Get("Range") == "" || !found || err != nil || index == 0 || index > b.node.Revision() {
		return nil, nil
	}
	source, err := b.node.OpenBackup(r.Context(), raft.Index(index))
	if err == nil && source.ID() != id {
		source.Release()
		source = nil
	}
	return source, backupError(r.Context(), err)
}

// send answers with a copy, or the range of it that the request wants.
func (b *backups) send(c *gin.Context, source snapshot.Source) {
	sum, revision := source.Sum(), uint64(source.Position().Index)
	name := "kontiki"
	if cluster := b.node.Status().ClusterID; cluster != "" {
		name = cluster
	}
	h := c.Writer.Header()
	h["Content-Type"] = typeSQLite
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = switchedOff
	h["Etag"] = []string{`"` + source.ID() + `"`}
	h[api.HeaderRevision] = decimal(revision)
	h["Repr-Digest"] = []string{"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}
	h["Content-Disposition"] = []string{
		`attachment; filename="` + name + "-" + strconv.FormatUint(revision, 10) + `.db"`,
	}
	began := time.Now()
	stream := &backupStream{
		backups: b, source: source, control: http.NewResponseController(c.Writer), request: c.Request.Context(), began: began,
		last: began.Add(b.grace + secondsAt(source.Size(), leastRate)),
	}
	// The request has been read; the read timeout of the server would end the stream.
	if err := stream.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return
	}
	if strings.Contains(c.Request.Header.Get("Range"), ",") {
		c.Request.Header.Del("Range") // ServeContent would read several from a goroutine that may outlive the request
	}
	http.ServeContent(c.Writer, c.Request, "", time.Time{}, stream)
}

// secondsAt returns how long a number of bytes takes at a rate.
func secondsAt(bytes, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// backupStream reads a copy at a bounded rate, and gives the client a bounded time for each part.
type backupStream struct {
	*backups
	source  snapshot.Source
	control *http.ResponseController
	request context.Context
	began   time.Time
	last    time.Time // when the response must have ended
	offset  int64
	sent    int64 // bytes that were read
	paused  int64 // sent at the last pause
}

// Read implements io.Reader.
func (s *backupStream) Read(p []byte) (int, error) {
	if s.offset >= s.source.Size() {
		return 0, io.EOF
	}
	if s.sent == 0 || s.sent-s.paused >= backupPart {
		if err := s.pause(); err != nil {
			return 0, err
		}
	}
	n, err := s.source.ReadAt(p[:min(int64(len(p)), s.source.Size()-s.offset)], s.offset)
	s.offset += int64(n)
	s.sent += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// pause waits as long as the rate requires, and allows the client its time for the next part.
func (s *backupStream) pause() error {
	s.paused = s.sent
	due := s.began.Add(secondsAt(s.sent, s.rate))
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.request.Done():
		return errClientGone
	case <-s.end:
		return &api.Error{Code: api.CodeNotReady, Message: "this node is stopping; ask another"}
	}
	now := time.Now()
	if now.After(s.last) {
		return errClientGone
	}
	deadline := now.Add(s.patience)
	if deadline.After(s.last) {
		deadline = s.last
	}
	if err := s.control.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// Seek implements io.Seeker.
func (s *backupStream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.source.Size()
	}
	if offset < 0 {
		return 0, errors.New("rest: a backup has no byte before its first one")
	}
	s.offset = offset
	return offset, nil
}
