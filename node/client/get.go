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

// ReadOption changes how a read is made: Consistency, MinRevision, MaxStale or AtRevision.
type ReadOption interface{ readOption() }

type (
	consistency api.Consistency
	minRevision uint64
	maxStale    time.Duration
	atRevision  uint64
)

func (consistency) readOption() {}
func (minRevision) readOption() {}
func (maxStale) readOption()    {}
func (atRevision) readOption()  {}

// Consistency sets how fresh a read is; without it a read is linearizable. With api.Lease the leader answers without a
// round among the members while it has a lease, which depends on their clocks.
func Consistency(c api.Consistency) ReadOption { return consistency(c) }

// MinRevision makes a read wait until its node has applied this revision: with api.Stale it reads one's own writes
// on any node.
func MinRevision(revision uint64) ReadOption { return minRevision(revision) }

// MaxStale lets a stale read fail with api.CodeNotReady where the value may have been replaced longer ago.
func MaxStale(age time.Duration) ReadOption { return maxStale(age) }

// AtRevision reads the state as it was at a revision. The read fails with api.CodeCompacted if that cannot be read any
// more, and with api.CodeInvalid if the cluster has not reached it. A history takes no revision.
func AtRevision(revision uint64) ReadOption { return atRevision(revision) }

// queryOf returns the options as parameters.
func queryOf(options []ReadOption) url.Values {
	query := url.Values{}
	for _, o := range options {
		switch o := o.(type) {
		case consistency:
			query.Set(api.ParamConsistency, string(o))
		case minRevision:
			query.Set(api.ParamMinRevision, strconv.FormatUint(uint64(o), 10))
		case maxStale:
			query.Set(api.ParamMaxStale, time.Duration(o).String())
		case atRevision:
			query.Set(api.ParamRevision, strconv.FormatUint(uint64(o), 10))
		}
	}
	return query
}

// Get reads a key; api.CodeNotFound if it does not exist. Without options the read is linearizable: it sees every
// write that was acknowledged before it began.
func (c *Client) Get(ctx context.Context, key string, options ...ReadOption) (Item, error) {
	l := c.reads
	for _, o := range options {
		switch o {
		case consistency(api.Stale):
			l = c.anywhere
		case consistency(api.Lease):
			l = c.leased
		case consistency(api.Linearizable):
			l = c.reads
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
	var answered rawAnswer
	r := httpRequest{method: http.MethodGet, path: api.KeyPath(key), query: queryOf(options), accept: "*/*"}
	if err := c.exchangeAny(ctx, r, &answered); err != nil {
		return Item{}, err
	}
	i := Item{Key: key, Value: answered.body, ContentType: answered.header.Get("Content-Type")}
	for name, n := range map[string]*uint64{
		api.HeaderRevision: &i.Revision, api.HeaderCreateRevision: &i.CreateRevision, api.HeaderVersion: &i.Version,
	} {
		var err error
		if *n, err = strconv.ParseUint(answered.header.Get(name), 10, 64); err != nil {
			return Item{}, settledRead(ctx, badAnswer("the answer has no "+name, err))
		}
	}
	return i, nil
}

// GetRecord reads a key as Get does, in a request of its own, and returns the record as the server sends it.
func (c *Client) GetRecord(ctx context.Context, key string, options ...ReadOption) (api.Record, error) {
	if key == "" {
		return api.Record{}, invalid("the key is empty")
	}
	var record api.Record
	r := httpRequest{method: http.MethodGet, path: api.KeyPath(key), query: queryOf(options)}
	err := c.exchangeAny(ctx, r, &record)
	return record, err
}
