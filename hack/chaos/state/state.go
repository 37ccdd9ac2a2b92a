// Package state makes the state of a node wrong while the node is stopped.
package state

import (
	"errors"
	"fmt"

	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// Spoil gives a key in the state.db of a data directory another value, as a bug of the state machine would have: the
// file is sound, and every checksum in it is right, so that only a comparison with other nodes shows it. No process may
// use the directory.
func Spoil(dir, key, value string) (err error) {
	held, err := storage.VerifyDirectory(dir)
	if err != nil {
		return err
	}
	if held.State == nil || len(held.Damage) > 0 {
		return fmt.Errorf("%s has no sound checkpoint: %w", dir, errors.Join(held.Damage...))
	}
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	store, err := d.LoadState()
	if err != nil {
		return err
	}
	delta := store.Delta(0)
	if err := replace(delta, key, value); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return d.SaveState(snapshot.Checkpoint{Delta: delta, Seats: held.State.Position.Seats, Facts: held.State.Facts})
}

// replace gives the record of a key in a delta of a whole store another value.
func replace(delta *kv.Delta, key, value string) error {
	for i := range delta.Changes {
		c := &delta.Changes[i]
		if c.Key != key || c.Record == nil {
			continue
		}
		wrong := *c.Record
		wrong.Value = []byte(value)
		delta.Meta.Sum += wrong.Sum() - c.Record.Sum()
		c.Record = &wrong
		return nil
	}
	return fmt.Errorf("the checkpoint does not have the key %q", key)
}
