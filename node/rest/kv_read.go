package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// keys serves keys, commands and batches.
type keys struct {
	*responder
	deleteTime time.Duration
}

// getKey is GET /api/v1/kv/{key}: the raw value with its content type, or an api.Record if the client accepts
// application/json; with ?revision=N as it was then; with ?history an api.HistoryPage. 200, 304 for a matching
// If-None-Match; 400, 404, 410, 413, 503.
func (k *keys) getKey(c *gin.Context) {
	key := keyOf(c)
	q, err := parseKeyQuery(c.Request.URL.RawQuery)
	if err == nil {
		err = (&kv.Get{Key: []byte(key)}).Validate()
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	err = withLease(q.fresh, func(fresh readQuery) error {
		q.fresh = fresh
		return k.serveKey(c, key, &q)
	})
	if err != nil {
		k.fail(c, err)
	}
}

// serveKey answers a GET of a key, unless it returns an error.
func (k *keys) serveKey(c *gin.Context, key string, q *keyQuery) error {
	fresh, err := k.makeFresh(c.Request.Context(), q.fresh)
	if err != nil {
		return err
	}
	h := c.Writer.Header()
	if q.history {
		return k.getHistory(c, key, q, &fresh)
	}
	record, ok, err := k.read(key, q.fresh.revision)
	if err == nil {
		err = fresh.check() // again: the process may have been paused meanwhile
	}
	if err != nil {
		return err
	}
	fresh.stamp(h)
	if !ok {
		return noSuchKey(key, q.fresh.revision)
	}
	etag, values := decimals(record.ModRevision, record.CreateRevision, record.Version)
	h["Etag"] = etag
	h[api.HeaderRevision] = values[0]
	h[api.HeaderCreateRevision] = values[1]
	h[api.HeaderVersion] = values[2]
	h["Vary"] = varyRead
	k.answerRecord(c, &record, etag[0])
	return nil
}

// read reads a key from the local state, at a revision if it is not 0.
func (k *keys) read(key string, revision uint64) (kv.Record, bool, error) {
	if revision != 0 {
		return k.node.GetAt(key, revision)
	}
	record, ok := k.node.Get(key)
	return record, ok, k.node.Sound()
}

// keyQuery is what a GET of a key asks for.
type keyQuery struct {
	fresh   readQuery
	history bool
	before  uint64 // the revision before which a page of the history begins; 0: the newest version
	limit   int    // versions in it
}

// keyParameters are the parameters of a GET of a key.
var keyParameters = append([]string{
	api.ParamRevision, api.ParamHistory, api.ParamBefore, api.ParamLimit,
}, readParameters...)

// parseKeyQuery parses the parameters of a GET of a key.
func parseKeyQuery(raw string) (keyQuery, error) {
	switch raw {
	case "":
		return keyQuery{fresh: presentState}, nil
	case onlyStale:
		return keyQuery{fresh: anyState}, nil
	}
	var q keyQuery
	values, err := readParams(raw, keyParameters)
	if err == nil {
		q.fresh, err = freshnessOf(values)
	}
	if err == nil {
		q.history, err = flagParam(values, api.ParamHistory)
	}
	if err == nil {
		q.before, err = revisionParam(values, api.ParamBefore)
	}
	if err == nil {
		q.limit, err = limitParam(values)
	}
	switch {
	case err != nil:
	case !q.history && (q.before != 0 || q.limit != 0):
		err = invalid("before and limit go with history")
	case q.history && q.fresh.revision != 0:
		err = invalid("revision does not go with history; before=N lists the versions before a revision")
	}
	return q, err
}

var varyRead = []string{"Accept, Origin"}

// noSuchKey returns the error of a read of an absent key, at a revision if it is not 0.
func noSuchKey(key string, revision uint64) error {
	what := "no such key"
	if revision != 0 {
		what += " at revision " + strconv.FormatUint(revision, 10)
	}
	return &api.Error{Code: api.CodeNotFound, Message: what + ": " + clip(key)}
}

// answerRecord writes the record in the form that the client accepts.
func (k *keys) answerRecord(c *gin.Context, record *kv.Record, etag string) {
	if none := c.Request.Header["If-None-Match"]; len(none) > 0 && matches(none, etag) {
		c.Writer.Header()["Cache-Control"] = noCache
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return
	}
	if accepts(c.Request, kv.TypeJSON) {
		buf := k.newBuffer()
		defer buf.release()
		if err := k.buildRecord(c.Request.Context(), buf, record); err != nil {
			k.fail(c, err)
			return
		}
		k.answer(c.Writer, http.StatusOK, typeJSON, buf.b)
		return
	}
	k.answerRaw(c, record)
}

// buildRecord writes the record as JSON into the buffer. A large one takes milliseconds of CPU time, so only as many
// are built at once as there are processors: hundreds would delay the loop, and with it all clients, by a second.
func (k *keys) buildRecord(ctx context.Context, buf *buffer, record *kv.Record) error {
	if len(record.Value) > budget.Allowance {
		leave, err := k.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	if size := recordSize(record); size > budget.Allowance && !buf.room(size) {
		return errNoMemory
	}
	buf.b = append(appendRecord(buf.b[:0], record), '\n')
	return nil
}

// answerRaw writes the stored bytes. They are client input: a browser must neither guess their type nor run them in
// this origin. A long value is charged until the client has read it, because it may be overwritten meanwhile, and then
// only this response holds it.
func (k *keys) answerRaw(c *gin.Context, record *kv.Record) {
	if len(record.Value) > budget.Allowance {
		held := k.memory.NewAccount(budget.Clients, 0)
		defer held.Close()
		if !held.Take(len(record.Value)) {
			k.fail(c, errNoMemory)
			return
		}
	}
	h := c.Writer.Header()
	h["Content-Type"] = typeHeader(record.ContentType)
	h["Cache-Control"] = noCache
	h["Content-Security-Policy"] = sandbox
	if dest := c.Request.Header["Sec-Fetch-Dest"]; len(dest) > 0 && dest[0] == "document" {
		h["Content-Disposition"] = attachment
	}
	// net/http sets the Content-Length of short responses by itself, but not of an empty one to HEAD.
	if len(record.Value) >= sniffSize || c.Request.Method == http.MethodHead {
		h["Content-Length"] = decimal(uint64(len(record.Value)))
	}
	_, _ = c.Writer.Write(record.Value) // if this fails, the client is gone
}

var typeBytes = []string{kv.TypeBytes}

func typeHeader(contentType string) []string {
	switch contentType {
	case kv.TypeBytes:
		return typeBytes
	case kv.TypeJSON:
		return typeJSON
	}
	return []string{contentType}
}

// matches reports whether an If-None-Match header names the ETag (RFC 9110, section 13.1.2: weakly).
func matches(header []string, etag string) bool {
	for _, value := range header {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			if tag == etag || tag == "*" {
				return true
			}
		}
	}
	return false
}

// accepts reports whether an Accept header names a media type, with or without parameters, and does not exclude it by
// the weight 0 (RFC 9110, section 12.4.2).
func accepts(r *http.Request, media string) bool {
	for _, value := range r.Header["Accept"] {
		for one := range strings.SplitSeq(value, ",") {
			if jsontext.IsMediaType(strings.TrimSpace(one), media) && !excluded(one) {
				return true
			}
		}
	}
	return false
}

// excluded reports whether an element of an Accept header has the weight 0.
func excluded(element string) bool {
	_, parameters, _ := strings.Cut(element, ";")
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") {
			weight, err := strconv.ParseFloat(value, 64)
			return err == nil && weight == 0
		}
	}
	return false
}
