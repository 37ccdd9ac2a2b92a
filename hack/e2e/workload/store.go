package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/kontiki-dev/kontiki/hack/e2e/plain"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// store is a cluster as a client sees it: numbers under keys, 0 where there is none. Every error is a *api.Error.
type store interface {
	put(ctx context.Context, key string, number int64) error
	get(ctx context.Context, key string) (int64, error)
	// cas tells whether it swapped, and if not what it found.
	cas(ctx context.Context, key string, expected, number int64) (bool, int64, error)
	close()
}

// library is the store through node/client, as a program in Go would use it.
type library struct{ client *client.Client }

func newLibrary(endpoint string) (*library, error) {
	c, err := client.New(client.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return nil, err
	}
	return &library{client: c}, nil
}

func (l *library) close() { l.client.Close() }

func (l *library) put(ctx context.Context, key string, number int64) error {
	_, err := l.client.Set(ctx, key, number)
	return err
}

func (l *library) get(ctx context.Context, key string) (int64, error) {
	item, err := l.client.Get(ctx, key)
	switch {
	case api.ErrorCode(err) == api.CodeNotFound:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return parse(item.Value)
}

func (l *library) cas(ctx context.Context, key string, expected, number int64) (bool, int64, error) {
	r, err := l.client.CAS(ctx, key, orNull(expected), number)
	if err != nil || r.Swapped {
		return r.Swapped, 0, err
	}
	found, err := parse(r.Value)
	return false, found, err
}

// single is the store through the Service, one HTTP request each, as a program in any language would use it. It never
// sends a request twice.
type single struct{ client *plain.Client }

func newSingle(endpoint string) (*single, error) {
	c, err := plain.New(endpoint, timeout)
	if err != nil {
		return nil, fmt.Errorf("--endpoint: %w", err)
	}
	return &single{client: c}, nil
}

func (s *single) close() { s.client.Close() }

func (s *single) put(ctx context.Context, key string, number int64) error {
	_, err := s.client.Put(ctx, key, number)
	return err
}

func (s *single) get(ctx context.Context, key string) (int64, error) {
	record, err := s.client.Get(ctx, key, nil)
	switch {
	case api.ErrorCode(err) == api.CodeNotFound:
		return 0, nil
	case err != nil:
		return 0, err
	}
	return parse(record.Value)
}

func (s *single) cas(ctx context.Context, key string, expected, number int64) (bool, int64, error) {
	wanted := json.RawMessage("null")
	if expected != 0 {
		wanted = json.RawMessage(strconv.FormatInt(expected, 10))
	}
	answer, err := s.client.Command(ctx, api.Command{
		Op: api.OpCas, Key: key, Expected: wanted, Value: json.RawMessage(strconv.FormatInt(number, 10)),
	})
	if err != nil {
		return false, 0, err
	}
	var result api.CasResult
	if err := json.Unmarshal(answer.Result, &result); err != nil {
		return false, 0, plain.Garbled(err)
	}
	if result.Swapped {
		return true, 0, nil
	}
	found, err := parse(result.Value)
	return false, found, err
}

// parse reads a stored number; null stands for none.
func parse(text []byte) (int64, error) {
	var number int64
	if err := json.Unmarshal(text, &number); err != nil {
		return 0, plain.Garbled(err)
	}
	return number, nil
}

// orNull is how an expectation is written: no number is null.
func orNull(number int64) any {
	if number == 0 {
		return nil
	}
	return number
}
