package client

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"github.com/kontiki-dev/kontiki/node/api"
)

// WriteOption is a condition or property of a write.
type WriteOption struct {
	kind     writeOption
	revision uint64
	text     string
}

type writeOption uint8

const (
	kindIfRevision writeOption = iota
	kindIfAbsent
	kindContentType
)

// IfRevision lets a put, set or delete through only if the key has this revision; 0: only if it does not exist.
// Otherwise the call fails with api.CodePreconditionFailed, and Error.Revision is the revision of the key.
func IfRevision(revision uint64) WriteOption {
	return WriteOption{kind: kindIfRevision, revision: revision}
}

// IfAbsent lets a put or set through only if the key does not exist.
func IfAbsent() WriteOption { return WriteOption{kind: kindIfAbsent} }

// ContentType is the type of a put's value; without it the value is application/octet-stream.
func ContentType(mediaType string) WriteOption {
	return WriteOption{kind: kindContentType, text: mediaType}
}

func (r *request) apply(options []WriteOption) {
	for _, o := range options {
		switch o.kind {
		case kindIfRevision:
			r.IfRevision = &o.revision
		case kindIfAbsent:
			r.IfAbsent = true
		case kindContentType:
			r.ContentType = o.text
		}
	}
}

// run checks and sends one command, and returns its answer.
func (c *Client) run(ctx context.Context, k *call) (answer, error) {
	if err := k.request.prepare(); err != nil {
		k.free()
		return answer{}, err
	}
	l := c.writes
	if k.request.isRead() {
		k.read, l = true, c.reads
	}
	return c.travel(ctx, l, k)
}

// travel sends a prepared call of one line over a lane, and frees it.
func (c *Client) travel(ctx context.Context, l *lane, k *call) (answer, error) {
	read := k.read
	if err := c.do(ctx, l, k); err != nil {
		return answer{}, err
	}
	a := k.answers[0]
	k.free()
	if a.err != nil {
		return answer{}, settled(ctx, a.err, read)
	}
	return a, nil
}

// Put stores a value under a key. The value must not change before Put returns.
func (c *Client) Put(ctx context.Context, key string, value []byte, options ...WriteOption) (api.PutResponse, error) {
	k := c.newCall()
	k.request.Op, k.request.Key = api.OpPut, key
	k.request.raw, k.request.hasRaw = value, true
	k.request.apply(options)
	a, err := c.run(ctx, k)
	if err != nil {
		return api.PutResponse{}, err
	}
	return a.put()
}

// Set stores a value as JSON under a key; it is encoded as encoding/json does.
func (c *Client) Set(ctx context.Context, key string, value any, options ...WriteOption) (api.PutResponse, error) {
	text, err := toJSON("value", value)
	if err != nil {
		return api.PutResponse{}, err
	}
	k := c.newCall()
	k.request.Op, k.request.Key, k.request.Value = api.OpSet, key, text
	k.request.apply(options)
	a, err := c.run(ctx, k)
	if err != nil {
		return api.PutResponse{}, err
	}
	return a.put()
}

// Delete removes a key. A key that does not exist is no error: the answer reports that nothing was deleted.
func (c *Client) Delete(ctx context.Context, key string, options ...WriteOption) (api.DeleteResponse, error) {
	k := c.newCall()
	k.request.Op, k.request.Key = api.OpDelete, key
	k.request.apply(options)
	a, err := c.run(ctx, k)
	if err != nil {
		return api.DeleteResponse{}, err
	}
	return a.deleted()
}

// IncrResponse is what Client.Incr answers.
type IncrResponse struct {
	Value    int64  `json:"value"` // after the addition
	Revision uint64 `json:"revision"`
}

// Incr adds to a whole number; an absent key counts as 0. It fails with api.CodeConflict if the key holds anything
// else.
func (c *Client) Incr(ctx context.Context, key string, by int64) (IncrResponse, error) {
	k := c.newCall()
	k.request.Op, k.request.Key, k.request.By = api.OpIncr, key, json.Number(strconv.FormatInt(by, 10))
	a, err := c.run(ctx, k)
	if err != nil {
		return IncrResponse{}, err
	}
	r := IncrResponse{Revision: a.index}
	err = a.into(&r.Value)
	return r, err
}

// CASResponse is what Client.CAS answers.
type CASResponse struct {
	Swapped bool `json:"swapped"`
	// Value is, if nothing was swapped, the current value as JSON; null: the key does not exist.
	Value json.RawMessage `json:"value,omitempty"`
	// Revision is, if it was swapped, the revision of the change.
	Revision uint64 `json:"revision,omitempty"`
}

// CAS sets a key to a JSON value if its value equals the expected one; nil expects that the key does not exist.
// That the values differ is no error.
func (c *Client) CAS(ctx context.Context, key string, expected, value any) (CASResponse, error) {
	expect, err := toJSON("expected value", expected)
	if err != nil {
		return CASResponse{}, err
	}
	text, err := toJSON("value", value)
	if err != nil {
		return CASResponse{}, err
	}
	k := c.newCall()
	k.request.Op, k.request.Key, k.request.Expected, k.request.Value = api.OpCas, key, expect, text
	a, err := c.run(ctx, k)
	if err != nil {
		return CASResponse{}, err
	}
	result, err := a.swapped()
	r := CASResponse{Swapped: result.Swapped, Value: result.Value}
	if r.Swapped {
		r.Revision = a.index
	}
	return r, err
}

// Command runs any command and returns its answer as POST /api/command would.
func (c *Client) Command(ctx context.Context, command api.Command) (api.CommandResponse, error) {
	k := c.newCall()
	k.request.Command, k.raw = command, true
	a, err := c.run(ctx, k)
	if err != nil {
		return api.CommandResponse{}, err
	}
	return a.response(command.Op), nil
}

// response returns the answer in the form of the contract.
func (a *answer) response(op string) api.CommandResponse {
	r := api.CommandResponse{Index: a.index, Term: a.term, Result: a.result}
	if op == api.OpGet {
		r.Record = &a.meta
	}
	return r
}

// toJSON encodes a value without the escapes that only HTML needs.
func toJSON(what string, value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, &api.Error{Code: api.CodeInvalid, Message: "the " + what + " cannot be JSON: " + err.Error(), Cause: err}
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
