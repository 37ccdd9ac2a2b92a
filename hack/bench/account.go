package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// account records every write that a cluster received, and so what the cluster must store.
type account struct {
	keys []keyAccount
}

// newAccount returns the account of so many keys without a write.
func newAccount(keys int) account { return account{keys: make([]keyAccount, keys)} }

// keyAccount is the account of one key.
type keyAccount struct {
	mu       sync.Mutex
	acked    int              // writes that were acknowledged
	unknown  map[writeID]bool // writes of unknown outcome
	revision uint64           // the highest acknowledged revision
	last     writeID          // the write with that revision
}

// record is what a cluster stores under a key.
type record struct {
	found    bool
	revision uint64
	version  int // how often the key was written since it was created
	value    []byte
}

func (a *account) acknowledged(key int, id writeID, revision uint64) {
	p := &a.keys[key]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked++
	if revision > p.revision {
		p.revision, p.last = revision, id
	}
}

func (a *account) outcomeUnknown(key int, id writeID) {
	p := &a.keys[key]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unknown == nil {
		p.unknown = map[writeID]bool{}
	}
	p.unknown[id] = true
}

// verify reads every key that was written, and reports what is impossible if no acknowledged write was lost and none
// took effect twice.
func (a *account) verify(ctx context.Context, readers []session) error {
	var wrong faults
	var wg sync.WaitGroup
	for i, reader := range readers {
		wg.Go(func() {
			for key := i; key < len(a.keys); key += len(readers) {
				p := &a.keys[key]
				if p.acked == 0 && len(p.unknown) == 0 {
					continue
				}
				got, err := readPatiently(ctx, reader, key)
				if err == nil {
					err = p.check(key, got)
				}
				if err != nil {
					wrong.add(fmt.Errorf("%s: %w", keyName(key), err))
				}
			}
		})
	}
	wg.Wait()
	return wrong.err()
}

// readPatiently reads a key, and retries during an election.
func readPatiently(ctx context.Context, s session, key int) (record, error) {
	for attempt := 0; ; attempt++ {
		got, err := s.read(ctx, key)
		if err == nil {
			return got, nil
		}
		if kind, _ := classify(err); kind == unexplained || attempt == 100 {
			return got, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return got, err
		}
	}
}

// check compares one key with its account.
func (k *keyAccount) check(key int, got record) error {
	if !got.found {
		if k.acked > 0 {
			return fmt.Errorf("LOST: %d writes were acknowledged, the last as revision %d, but the key does not exist",
				k.acked, k.revision)
		}
		return nil
	}
	id, wroteTo, err := parseValue(got.value)
	switch {
	case err != nil:
		return err
	case wroteTo != key:
		return fmt.Errorf("it has a value that was written to %s", keyName(wroteTo))
	case got.revision < k.revision:
		return fmt.Errorf("LOST: revision %d was acknowledged, but the key is at %d", k.revision, got.revision)
	case got.revision == k.revision && id != k.last:
		return fmt.Errorf("LOST: revision %d was acknowledged to write %x, but contains write %x",
			k.revision, k.last, id)
	case got.revision > k.revision && !k.unknown[id]:
		return fmt.Errorf("write %x is at revision %d, but its outcome was not unknown; %d is the last acknowledged",
			id, got.revision, k.revision)
	case got.version < k.acked:
		return fmt.Errorf("LOST: %d writes were acknowledged, but only %d took effect", k.acked, got.version)
	case got.version > k.acked+len(k.unknown):
		return fmt.Errorf("TWICE: %d writes were acknowledged and %d have an unknown outcome, but %d took effect",
			k.acked, len(k.unknown), got.version)
	}
	return nil
}

// faults collects errors from many goroutines and keeps the first few.
type faults struct {
	mu    sync.Mutex
	first []error
	count int
}

func (f *faults) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.first) < 5 {
		f.first = append(f.first, err)
	}
}

func (f *faults) err() error {
	if f.count == 0 {
		return nil
	}
	return fmt.Errorf("%d keys are wrong or cannot be read, for example: %w", f.count, errors.Join(f.first...))
}
