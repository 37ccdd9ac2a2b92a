package client

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
)

// answer is one line of a batch's answer, taken apart. The byte slices are its own.
type answer struct {
	index  uint64
	term   uint64
	result []byte // JSON text; nil if changed and revision say all of it
	err    *api.Error

	// changed is created, deleted or swapped, and revision a put's, if result is nil.
	changed  bool
	revision uint64

	// A get has the record's meta data, and in text, if isText, what stood between the quotes of its value.
	meta   api.RecordMeta
	text   []byte
	isText bool
}

// decodeLine takes one line apart. What the server writes is recognised by hand, because encoding/json would
// cost more than the rest of a put; every other spelling of the same JSON goes through encoding/json. With raw
// the result is wanted as JSON text.
func decodeLine(op string, line []byte, raw bool) answer {
	if !raw {
		if a, ok := decodeFast(op, line); ok {
			return a
		}
	}
	var result api.BatchResult
	if err := json.Unmarshal(line, &result); err != nil {
		return answer{err: badAnswer("a line of the batch's answer is not the JSON that was expected", err)}
	}
	if result.Error != nil {
		if !result.Error.Code.IsAnsweredOn(api.APIPort) {
			return answer{err: badAnswer("a line of the batch's answer has the unknown error code "+
				strconv.Quote(string(result.Error.Code)), nil)}
		}
		return answer{err: result.Error}
	}
	if len(result.Result) == 0 {
		return answer{err: badAnswer("a line of the batch's answer has neither result nor error", nil)}
	}
	a := answer{index: result.Index, term: result.Term, result: result.Result}
	if result.Record != nil {
		a.meta = *result.Record
	}
	return a
}

// badAnswer makes the error for an answer that does not keep to the contract: nothing is known then.
func badAnswer(message string, cause error) *api.Error {
	return &api.Error{Code: api.CodeOutcomeUnknown, Message: message, Cause: cause}
}

// decodeFast recognises {"index":N,"term":N,"result":...} with the result of op, exactly as the server spells it.
func decodeFast(op string, line []byte) (answer, bool) {
	c := cursor{rest: line}
	var a answer
	ok := c.literal(`{"index":`) && c.number(&a.index) && c.literal(`,"term":`) && c.number(&a.term) &&
		c.literal(`,"result":`) && c.resultOf(op, &a) && c.end()
	return a, ok
}

// resultOf reads the result of op and what closes the line after it.
func (c *cursor) resultOf(op string, a *answer) bool {
	switch op {
	case api.OpPut, api.OpSet:
		return c.literal(`{"revision":`) && c.number(&a.revision) && c.literal(`,"created":`) &&
			c.boolean(&a.changed) && c.literal(`}}`)
	case api.OpDelete:
		return c.literal(`{"deleted":`) && c.boolean(&a.changed) && c.literal(`}}`)
	case api.OpCas:
		a.changed = true
		return c.literal(`{"swapped":true}}`)
	case api.OpGet:
		return c.text(a) && c.literal(`,"record":{`) && c.recordMeta(&a.meta) && c.literal(`}}`)
	}
	return false
}

// cursor walks over a line; each step says whether it found what was expected, and only then moves on.
type cursor struct{ rest []byte }

func (c *cursor) end() bool { return len(c.rest) == 0 }

func (c *cursor) literal(text string) bool {
	if len(c.rest) < len(text) || string(c.rest[:len(text)]) != text {
		return false
	}
	c.rest = c.rest[len(text):]
	return true
}

// number reads a JSON number without sign, fraction or exponent, of at most 19 digits.
func (c *cursor) number(n *uint64) bool {
	digits := 0
	for digits < len(c.rest) && c.rest[digits]-'0' <= 9 {
		*n = *n*10 + uint64(c.rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 19 || digits > 1 && c.rest[0] == '0' {
		return false
	}
	c.rest = c.rest[digits:]
	return true
}

func (c *cursor) boolean(b *bool) bool {
	*b = c.literal("true")
	return *b || c.literal("false")
}

// quoted reads a JSON string that has no escapes, and gives what stands between the quotes.
func (c *cursor) quoted() ([]byte, bool) {
	if len(c.rest) == 0 || c.rest[0] != '"' {
		return nil, false
	}
	n := plainPrefix(c.rest[1:])
	if len(c.rest) < n+2 || c.rest[n+1] != '"' {
		return nil, false
	}
	text := c.rest[1 : n+1]
	c.rest = c.rest[n+2:]
	return text, true
}

func (c *cursor) text(a *answer) bool {
	text, ok := c.quoted()
	if ok {
		a.text, a.isText = append([]byte{}, text...), true
	}
	return ok
}

func (c *cursor) recordMeta(m *api.RecordMeta) bool {
	if c.literal(`"encoding":"base64",`) {
		m.Encoding = api.EncodingBase64
	}
	if !c.literal(`"content_type":`) {
		return false
	}
	contentType, ok := c.quoted()
	if !ok {
		return false
	}
	m.ContentType = internType(contentType)
	return c.literal(`,"create_revision":`) && c.number(&m.CreateRevision) &&
		c.literal(`,"mod_revision":`) && c.number(&m.ModRevision) &&
		c.literal(`,"version":`) && c.number(&m.Version)
}

// internType gives a content type as a string, without allocating for the usual ones.
func internType(contentType []byte) string {
	switch string(contentType) {
	case "text/plain; charset=utf-8":
		return "text/plain; charset=utf-8"
	case "text/plain":
		return "text/plain"
	case "application/json":
		return "application/json"
	case "application/octet-stream":
		return "application/octet-stream"
	}
	return string(contentType)
}

// value gives the bytes that a get read: the text of a string, what base64 stood for, JSON as it is.
func (a *answer) value() ([]byte, error) {
	switch {
	case !a.isText:
		return decodeValue(a.result, a.meta)
	case a.meta.Encoding == api.EncodingBase64:
		return fromBase64(a.text)
	case isJSONType(a.meta.ContentType):
		return slices.Concat([]byte{'"'}, a.text, []byte{'"'}), nil
	}
	return a.text, nil
}

// decodeValue turns the JSON value of a Record into the bytes that were stored.
func decodeValue(value json.RawMessage, meta api.RecordMeta) ([]byte, error) {
	if meta.Encoding == "" && isJSONType(meta.ContentType) {
		return value, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, badAnswer("the value is not the JSON string that its content type promises", err)
	}
	switch meta.Encoding {
	case "":
		return []byte(text), nil
	case api.EncodingBase64:
		return fromBase64([]byte(text))
	}
	return nil, badAnswer("the value has the unknown encoding "+strconv.Quote(meta.Encoding), nil)
}

// fromBase64 decodes text in place.
func fromBase64(text []byte) ([]byte, error) {
	n, err := base64.StdEncoding.Strict().Decode(text, text)
	if err != nil {
		return nil, badAnswer("the value is not the base64 that it claims to be", err)
	}
	return text[:n], nil
}

// put, deleted and swapped give the result of a put or set, of a delete, and of a cas.
func (a *answer) put() (api.PutResponse, error) {
	r := api.PutResponse{Revision: a.revision, Created: a.changed}
	err := a.into(&r)
	return r, err
}

func (a *answer) deleted() (api.DeleteResponse, error) {
	r := api.DeleteResult{Deleted: a.changed}
	err := a.into(&r)
	if !r.Deleted {
		return api.DeleteResponse{}, err
	}
	return api.DeleteResponse{Revision: a.index, Deleted: true}, err
}

func (a *answer) swapped() (api.CasResult, error) {
	r := api.CasResult{Swapped: a.changed}
	err := a.into(&r)
	return r, err
}

// into reads the JSON result, if it was not taken apart before.
func (a *answer) into(result any) error {
	if a.result == nil {
		return nil
	}
	if err := json.Unmarshal(a.result, result); err != nil {
		return badAnswer("the result is not of the form that the command has", err)
	}
	return nil
}
