package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
)

// sdkDriver loads the cluster through node/client, one Client for all, as a program would use it.
func sdkDriver(nodes []string) driver {
	return driver{name: sdkName, open: func(_ context.Context, clients, _ int) ([]session, func(), error) {
		var endpoints []string
		for _, node := range nodes {
			endpoints = append(endpoints, "http://"+node)
		}
		c, err := client.New(client.Config{Endpoints: endpoints})
		if err != nil {
			return nil, nil, err
		}
		sessions := make([]session, clients)
		for i := range sessions {
			sessions[i] = &sdkSession{client: c, value: newValue()}
		}
		return sessions, c.Close, nil
	}}
}

type sdkSession struct {
	client   *client.Client
	value    []byte
	commands []api.Command
}

func (s *sdkSession) put(ctx context.Context, key int, id writeID) (uint64, error) {
	setValue(s.value, id, key)
	answer, err := s.client.Put(ctx, keyName(key), s.value)
	return answer.Revision, err
}

func (s *sdkSession) get(ctx context.Context, key int, local bool) error {
	consistency := api.Linearizable
	if local {
		consistency = api.Stale
	}
	item, err := s.client.Get(ctx, keyName(key), client.Consistency(consistency))
	if err != nil {
		return err
	}
	if !isValueOf(item.Value, key) {
		return fmt.Errorf("a read of %s returned %q", keyName(key), item.Value)
	}
	return nil
}

func (s *sdkSession) read(ctx context.Context, key int) (record, error) {
	item, err := s.client.Get(ctx, keyName(key))
	if api.ErrorCode(err) == api.CodeNotFound {
		return record{}, nil
	}
	return record{found: true, revision: item.Revision, version: int(item.Version), value: item.Value}, err
}

func (s *sdkSession) batch(
	ctx context.Context, keys []int, ids []writeID, outcome func(i int, revision uint64, err error),
) error {
	s.commands = s.commands[:0]
	for i, key := range keys {
		setValue(s.value, ids[i], key)
		text, err := json.Marshal(string(s.value))
		if err != nil {
			return err
		}
		s.commands = append(s.commands, api.Command{Op: api.OpPut, Key: keyName(key), Value: text})
	}
	results, err := s.client.Batch(ctx, s.commands)
	if err != nil {
		return err
	}
	for i, result := range results {
		if result.Error != nil {
			outcome(i, 0, result.Error)
		} else {
			outcome(i, result.Index, nil)
		}
	}
	return nil
}
