package rest

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/jsontext"
	"github.com/kontiki-dev/kontiki/node/kv"
)

// putKey is PUT /api/v1/kv/{key}: the raw body becomes the value, under If-Match or If-None-Match: * if given.
// 200 api.PutResponse with an ETag; 400, 412, 413, 429, 503, 504.
func (k *keys) putKey(c *gin.Context) {
	buf := k.newBuffer()
	defer buf.release()
	condition, err := conditionOf(c.Request)
	if err == nil {
		err = buf.read(c.Request, kv.MaxValueBytes)
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	put := &kv.Put{Key: []byte(keyOf(c)), Value: buf.b, ContentType: storedType(c.Request), If: condition}
	outcome, err := k.propose(c.Request.Context(), put, buf)
	if err != nil {
		k.fail(c, err)
		return
	}
	buf.b = append(appendChange(buf.b[:0], outcome.Result.Revision, "created", outcome.Result.Created), '\n')
	k.answerChange(c, outcome.Result.Revision, buf.b)
}

// deleteKey is DELETE /api/v1/kv/{key}, under If-Match if given. 200 api.DeleteResponse; 400, 412, 429, 503,
// 504. Deleting an absent key succeeds, so that a delete may be repeated.
func (k *keys) deleteKey(c *gin.Context) {
	condition, err := conditionOf(c.Request)
	if err != nil {
		k.fail(c, err)
		return
	}
	buf := k.newBuffer()
	defer buf.release()
	outcome, err := k.propose(c.Request.Context(), &kv.Delete{Key: []byte(keyOf(c)), If: condition}, buf)
	if err != nil {
		k.fail(c, err)
		return
	}
	buf.b = append(appendChange(buf.b[:0], outcome.Result.Revision, "deleted", outcome.Result.Deleted), '\n')
	c.Writer.Header()[api.HeaderRevision] = decimal(outcome.Result.Revision)
	k.answer(c.Writer, http.StatusOK, typeJSON, buf.b)
}

func (k *keys) answerChange(c *gin.Context, revision uint64, body []byte) {
	etag, values := decimals(revision)
	h := c.Writer.Header()
	h["Etag"] = etag
	h[api.HeaderRevision] = values[0]
	k.answer(c.Writer, http.StatusOK, typeJSON, body)
}

// propose replicates and applies one command. The encoded command and the result are charged to held, which the caller
// releases after both.
func (k *keys) propose(ctx context.Context, command kv.Operation, held *buffer) (node.Outcome, error) {
	if err := validate(command); err != nil {
		return node.Outcome{}, err
	}
	if size := command.Size(); size > freshBuffer && !held.take(size) {
		return node.Outcome{}, errNoMemory
	}
	if mayAnswerMuch(command.Op()) {
		// The account belongs to this call: a result that arrives after the end of the request finds it closed.
		answers := k.memory.NewAccount(budget.Clients, 0)
		held.also = answers
		ctx = node.WithAnswerBudget(ctx, budget.Twice{Account: answers})
	}
	outcome := k.node.Propose(ctx, [][]byte{encode(command)})[0]
	if outcome.Err != nil {
		return outcome, outcome.Err
	}
	if refusal := refused(outcome.Result); refusal != nil {
		return outcome, refusal
	}
	return outcome, nil
}

// validate checks a command before it is proposed.
func validate(command kv.Operation) error {
	if err := command.Validate(); err != nil {
		return err
	}
	switch command := command.(type) {
	case *kv.Put:
		return validateMediaType(command.ContentType)
	case *kv.Txn:
		return validateTxn(command)
	}
	return nil
}

func validateMediaType(contentType string) error {
	switch contentType {
	case "", kv.TypeBytes, kv.TypeJSON:
		return nil
	}
	// Package mime accepts a media type without a subtype, like "json".
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || strings.Count(media, "/") != 1 {
		return invalid("the content type " + quoted(contentType) +
			" is no media type; send type/subtype, like text/plain or application/json")
	}
	return nil
}

// encode returns the bytes of a command that the log, the followers and the log viewer share.
func encode(command kv.Operation) []byte {
	return command.AppendJSON(make([]byte, 0, command.Size()))
}

// keyOf returns the decoded key of a path: everything after the prefix. net/url has decoded the path already, and no
// step before cleans it, so that slashes, dots and doubled slashes arrive unchanged.
func keyOf(c *gin.Context) string { return c.Request.URL.Path[len(api.PathKV):] }

// storedType returns the content type to store. The type that curl and HTML forms send by default does not describe the
// value, with or without a charset.
func storedType(r *http.Request) string {
	values := r.Header["Content-Type"]
	if len(values) == 0 || jsontext.IsMediaType(values[0], "application/x-www-form-urlencoded") {
		return ""
	}
	return values[0]
}

// conditionOf returns what the headers require of the key of a write.
func conditionOf(r *http.Request) (kv.Condition, error) {
	match, none := r.Header["If-Match"], r.Header["If-None-Match"]
	switch {
	case len(match) > 0 && len(none) > 0:
		return kv.Condition{}, invalid("If-Match and If-None-Match exclude each other; send one of them")
	case len(match) > 0:
		revision, err := parseETag(match)
		return kv.AtRevision(revision), err
	case len(none) == 0:
		return kv.Condition{}, nil
	case len(none) == 1 && strings.TrimSpace(none[0]) == "*" && r.Method == http.MethodPut:
		return kv.Absent(), nil
	}
	return kv.Condition{}, invalid("a write takes If-None-Match only as * and with PUT: the key must not exist")
}

// parseETag parses an If-Match header: one revision in quotes (RFC 9110, section 13.1.1).
func parseETag(values []string) (uint64, error) {
	text := strings.TrimSpace(values[0])
	revision, ok := quotedRevision(text)
	switch {
	case len(values) == 1 && ok:
		return revision, nil
	case len(values) == 1:
		if revision, ok = changedETag(text); ok {
			return 0, invalid(fmt.Sprintf(`If-Match is %s: a proxy changed the ETag "%d" because it compressed the response, `+
				`and a changed ETag matches nothing (RFC 9110, section 13.1.1); send If-Match: "%d", or turn `+
				`compression off in the proxy`, clip(text), revision, revision))
		}
	}
	return 0, invalid(`If-Match must be one revision in quotes, like "42", as in the ETag of a GET`)
}

// quotedRevision parses a revision in quotes.
func quotedRevision(text string) (uint64, bool) {
	if len(text) <= 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return 0, false
	}
	revision, err := strconv.ParseUint(text[1:len(text)-1], 10, 64)
	return revision, err == nil
}

// changedETag returns the revision in an ETag that a compressing proxy has changed: weak, as by nginx, or with the
// encoding appended, as by Apache ("2-gzip") and Jetty ("2--gzip").
func changedETag(text string) (uint64, bool) {
	tag, weak := strings.CutPrefix(text, "W/")
	if revision, ok := quotedRevision(tag); ok {
		return revision, weak
	}
	for _, encoding := range []string{"gzip", "br", "zstd", "deflate"} {
		for _, mark := range []string{"--", "-", ";"} {
			if plain, ok := strings.CutSuffix(tag, mark+encoding+`"`); ok {
				return quotedRevision(plain + `"`)
			}
		}
	}
	return 0, false
}
