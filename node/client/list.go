package client

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Range selects keys, in the order of their bytes: those that begin with Prefix and are in [From, To). The zero value
// selects all.
type Range struct {
	Prefix string
	From   string
	To     string // the first key behind the range; empty: it has no end
	// Delimiter folds all keys that contain it behind Prefix into one folder, whose name ends with it.
	Delimiter string
	KeysOnly  bool // leaves the values out
	// Limit is how many keys and folders are read; 0: api.DefaultListKeys in a page of List, and all by Scan. A page also
	// ends early where the values are large.
	Limit int
}

// query returns the parameters of a range, with those of the options of a read.
func (r *Range) query(options []ReadOption) url.Values {
	query := queryOf(options)
	for name, value := range map[string]string{
		api.ParamPrefix: r.Prefix, api.ParamFrom: r.From, api.ParamTo: r.To, api.ParamDelimiter: r.Delimiter,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if r.KeysOnly {
		query.Set(api.ParamKeysOnly, "true")
	}
	if r.Limit > 0 {
		query.Set(api.ParamLimit, strconv.Itoa(r.Limit))
	}
	return query
}

// Entry is a key in a list, or a folder.
type Entry struct {
	Item
	Modified time.Time // when the last change was proposed
	// Folder is set for a folder, and nothing else is.
	Folder string
}

// Name returns the key, or the name of the folder.
func (e *Entry) Name() string { return e.Key + e.Folder }

// Page is a page of a list.
type Page struct {
	Revision uint64 // of all pages
	Entries  []Entry
	Cursor   string // of the next page; empty: this is the last one
}

// List returns a page of a range: the first one for an empty cursor. All pages are of the same revision, whatever is
// written meanwhile, and each may come from another node; api.CodeCompacted: that revision cannot be read any more.
func (c *Client) List(ctx context.Context, r Range, cursor string, options ...ReadOption) (Page, error) {
	query := r.query(options)
	if cursor != "" {
		query.Set(api.ParamCursor, cursor)
	}
	var answered rawAnswer
	request := httpRequest{method: http.MethodGet, path: api.PathList, query: query, most: maxPageBytes}
	if err := c.exchangeAny(ctx, request, &answered); err != nil {
		return Page{}, err
	}
	page, err := decodePage(answered.body)
	if err != nil {
		return Page{}, settledRead(ctx, err)
	}
	byName := func(a, b Entry) int { return strings.Compare(a.Name(), b.Name()) }
	if !slices.IsSortedFunc(page.Entries, byName) { // the folders are behind the keys
		slices.SortFunc(page.Entries, byName)
	}
	return page, nil
}

// maxPageBytes bounds the answer with a page: the server ends a page with the value, of up to 1 MiB and six bytes for
// each, that exceeds its own bound of 8 MiB.
const maxPageBytes = 24 << 20

// modified returns the time of a record, in microseconds as it is kept.
func modified(seconds float64) time.Time { return time.UnixMicro(int64(math.Round(seconds * 1e6))) }

// Count returns how many keys a range has, and the revision at which they were counted. Delimiter, KeysOnly and Limit
// must not be set.
func (c *Client) Count(ctx context.Context, r Range, options ...ReadOption) (api.CountResponse, error) {
	query := r.query(options)
	query.Set(api.ParamCount, "true")
	var answered api.CountResponse
	err := c.exchangeAny(ctx, httpRequest{method: http.MethodGet, path: api.PathList, query: query}, &answered)
	return answered, err
}

// Version is a version of a key, or the deletion of it.
type Version struct {
	Item
	Modified time.Time // when the change was proposed
	Deleted  bool      // the change of Revision deleted the key
}

// History is a part of the history of a key.
type History struct {
	Versions []Version // the newest first
	// CompactedRevision is where the history ends: versions that were replaced or deleted up to it are gone. 0: none is.
	CompactedRevision uint64
	More              bool // there are older versions: before the revision of the last one
}

// History returns up to limit versions of a key from before a revision; 0: the newest, and api.DefaultVersions of them.
// It fails with api.CodeNotFound if the key does not exist and none of its versions is kept.
func (c *Client) History(ctx context.Context, key string, before uint64, limit int, options ...ReadOption) (History,
	error,
) {
	if key == "" {
		return History{}, invalid("the key is empty")
	}
	query := queryOf(options)
	query.Set(api.ParamHistory, "true")
	if before > 0 {
		query.Set(api.ParamBefore, strconv.FormatUint(before, 10))
	}
	if limit > 0 {
		query.Set(api.ParamLimit, strconv.Itoa(limit))
	}
	var answered api.HistoryPage
	request := httpRequest{method: http.MethodGet, path: api.KeyPath(key), query: query, most: maxPageBytes}
	if err := c.exchangeAny(ctx, request, &answered); err != nil {
		return History{}, err
	}
	history := History{CompactedRevision: answered.CompactedRevision, More: answered.More}
	for _, v := range answered.Versions {
		version := Version{Modified: modified(v.Modified), Deleted: v.Deleted, Item: Item{
			Key: key, ContentType: v.ContentType, CreateRevision: v.CreateRevision, Revision: v.Revision, Version: v.Version,
		}}
		if !v.Deleted {
			meta := api.RecordMeta{Encoding: v.Encoding, ContentType: v.ContentType}
			var err error
			if version.Value, err = decodeValue(v.Value, meta); err != nil {
				return History{}, err
			}
		}
		history.Versions = append(history.Versions, version)
	}
	return history, nil
}

// Compact makes a revision the oldest one that can be read, and returns the oldest one that can be read now. It may be
// repeated.
func (c *Client) Compact(ctx context.Context, revision uint64) (api.CompactResponse, error) {
	body := strconv.AppendUint([]byte(`{"revision":`), revision, 10)
	var answered api.CompactResponse
	r := httpRequest{method: http.MethodPost, path: api.PathCompact, body: append(body, '}')}
	err := c.exchangeAny(ctx, r, &answered)
	return answered, err
}
