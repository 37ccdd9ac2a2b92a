package state_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kontiki-dev/kontiki/hack/chaos/state"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

// filled makes a data directory with a log of five puts and a checkpoint of them.
func filled(t *testing.T) (dir string, store *kv.Store) {
	t.Helper()
	dir, store = t.TempDir(), kv.New()
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var log []raft.Entry
	for i := range uint64(5) {
		put := kv.Put{Key: fmt.Appendf(nil, "key-%d", i%3), Value: []byte("right")}
		entry := raft.Entry{Index: raft.Index(i + 1), Term: 1, Timestamp: 1e6, Command: put.AppendJSON(nil)}
		log = append(log, entry)
		store.Apply(kv.Entry{Revision: i + 1, Timestamp: entry.Timestamp, Command: entry.Command})
	}
	err = errors.Join(
		d.Save(raft.HardState{Term: 1, Commit: 5}, log),
		d.SaveState(snapshot.Checkpoint{
			Delta: store.Delta(0), Seats: []raft.Seat{{Member: 1, Incarnation: 7}},
			Facts: map[string]string{"cluster_id": "c-1"},
		}),
		d.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir, store
}

// No check of the files finds that the value of one key is wrong. All else is as it was.
func TestASpoiledStateIsSound(t *testing.T) {
	t.Parallel()
	dir, right := filled(t)
	if err := state.Spoil(dir, "key-2", "wrong"); err != nil {
		t.Fatal(err)
	}
	v, err := storage.VerifyDirectory(dir)
	if err != nil || len(v.Damage) > 0 || v.State == nil || v.State.Position.Index != 5 ||
		len(v.State.Position.Seats) != 1 || v.State.Facts["cluster_id"] != "c-1" || v.Log.Last != 5 {
		t.Fatalf("%+v, %v", v, err)
	}
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := d.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"key-0": "right", "key-1": "right", "key-2": "wrong"} {
		if record, _ := store.Get(key); string(record.Value) != want {
			t.Errorf("%s is %q, want %q", key, record.Value, want)
		}
	}
	if store.Digest() == right.Digest() {
		t.Error("the digest of the wrong state is that of the right one")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := state.Spoil(dir, "key-9", "wrong"); err == nil {
		t.Error("a key that is not there was changed")
	}
}
