package rest

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

const (
	// historyChunk is how many versions are read at a time, and historyBytes where a page of a history ends even if more
	// were asked for.
	historyChunk = 32
	historyBytes = 4 << 20
)

// getHistory is GET /api/v1/kv/{key}?history&before=&limit=: the versions of a key that are kept, the newest first. 200
// api.HistoryPage; 404 if the key does not exist and no version of it is kept.
func (k *keys) getHistory(c *gin.Context, key string, q *keyQuery, fresh *freshRead) error {
	buf := k.newBuffer()
	defer buf.release()
	versions, err := k.buildHistory(c.Request.Context(), key, q, buf)
	if err == nil {
		err = fresh.check()
	}
	if err != nil {
		return err
	}
	fresh.stamp(c.Writer.Header())
	if versions == 0 && q.before == 0 {
		return &api.Error{Code: api.CodeNotFound, Message: "no such key, and no earlier version of it: " + clip(key)}
	}
	k.answer(c.Writer, http.StatusOK, typeJSON, buf.b)
	return nil
}

// buildHistory writes a page of a history, and returns how many versions it has. Only as many are built at a time as
// there are processors (buildRecord).
func (k *keys) buildHistory(ctx context.Context, key string, q *keyQuery, buf *buffer) (versions int, err error) {
	leave, err := k.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	most, before := min(cmp.Or(q.limit, api.DefaultVersions), api.MaxVersions), q.before
	for {
		part := k.node.History(key, before, min(most-versions, historyChunk)+1)
		if versions == 0 {
			if !buf.grow(jsontext.StringSize(key) + smallAnswer) {
				return 0, errNoMemory
			}
			buf.b = jsontext.AppendText(append(buf.b, `{"key":`...), key)
			buf.b = strconv.AppendUint(append(buf.b, `,"revision":`...), part.Revision, 10)
			buf.b = strconv.AppendUint(append(buf.b, `,"compacted_revision":`...), part.Compacted, 10)
			buf.b = append(buf.b, `,"versions":[`...)
		}
		for i := range part.Changes {
			change := &part.Changes[i]
			if versions == most || len(buf.b) >= historyBytes {
				return versions, endHistory(buf, true)
			}
			if !buf.grow(versionSize(change)) {
				return versions, errNoMemory
			}
			if versions > 0 {
				buf.b = append(buf.b, ',')
			}
			buf.b = appendVersion(buf.b, change)
			versions, before = versions+1, change.Revision
		}
		if len(part.Changes) <= historyChunk {
			return versions, endHistory(buf, false)
		}
	}
}

// versionSize returns an upper bound of what appendVersion writes.
func versionSize(c *kv.Change) int {
	if c.Deleted {
		return smallAnswer
	}
	return recordSize(&c.Record)
}

// endHistory adds what follows the versions.
func endHistory(buf *buffer, more bool) error {
	if !buf.grow(smallAnswer) {
		return errNoMemory
	}
	buf.b = append(buf.b, ']')
	if more {
		buf.b = append(buf.b, `,"more":true`...)
	}
	buf.b = append(buf.b, "}\n"...)
	return nil
}
