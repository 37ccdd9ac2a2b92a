package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

const (
	// logStretch is how many entries are read from the disk at a time, and logPageBytes where a page ends even
	// if more were asked for: entries of the greatest size must not fill the memory.
	logStretch   = 50
	logPageBytes = 2 << 20
	// logHead is room for what stands before the entries of a page, and logNames for what an entry has beside its command.
	logHead  = 320
	logNames = 160
)

// logs serves the replicated log.
type logs struct{ *responder }

// getLogs is GET /api/logs?from=&limit=: the replicated log, as this node's disk has it. 200 api.LogPage; 400,
// 503. The entries are the bytes that were proposed; what is not JSON is shown as a string.
func (l *logs) getLogs(c *gin.Context) {
	query := c.Request.URL.Query()
	limit, err := countParam(query, api.ParamLimit, api.DefaultLogEntries)
	if err == nil && limit == 0 {
		err = invalid("limit is 0; give how many entries you want, from 1 to " + strconv.Itoa(api.MaxLogEntries))
	}
	if err != nil {
		l.fail(c, err)
		return
	}
	limit = min(limit, api.MaxLogEntries)
	last := l.node.Status().LastLogIndex
	end := max(last, limit) - limit + 1 // the beginning of the last page
	from, err := countParam(query, api.ParamFrom, end)
	if err != nil {
		l.fail(c, err)
		return
	}
	buf := l.newBuffer()
	defer buf.release()
	body, err := l.logPage(c.Request.Context(), buf, raft.Index(max(from, 1)), int(limit))
	if err != nil {
		l.fail(c, err)
		return
	}
	l.answer(c.Writer, http.StatusOK, typeJSON, body)
}

// logPage writes a page of the log into the buffer. Only a few requests at a time read the disk: what one has read is
// not charged before it is seen.
func (l *logs) logPage(ctx context.Context, buf *buffer, from raft.Index, limit int) ([]byte, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if !buf.room(logHead) {
		return nil, errNoMemory
	}
	buf.b = buf.b[:logHead]
	var page node.LogPage
	for limit > 0 && len(buf.b) < logPageBytes {
		if page, err = l.node.Log(ctx, from, min(limit, logStretch)); err != nil {
			return nil, err
		}
		if len(page.Entries) == 0 {
			break
		}
		if err := appendEntries(buf, page.Entries); err != nil {
			return nil, err
		}
		from = page.Entries[len(page.Entries)-1].Index + 1
		limit -= len(page.Entries)
	}
	if len(buf.b) > logHead {
		buf.b = buf.b[:len(buf.b)-1] // the last comma
	}
	if !buf.room(len("]}\n")) {
		return nil, errNoMemory
	}
	buf.b = append(buf.b, "]}\n"...)
	head := make([]byte, 0, logHead)
	head = strconv.AppendUint(append(head, `{"first_index":`...), uint64(page.FirstIndex), 10)
	head = strconv.AppendUint(append(head, `,"last_index":`...), uint64(page.LastIndex), 10)
	head = strconv.AppendUint(append(head, `,"commit_index":`...), uint64(page.CommitIndex), 10)
	if page.FirstIndex > 1 {
		head = fmt.Appendf(head, `,"first_index_reason":"entries up to %d were removed: the checkpoint in state.db includes `+
			`the effect of all up to %d"`, page.FirstIndex-1, l.node.Status().CheckpointIndex)
	}
	head = append(head, `,"entries":[`...)
	body := buf.b[logHead-len(head):]
	copy(body, head)
	return body, nil
}

// appendEntries appends entries to a page, with a comma behind each.
func appendEntries(buf *buffer, entries []raft.Entry) error {
	size := 0
	for i := range entries {
		if kv.CheckEntry(entries[i].Command) != nil { // of an old log: the page must be JSON all the same
			entries[i].Command = jsontext.AppendText(nil, string(entries[i].Command))
		}
		size += len(entries[i].Command) + logNames
	}
	// More than that if it can be had, so that growing is cheap in the sum.
	if len(buf.b)+size > cap(buf.b) && !buf.room(max(size, min(cap(buf.b), batchFlush))) && !buf.room(size) {
		return errNoMemory
	}
	for i := range entries {
		buf.b = append(entryjson.Append(buf.b, &entries[i]), ',')
	}
	return nil
}

// countParam reads a parameter that is a whole number; absent, it is the default.
func countParam(query url.Values, name string, absent uint64) (uint64, error) {
	if !query.Has(name) {
		return absent, nil
	}
	text := query.Get(name)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid(name + " must be a whole number like 100; it is " + quoted(text))
	}
	return n, nil
}
