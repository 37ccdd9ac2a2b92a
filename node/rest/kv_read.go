package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/jsontext"

	"github.com/gin-gonic/gin"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// getKey is GET /api/v1/kv/{key}: the raw value with its content type, or a api.Record for who accepts
// application/json. 200, 304 for a matching If-None-Match; 400, 404, 503.
func (s *Server) getKey(c *gin.Context) {
	key := keyOf(c)
	if err := (&kv.Get{Key: []byte(key)}).Validate(); err != nil {
		s.fail(c, err)
		return
	}
	effective, limit, err := s.makeFresh(c.Request)
	if err != nil {
		s.fail(c, err)
		return
	}
	h := c.Writer.Header()
	h[api.HeaderConsistency] = effective
	record, ok := s.node.Get(key)
	if err := limit.check(); err != nil { // again: the process may have been stopped since
		s.fail(c, err)
		return
	}
	if !ok {
		s.fail(c, noSuchKey(key))
		return
	}
	etag, values := decimals(record.ModRevision, record.CreateRevision, record.Version)
	h["Etag"] = etag
	h[api.HeaderRevision] = values[0]
	h[api.HeaderCreateRevision] = values[1]
	h[api.HeaderVersion] = values[2]
	h["Vary"] = varyRead
	s.answerRecord(c, &record, etag[0])
}

var varyRead = []string{"Accept, Origin"}

func noSuchKey(key string) error {
	return &api.Error{Code: api.CodeNotFound, Message: "no such key: " + clip(key)}
}

// answerRecord writes the record in the form that was asked for.
func (s *Server) answerRecord(c *gin.Context, record *kv.Record, etag string) {
	if none := c.Request.Header["If-None-Match"]; len(none) > 0 && matches(none, etag) {
		c.Writer.Header()["Cache-Control"] = noCache
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return
	}
	if accepts(c.Request, kv.TypeJSON) {
		buf := s.newBuffer()
		defer buf.release()
		if err := s.buildRecord(c.Request.Context(), buf, record); err != nil {
			s.fail(c, err)
			return
		}
		s.answer(c.Writer, http.StatusOK, typeJSON, buf.b)
		return
	}
	s.answerRaw(c, record)
}

// buildRecord writes the record as JSON into the buffer. Each large one takes milliseconds of a processor, so only as
// many are built at once as there are processors: hundreds would delay the loop, and with it all clients, by a second.
func (s *Server) buildRecord(ctx context.Context, buf *buffer, record *kv.Record) error {
	if len(record.Value) > budget.Allowance {
		leave, err := s.enter(ctx)
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

// answerRaw writes the stored bytes. They are a client's: a browser that shows them must neither guess a type
// nor run them in the name of this origin. A long value is charged until the client has taken it: it may be overwritten
// meanwhile, and is this answer's alone then.
func (s *Server) answerRaw(c *gin.Context, record *kv.Record) {
	if len(record.Value) > budget.Allowance {
		held := s.memory.NewAccount(budget.Clients, 0)
		defer held.Close()
		if !held.Take(len(record.Value)) {
			s.fail(c, errNoMemory)
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
	// net/http counts the length of short answers by itself, but not of an empty one to HEAD.
	if len(record.Value) >= sniffSize || c.Request.Method == http.MethodHead {
		h["Content-Length"] = decimal(uint64(len(record.Value)))
	}
	_, _ = c.Writer.Write(record.Value) // the client is gone if this fails, and nobody is left to tell
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

// makeFresh does what the query asks for before the local state may be read, and gives the header that tells the
// consistency, and the limit of the state's age, nil if it does not matter. The limit is to be checked again after the
// state was read.
func (s *Server) makeFresh(r *http.Request) (effective []string, limit *ageLimit, err error) {
	ctx := r.Context()
	switch r.URL.RawQuery {
	case "":
		return linearizable, nil, s.barrier(ctx)
	case onlyStale:
		return stale, nil, s.holdsState()
	}
	q, err := parseReadQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, err
	}
	effective, limit = linearizable, s.ageLimit(q.maxStale)
	if q.stale {
		effective, err = stale, cmp.Or(s.holdsState(), limit.check())
	} else {
		err = s.barrier(ctx)
	}
	if err == nil && q.minRevision > s.node.Revision() {
		err = s.awaitRevision(ctx, q.minRevision)
		limit = s.ageLimit(q.maxStale) // the state is younger now
	}
	return effective, limit, err
}

// holdsState refuses a stale read where there is nothing to read yet: every key would be absent there.
func (s *Server) holdsState() error {
	status := s.node.Status()
	var why string
	switch {
	case status.LifeCycle != api.StateMember:
		why = "is no member of a cluster; its state is " + string(status.LifeCycle)
	case status.LastApplied == 0 && status.CommitIndex > 0:
		why = "has not loaded its log yet"
	default:
		return nil
	}
	return &api.Error{Code: api.CodeNotReady, Message: "this node " + why + "; ask another"}
}

// awaitRevision waits until this node has applied a revision, and says how far it came if it gives up.
func (s *Server) awaitRevision(ctx context.Context, revision uint64) error {
	err := s.node.AwaitApplied(ctx, raft.Index(revision))
	if !errors.Is(err, node.ErrNotReady) {
		return err
	}
	return &api.Error{
		Code: api.CodeNotReady,
		Message: "this node has applied revision " + strconv.FormatUint(s.node.Revision(), 10) + ", and min_revision is " +
			strconv.FormatUint(revision, 10) + "; ask another, or again later",
	}
}

// onlyStale is the query of the usual stale read, which need not be taken apart.
const onlyStale = api.ParamConsistency + "=" + string(api.Stale)

// barrier makes local reads linearizable. A read changes nothing, so a client that went away in the middle of it
// leaves no unknown outcome.
func (s *Server) barrier(ctx context.Context) error {
	err := s.node.ReadBarrier(ctx)
	if err != nil && ctx.Err() != nil {
		return &api.Error{Code: api.CodeNotReady, Message: "the read was broken off: " + ctx.Err().Error()}
	}
	return err
}

// ageLimit is how old the state may be that a read sees.
type ageLimit struct {
	age  func() (time.Duration, bool) // of the state that there was when the limit was made
	most time.Duration
}

// ageLimit makes the limit for a read of the state as it is now or later. It returns nil, which allows any age, for a
// negative one.
func (s *Server) ageLimit(most time.Duration) *ageLimit {
	if most < 0 {
		return nil
	}
	return &ageLimit{s.node.Staleness(), most}
}

// check refuses a stale read that may be too stale: something newer may have been acknowledged longer ago than the
// client accepts.
func (l *ageLimit) check() error {
	if l == nil {
		return nil
	}
	age, known := l.age()
	if known && age <= l.most {
		return nil
	}
	what := "cannot say how old its state is"
	if known {
		what = "has a state that may be " + age.Round(time.Millisecond).String() + " old"
	}
	return &api.Error{
		Code:    api.CodeNotReady,
		Message: "this node " + what + ", and max_stale is " + l.most.String() + "; ask another, or allow more",
	}
}

type readQuery struct {
	stale       bool
	maxStale    time.Duration // negative: any
	minRevision uint64
}

// parseReadQuery reads the parameters of a GET.
func parseReadQuery(raw string) (readQuery, error) {
	q := readQuery{maxStale: -1}
	values, err := readParams(raw, readParameters)
	if err != nil {
		return q, err
	}
	for name, given := range values {
		value := given[0]
		switch name {
		case api.ParamConsistency:
			q.stale, err = parseConsistency(value)
		case api.ParamMinRevision:
			if q.minRevision, err = strconv.ParseUint(value, 10, 64); err != nil {
				err = invalid("min_revision must be a revision, a whole number like 42; it is " + quoted(value))
			}
		case api.ParamMaxStale:
			q.maxStale, err = parseMaxStale(value)
		}
		if err != nil {
			return q, err
		}
	}
	if q.maxStale >= 0 && !q.stale {
		return q, invalid("max_stale goes with consistency=stale; other reads are never stale")
	}
	return q, nil
}

func parseMaxStale(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err == nil && d >= 0 {
		return d, nil
	}
	return 0, invalid("max_stale must be a duration like 2s or 500ms, of at most " + longestStale + "; it is " +
		quoted(value))
}

// longestStale is about the longest time.Duration.
const longestStale = "2562047h"

func parseConsistency(value string) (isStale bool, err error) {
	switch api.Consistency(value) {
	case api.Linearizable, api.Lease:
		return false, nil
	case api.Stale:
		return true, nil
	}
	return false, invalid("consistency must be linearizable, lease or stale; it is " + quoted(value))
}
