package node

import (
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/compaction"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
)

// What a checkpoint that is not complete has written is no longer free, so it does not count twice; what is applied
// meanwhile counts.
func TestWhatIsBeingWrittenCountsOnce(t *testing.T) {
	t.Parallel()
	first, both := kv.Volume{Ended: 1000}, kv.Volume{Ended: 1500}
	var s toSave
	wrote := int64(0) // by the loop
	want := func(free, takes int64, when string) {
		t.Helper()
		if got, _ := s.unsaved(both, kv.Stats{}).room(snapshot.Files{}, kv.Volume{}, freeSpace{free, wrote}); got != takes {
			t.Errorf("%s, with %d bytes free: a checkpoint takes %d, want %d", when, free, got, takes)
		}
	}
	want(10_000, 1500, "before")
	s.take(first, freeSpace{10_000, wrote})
	for free, takes := range map[int64]int64{10_000: 1500, 9400: 900, 9000: 500, 8000: 500, 11_000: 1500} {
		want(free, takes, "while it is written")
	}
	wrote = 500
	for free, takes := range map[int64]int64{9500: 1500, 8900: 900, 9900: 1500} {
		want(free, takes, "while it is written, and the log grew by 500 bytes")
	}
	s.written(false)
	want(9400, 1500, "when it failed")
	s.take(first, freeSpace{10_000, wrote})
	s.written(true)
	want(9000, 500, "when it is saved")
}

// While the checkpoint on the disk is damaged, the next one has everything, and is a new file beside it.
func TestTheRoomOfAWholeCheckpoint(t *testing.T) {
	t.Parallel()
	var s toSave
	files := snapshot.Files{State: 10_000, Owed: 50, Reusable: 2000, Spare: 2000}
	stats := kv.Stats{LiveBytes: 700, HistoryBytes: 300}
	if got := s.unsaved(kv.Volume{}, stats).wholeRoom(files, kv.Volume{Made: 100}); got != 2*(700+300+100)+50 {
		t.Errorf("it takes %d bytes", got)
	}
	few, _ := snapshot.Files{}.Room(kv.Volume{Records: 5, Made: 1000})
	stats.Keys = 5
	if got := s.unsaved(kv.Volume{}, stats).wholeRoom(snapshot.Files{}, kv.Volume{}); got != few {
		t.Errorf("of five keys, it takes %d bytes, want %d", got, few)
	}
}

// What a node uses has the entries in flight as records, what the last checkpoints owe, and everything while the
// checkpoint is damaged.
func TestWhatANodeUses(t *testing.T) {
	t.Parallel()
	files := snapshot.Files{State: 1 << 20, Owed: 50, Reusable: 200}
	a := newApplier(&scheduler.Machine{}, nil, &Options{})
	a.applyChunk([]raft.Entry{{Index: 1, Term: 1, Command: []byte(`{"op":"put","key":"a","value":"b"}`)}}, nil)
	n := &Node{reader: &reader{applier: a}, checkpointer: &checkpointer{}, space: newDiskSpace()}
	n.space.measured.Store(&measurement{disk: api.Disk{FreeBytes: 5000}, files: files})
	l := &loop{node: n}
	l.keeper.inFlight.Add(2, 3, 600)
	inFlight := kv.Volume{Records: 2, Made: 600}
	for _, damaged := range []bool{false, true} {
		n.checkpointer.damaged.Store(damaged)
		l.takeStock()
		takes, _ := a.unsavedNow.Load().room(files, inFlight, freeSpace{bytes: 5000})
		if damaged {
			takes = a.unsavedNow.Load().wholeRoom(files, inFlight)
		}
		if use := l.keeper.use; use.Unsaved != takes || use.Owed != 50 || use.Free != 5000 {
			t.Errorf("damaged: %v; it uses %+v, and a checkpoint takes %d", damaged, use, takes)
		}
	}
}

// Of a state that another one replaces, nothing is to be saved, and what was saved of it is none of the other one.
func TestAReplacedStateForgetsWhatWasToBeSaved(t *testing.T) {
	t.Parallel()
	for _, saved := range []bool{false, true} {
		a := newApplier(&scheduler.Machine{}, nil, &Options{})
		put := []raft.Entry{{Index: 1, Term: 1, Command: []byte(`{"op":"put","key":"a","value":"b"}`)}}
		a.applyChunk(put, nil)
		if a.unsavedNow.Load().all == (kv.Volume{}) {
			t.Fatal("nothing is to be saved before")
		}
		if saved {
			a.toSave.take(a.store.Volume(), freeSpace{})
			a.toSave.written(true)
		}
		store := kv.New()
		store.Apply(kv.Entry{Revision: 1})
		a.replace(store, raft.LogStart{})
		if u := a.unsavedNow.Load(); u.all != (kv.Volume{}) || a.toSave != (toSave{}) {
			t.Errorf("saved before: %v; %+v is to be saved, and %+v is kept", saved, u.all, a.toSave)
		}
		put[0].Index = 2
		a.applyChunk(put, nil)
		if u := a.unsavedNow.Load(); u.all != a.store.Volume() || u.all.Made == 0 {
			t.Errorf("saved before: %v; of a new key, %+v is to be saved", saved, u.all)
		}
	}
}

// A checkpoint that fails leaves its changes to the next one, with those that came meanwhile.
func TestTheChangesOfAFailedCheckpointStay(t *testing.T) {
	t.Parallel()
	since := time.Unix(1000, 0)
	s := toSave{changes: compaction.Changes{Entries: 3, Bytes: 30, Since: since}}
	s.take(kv.Volume{}, freeSpace{})
	if s.changes != (compaction.Changes{}) {
		t.Errorf("%+v are left beside those that are written", s.changes)
	}
	s.changes = compaction.Changes{Entries: 2, Bytes: 20, Since: since.Add(time.Hour)}
	s.written(false)
	if want := (compaction.Changes{Entries: 5, Bytes: 50, Since: since}); s.changes != want {
		t.Errorf("%+v are to be saved, want %+v", s.changes, want)
	}
	s.take(kv.Volume{}, freeSpace{})
	s.written(true)
	if s.changes != (compaction.Changes{}) {
		t.Errorf("%+v are to be saved, and all is", s.changes)
	}
}
