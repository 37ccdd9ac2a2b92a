package client

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// answer is one line of a batch's answer, taken apart. The byte slices are its own.
type answer struct {
	index  uint64
	term   uint64
	result []byte // JSON text; nil if changed and revision are all of it
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
	s := jsontext.Scan(line)
	var a answer
	a.index = s.Uint(`{"index":`)
	a.term = s.Uint(`,"term":`)
	s.Want(`,"result":`)
	scanResult(&s, op, &a)
	return a, s.Done()
}

// scanResult reads the result of op and what closes the line after it.
func scanResult(s *jsontext.Scanner, op string, a *answer) {
	switch op {
	case api.OpPut, api.OpSet:
		a.revision = s.Uint(`{"revision":`)
		a.changed = s.Bool(`,"created":`)
		s.Want(`}}`)
	case api.OpDelete:
		a.changed = s.Bool(`{"deleted":`)
		s.Want(`}}`)
	case api.OpCas:
		a.changed = true
		s.Want(`{"swapped":true}}`)
	case api.OpGet:
		s.Want(`"`)
		a.text, a.isText = append([]byte{}, s.Plain()...), true
		s.Want(`,"record":{`)
		scanMeta(s, &a.meta)
		s.Want(`}}`)
	default:
		s.Fail(true)
	}
}

func scanMeta(s *jsontext.Scanner, m *api.RecordMeta) {
	if s.Take(`"encoding":"base64",`) {
		m.Encoding = api.EncodingBase64
	}
	s.Want(`"content_type":"`)
	m.ContentType = internType(s.Plain())
	m.CreateRevision = s.Uint(`,"create_revision":`)
	m.ModRevision = s.Uint(`,"mod_revision":`)
	m.Version = s.Uint(`,"version":`)
}

// internType returns a content type as a string, without allocating for the usual ones.
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

// value returns the bytes that a get read: the text of a string, what base64 stood for, JSON as it is.
func (a *answer) value() ([]byte, error) {
	switch {
	case !a.isText:
		return decodeValue(a.result, a.meta)
	case a.meta.Encoding == api.EncodingBase64:
		return fromBase64(a.text)
	case jsontext.IsJSON(a.meta.ContentType):
		return slices.Concat([]byte{'"'}, a.text, []byte{'"'}), nil
	}
	return a.text, nil
}

// decodeValue turns the JSON value of a Record into the bytes that were stored.
func decodeValue(value json.RawMessage, meta api.RecordMeta) ([]byte, error) {
	if meta.Encoding == "" && jsontext.IsJSON(meta.ContentType) {
		return value, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return nil, badAnswer("the value is not the JSON string that its content type requires", err)
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

// put, deleted and swapped return the result of a put or set, of a delete, and of a cas.
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
