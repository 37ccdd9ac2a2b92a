package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Item is one key with its value.
type Item struct {
	Key   string
	Value []byte // the bytes that were stored; the text of a JSON value
	// ContentType is what the value was stored as; set, cas and incr store application/json.
	ContentType    string
	CreateRevision uint64
	Revision       uint64 // of the last change; what IfRevision wants
	Version        uint64 // 1 when created, one more with each change
}

// ReadOption changes how a read is made: Consistency, MinRevision or MaxStale.
type ReadOption interface{ readOption() }

type (
	consistency api.Consistency
	minRevision uint64
	maxStale    time.Duration
)

func (consistency) readOption() {}
func (minRevision) readOption() {}
func (maxStale) readOption()    {}

// Consistency sets how fresh a read is; without it a read is linearizable.
func Consistency(c api.Consistency) ReadOption { return consistency(c) }

// MinRevision makes a read wait until its node has applied this revision: with api.Stale it reads one's own writes
// on any node.
func MinRevision(revision uint64) ReadOption { return minRevision(revision) }

// MaxStale lets a stale read fail with api.CodeNotReady where the value may have been replaced longer ago.
func MaxStale(age time.Duration) ReadOption { return maxStale(age) }

// Get reads a key; api.CodeNotFound if it does not exist. Without options the read is linearizable: it sees every
// write that was acknowledged before it began.
func (c *Client) Get(ctx context.Context, key string, options ...ReadOption) (Item, error) {
	l := c.reads
	for _, o := range options {
		switch o {
		case consistency(api.Stale):
			l = c.anywhere
		case consistency(api.Linearizable), consistency(api.Lease):
		default:
			return c.getAlone(ctx, key, options)
		}
	}
	k := c.newCall()
	k.request.Op, k.request.Key, k.read = api.OpGet, key, true
	if err := k.request.prepare(); err != nil {
		k.free()
		return Item{}, err
	}
	a, err := c.travel(ctx, l, k)
	if err != nil {
		return Item{}, err
	}
	value, err := a.value()
	if err != nil {
		return Item{}, err
	}
	return item(key, value, a.meta), nil
}

func item(key string, value []byte, m api.RecordMeta) Item {
	return Item{
		Key: key, Value: value, ContentType: m.ContentType,
		CreateRevision: m.CreateRevision, Revision: m.ModRevision, Version: m.Version,
	}
}

// getAlone reads with options that are a matter of the whole request, so that it cannot share one.
func (c *Client) getAlone(ctx context.Context, key string, options []ReadOption) (Item, error) {
	if key == "" {
		return Item{}, invalid("the key is empty")
	}
	query := url.Values{}
	for _, o := range options {
		switch o := o.(type) {
		case consistency:
			query.Set(api.ParamConsistency, string(o))
		case minRevision:
			query.Set(api.ParamMinRevision, strconv.FormatUint(uint64(o), 10))
		case maxStale:
			query.Set(api.ParamMaxStale, time.Duration(o).String())
		}
	}
	var record api.Record
	r := httpRequest{method: http.MethodGet, path: api.KeyPath(key), query: query}
	if err := c.exchangeAny(ctx, r, &record); err != nil {
		return Item{}, err
	}
	value, err := decodeValue(record.Value, record.RecordMeta)
	if err != nil {
		return Item{}, err
	}
	return item(key, value, record.RecordMeta), nil
}
