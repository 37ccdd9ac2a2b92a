package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// etcd runs etcd with its default settings, except for a quota that the benchmark does not reach.
type etcd struct {
	// connections is the number of clients, each connected to every member, that share the load.
	connections int
}

func (etcd) name() string { return "etcd" }

func (etcd) arguments(all []*member, i int) []string {
	name := func(m *member) string { return fmt.Sprintf("n%d", m.number) }
	var initial []string
	for _, m := range all {
		initial = append(initial, name(m)+"=http://"+m.peer)
	}
	m := all[i]
	return []string{
		"--name", name(m), "--data-dir", m.data, "--log-level", "warn",
		"--listen-client-urls", "http://" + m.api, "--advertise-client-urls", "http://" + m.api,
		"--listen-client-http-urls", "http://" + m.extra, // as etcd recommends: a port for gRPC alone
		"--listen-peer-urls", "http://" + m.peer, "--initial-advertise-peer-urls", "http://" + m.peer,
		"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-state", "new",
		"--quota-backend-bytes", "8589934592",
	}
}

func (etcd) standing(ctx context.Context, m *member) (standing, error) {
	c, err := newEtcdClient([]string{m.api})
	if err != nil {
		return standing{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := c.Status(ctx, m.api)
	if err != nil {
		return standing{}, err
	}
	return standing{
		ready: s.Leader != 0, leads: s.Leader == s.Header.MemberId, term: s.RaftTerm, applied: s.RaftAppliedIndex,
	}, nil
}

func newEtcdClient(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
}

// drivers returns etcd's own Go client, which rotates over the members, request by request.
func (e etcd) drivers(all []*member) []driver {
	var endpoints []string
	for _, m := range all {
		endpoints = append(endpoints, m.api)
	}
	return []driver{{name: etcdDriver, open: func(_ context.Context, clients, _ int) ([]session, func(), error) {
		var pool []*clientv3.Client
		closeAll := func() {
			for _, c := range pool {
				c.Close()
			}
		}
		for range min(e.connections, clients) {
			c, err := newEtcdClient(endpoints)
			if err != nil {
				closeAll()
				return nil, nil, err
			}
			pool = append(pool, c)
		}
		sessions := make([]session, clients)
		for i := range sessions {
			sessions[i] = &etcdSession{client: pool[i%len(pool)], value: newValue()}
		}
		return sessions, closeAll, nil
	}}}
}

type etcdSession struct {
	client *clientv3.Client
	value  []byte
}

func (s *etcdSession) put(ctx context.Context, key int, id writeID) (uint64, error) {
	setValue(s.value, id, key)
	answer, err := s.client.Put(ctx, keyName(key), string(s.value))
	if err != nil {
		return 0, err
	}
	return uint64(answer.Header.Revision), nil
}

func (s *etcdSession) get(ctx context.Context, key int, local bool) error {
	var options []clientv3.OpOption
	if local {
		options = append(options, clientv3.WithSerializable())
	}
	answer, err := s.client.Get(ctx, keyName(key), options...)
	if err != nil {
		return err
	}
	if len(answer.Kvs) != 1 || !isValueOf(answer.Kvs[0].Value, key) {
		return fmt.Errorf("a read of %s returned %q", keyName(key), answer.Kvs)
	}
	return nil
}

func (s *etcdSession) read(ctx context.Context, key int) (record, error) {
	answer, err := s.client.Get(ctx, keyName(key))
	if err != nil || len(answer.Kvs) == 0 {
		return record{}, err
	}
	kv := answer.Kvs[0]
	return record{found: true, revision: uint64(kv.ModRevision), version: int(kv.Version), value: kv.Value}, nil
}

// batch is one transaction: etcd has no other way to write many keys at once.
func (s *etcdSession) batch(
	ctx context.Context, keys []int, ids []writeID, outcome func(i int, revision uint64, err error),
) error {
	puts := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		setValue(s.value, ids[i], key)
		puts[i] = clientv3.OpPut(keyName(key), string(s.value))
	}
	answer, err := s.client.Txn(ctx).Then(puts...).Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return errors.New("a transaction without a condition did not succeed")
	}
	for i := range keys {
		outcome(i, uint64(answer.Header.Revision), nil)
	}
	return nil
}
