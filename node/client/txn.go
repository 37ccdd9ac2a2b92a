package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/jsontext"
)

// Txn carries out a transaction: the operations in Then if all comparisons hold, otherwise those in Else. That they do
// not hold is no error. Operand and PutOp make parts of a transaction from bytes.
func (c *Client) Txn(ctx context.Context, txn api.Txn) (api.TxnResponse, error) {
	for _, text := range textsOf(&txn) {
		if !utf8.ValidString(text) {
			return api.TxnResponse{}, invalid("%.100q in the transaction is not UTF-8; PutOp and Operand take any bytes", text)
		}
	}
	body, err := toJSON("transaction", txn)
	if err != nil {
		return api.TxnResponse{}, err
	}
	if len(body) >= maxBatchBytes {
		return c.TxnJSON(ctx, body)
	}
	return c.txnOnLane(ctx, body)
}

// TxnJSON carries out a transaction that is written in JSON, as POST /api/v1/txn takes it.
func (c *Client) TxnJSON(ctx context.Context, text []byte) (api.TxnResponse, error) {
	var response api.TxnResponse
	if len(text) > api.MaxTxnBytes {
		return response, &api.Error{
			Code: api.CodeTooLarge, Limit: api.MaxTxnBytes,
			Message: invalid("the transaction has %d bytes; it may have %d", len(text), api.MaxTxnBytes).Message,
		}
	}
	err := c.exchangeAny(ctx, httpRequest{method: http.MethodPost, path: api.PathTxn, body: text}, &response)
	return response, err
}

// txnOnLane sends a transaction as a line of a batch, which it shares with the writes of other callers.
func (c *Client) txnOnLane(ctx context.Context, body []byte) (api.TxnResponse, error) {
	k := c.newCall()
	k.request.Op, k.raw = api.OpTxn, true
	k.request.line = append([]byte(`{"op":"txn"`), body...)
	k.request.line[len(`{"op":"txn"`)] = ',' // instead of the body's bracket
	if len(body) == len(`{}`) {
		k.request.line = []byte(`{"op":"txn"}`)
	}
	a, err := c.travel(ctx, c.writes, k)
	if err != nil {
		return api.TxnResponse{}, err
	}
	response := api.TxnResponse{Revision: a.index}
	err = a.into(&response)
	return response, err
}

// textsOf returns the texts of a transaction, which encoding/json would change if they were no UTF-8.
func textsOf(txn *api.Txn) []string {
	var texts []string
	keys := func(k *api.Keys) {
		texts = append(texts, k.Key, k.Prefix, k.To)
		if k.From != nil {
			texts = append(texts, *k.From)
		}
	}
	for i := range txn.If {
		keys(&txn.If[i].Keys)
	}
	for _, o := range slices.Concat(txn.Then, txn.Else) {
		switch {
		case o.Put != nil:
			texts = append(texts, o.Put.Key, o.Put.Value, o.Put.Encoding, o.Put.ContentType)
		case o.Set != nil:
			texts = append(texts, o.Set.Key)
		case o.Delete != nil:
			keys(&o.Delete.Keys)
		case o.Incr != nil:
			texts = append(texts, o.Incr.Key)
		case o.Cas != nil:
			texts = append(texts, o.Cas.Key)
		case o.Get != nil:
			keys(&o.Get.Keys)
		case o.Count != nil:
			keys(o.Count)
		}
	}
	return texts
}

// PutOp returns the operation of a transaction that does what Put does.
func PutOp(key string, value []byte, options ...WriteOption) api.TxnOp {
	var r request
	r.apply(options)
	put := &api.TxnPut{
		Key: key, Value: string(value), ContentType: r.ContentType, IfRevision: r.IfRevision, IfAbsent: r.IfAbsent,
	}
	if !utf8.Valid(value) {
		put.Value, put.Encoding = base64.StdEncoding.EncodeToString(value), api.EncodingBase64
	}
	return api.TxnOp{Put: put}
}

// Operand returns bytes as the operand of a comparison of a value.
func Operand(value []byte) json.RawMessage {
	if utf8.Valid(value) {
		return jsontext.AppendString(nil, value)
	}
	return append(jsontext.AppendBase64([]byte(`{"base64":`), value), '}')
}

// ValueOf returns the bytes of a record in the answer to a transaction; none if only its key was read.
func ValueOf(r *api.Record) ([]byte, error) {
	if len(r.Value) == 0 {
		return nil, nil
	}
	return decodeValue(bytes.Clone(r.Value), r.RecordMeta)
}

// DeletePrefix deletes the keys that begin with a prefix, which is not empty, up to 10,000 of them at a revision. After
// an error, some may be deleted; the call may be repeated.
func (c *Client) DeletePrefix(ctx context.Context, prefix string) (api.DeleteRangeResponse, error) {
	if prefix == "" {
		return api.DeleteRangeResponse{}, invalid("the prefix is empty")
	}
	ctx, _, cancel := c.limit(ctx)
	defer cancel()
	var all api.DeleteRangeResponse
	query := url.Values{api.ParamPrefix: {prefix}}
	for {
		var part api.DeleteRangeResponse
		request := httpRequest{method: http.MethodDelete, path: api.PathList, query: query}
		if err := c.exchangeAny(ctx, request, &part); err != nil {
			return all, err
		}
		all.Deleted += part.Deleted
		all.Revision = max(all.Revision, part.Revision)
		if !part.More {
			return all, nil
		}
		query.Set(api.ParamFrom, part.Next)
	}
}
