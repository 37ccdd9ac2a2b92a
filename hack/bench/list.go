package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// listKeys is the number of keys of one list.
const listKeys = api.MaxListKeys

// parseKey is the inverse of keyName.
func parseKey(name string) (int, error) {
	digits, ok := strings.CutPrefix(name, keyPrefix)
	key, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return 0, fmt.Errorf("a list has the key %q; want %s and a number", name, keyPrefix)
	}
	return key, nil
}

// list counts the records and does not decode them, unless each needs them.
func (s *leanSession) list(_ context.Context, from, limit int, each func(key int, got record)) (int, error) {
	request := fmt.Sprintf("GET %s?%s=%s&%s=%s&%s=%d HTTP/1.1\r\nHost: %s\r\n\r\n", api.PathList,
		api.ParamPrefix, keyPrefix, api.ParamFrom, keyName(from), api.ParamLimit, limit, s.conn.nodes[0])
	got, err := s.conn.do([]byte(request))
	if err != nil {
		return 0, err
	}
	if each == nil {
		return bytes.Count(got.body, []byte(`{"key":"`+keyPrefix)), nil
	}
	var page api.ListPage
	if err := json.Unmarshal(got.body, &page); err != nil {
		return 0, fmt.Errorf("the response to a list is no page: %w", err)
	}
	for i := range page.Records {
		r := &page.Records[i]
		key, err := parseKey(r.Key)
		if err != nil {
			return 0, err
		}
		var value string
		if err := json.Unmarshal(r.Value, &value); err != nil {
			return 0, fmt.Errorf("%s in a list has a value that is no string: %w", r.Key, err)
		}
		each(key, record{found: true, revision: r.Revision, version: int(r.Version), value: []byte(value)})
	}
	return len(page.Records), nil
}

func (s *sdkSession) list(ctx context.Context, from, limit int, each func(key int, got record)) (int, error) {
	page, err := s.client.List(ctx, client.Range{Prefix: keyPrefix, From: keyName(from), Limit: limit}, "")
	if err != nil {
		return 0, err
	}
	for i := 0; each != nil && i < len(page.Entries); i++ {
		e := &page.Entries[i]
		key, err := parseKey(e.Key)
		if err != nil {
			return 0, err
		}
		each(key, record{found: true, revision: e.Revision, version: int(e.Version), value: e.Value})
	}
	return len(page.Entries), nil
}

func (s *etcdSession) list(ctx context.Context, from, limit int, each func(key int, got record)) (int, error) {
	answer, err := s.client.Get(ctx, keyName(from), clientv3.WithRange(clientv3.GetPrefixRangeEnd(keyPrefix)),
		clientv3.WithLimit(int64(limit)))
	if err != nil {
		return 0, err
	}
	for i := 0; each != nil && i < len(answer.Kvs); i++ {
		kv := answer.Kvs[i]
		key, err := parseKey(string(kv.Key))
		if err != nil {
			return 0, err
		}
		each(key, record{found: true, revision: uint64(kv.ModRevision), version: int(kv.Version), value: kv.Value})
	}
	return len(answer.Kvs), nil
}

// verifyByList is verify for many keys: it reads them by lists of some thousand.
func (a *account) verifyByList(ctx context.Context, s session) error {
	var wrong faults
	for from := 0; from < len(a.keys); from += listKeys {
		found := make([]record, min(listKeys, len(a.keys)-from))
		_, err := s.list(ctx, from, len(found), func(key int, got record) {
			if key >= from && key < from+len(found) {
				found[key-from] = got
			}
		})
		if err != nil {
			return err
		}
		for i, got := range found {
			if err := a.keys[from+i].check(from+i, got); err != nil {
				wrong.add(fmt.Errorf("%s: %w", keyName(from+i), err))
			}
		}
	}
	return wrong.err()
}
