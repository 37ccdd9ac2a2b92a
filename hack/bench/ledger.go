package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ledger knows every write that a cluster was asked for, and so what the cluster must hold.
type ledger struct {
	pages [keyCount]page
}

// page is what the ledger knows of one key.
type page struct {
	mu       sync.Mutex
	acked    int              // writes that were acknowledged
	unknown  map[writeID]bool // writes of which nobody knows whether they took place
	revision uint64           // the highest that was acknowledged
	last     writeID          // the write that got it
}

// record is what a cluster holds under a key.
type record struct {
	found    bool
	revision uint64
	version  int // how often the key was written since it came to be
	value    []byte
}

func (l *ledger) acknowledged(key int, id writeID, revision uint64) {
	p := &l.pages[key]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked++
	if revision > p.revision {
		p.revision, p.last = revision, id
	}
}

func (l *ledger) outcomeUnknown(key int, id writeID) {
	p := &l.pages[key]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unknown == nil {
		p.unknown = map[writeID]bool{}
	}
	p.unknown[id] = true
}

// verify reads every key that was written, and reports what cannot be true if no acknowledged write was lost and
// none was made twice.
func (l *ledger) verify(ctx context.Context, readers []session) error {
	var wrong faults
	var wg sync.WaitGroup
	for i, reader := range readers {
		wg.Go(func() {
			for key := i; key < keyCount; key += len(readers) {
				p := &l.pages[key]
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

// readPatiently reads a key, again if there happens to be an election: what counts is what the cluster holds.
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

// check compares one key with what the ledger knows of it.
func (p *page) check(key int, got record) error {
	if !got.found {
		if p.acked > 0 {
			return fmt.Errorf("LOST: %d writes were acknowledged, the last as revision %d, but there is no such key",
				p.acked, p.revision)
		}
		return nil
	}
	id, wroteTo, err := parseValue(got.value)
	switch {
	case err != nil:
		return err
	case wroteTo != key:
		return fmt.Errorf("it holds a value that was written to %s", keyName(wroteTo))
	case got.revision < p.revision:
		return fmt.Errorf("LOST: revision %d was acknowledged, but the key is at %d", p.revision, got.revision)
	case got.revision == p.revision && id != p.last:
		return fmt.Errorf("LOST: revision %d was acknowledged to write %x, but holds write %x", p.revision, p.last, id)
	case got.revision > p.revision && !p.unknown[id]:
		return fmt.Errorf("write %x stands at revision %d, but was never in doubt; %d is the last acknowledged",
			id, got.revision, p.revision)
	case got.version < p.acked:
		return fmt.Errorf("LOST: %d writes were acknowledged, but only %d took place", p.acked, got.version)
	case got.version > p.acked+len(p.unknown):
		return fmt.Errorf("TWICE: %d writes were acknowledged and %d are in doubt, but %d took place",
			p.acked, len(p.unknown), got.version)
	}
	return nil
}

// faults gathers errors from many goroutines and keeps the first few.
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
