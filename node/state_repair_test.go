package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/divergence"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/metrics"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/room"
	"github.com/kontiki-dev/kontiki/node/scheduler"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/snapshot/snapshottest"
	"github.com/kontiki-dev/kontiki/node/watchdog"
)

// A verdict on a state is void once a snapshot is installed on the disk, also before that is in the applier: the fact
// would stay on the disk, and the core would request one snapshot after another.
func TestAVerdictOnAStateThatIsReplacedIsVoid(t *testing.T) { // T45
	t.Parallel()
	s := &shared{}
	n := &Node{shared: s, reader: &reader{shared: s, applier: &applier{}}, checkpointer: &checkpointer{}}
	n.applier.index.Store(5)
	n.checkpointer.saved.Store(9)
	l := &loop{node: n}
	l.judgeState(stateInquiry{Node: n, ours: divergence.State{Index: 4}}, divergence.Differs)
	if index := n.differs.Load(); index != 0 {
		t.Errorf("the state that takes its place differs after entry %d", index)
	}
}

// copies is a Storage that only opens snapshots.
type copies struct {
	Storage
	opened func()
}

func (c copies) OpenSnapshot(raft.Index) (snapshot.Source, error) {
	c.opened()
	return snapshottest.NewSource([]byte("state"), raft.LogStart{Index: 5, Term: 1}, nil), nil
}

// A state that differs is not sent, neither from the beginning nor once that is found out while it is sent.
func TestNoChunkIsSentOfAStateThatDiffers(t *testing.T) { // T45
	t.Parallel()
	for _, early := range []bool{true, false} {
		s := &shared{
			inbox: newInbox(1), watchdog: watchdog.New(watchdog.Config{Scheduler: &scheduler.Machine{}}),
			cfg: Options{ElectionTimeout: time.Second},
		}
		s.who.Store(&identity.Identity{ID: 1})
		s.view.Store(&view{leader: 1, term: 3})
		s.memberList.Store(&[]identity.Member{{ID: 1}, {ID: 2}})
		n := &Node{shared: s, checkpointer: &checkpointer{shared: s}}
		n.checkpointer.saved.Store(5)
		opened := 0
		n.cfg.Storage = copies{opened: func() {
			opened++
			n.differs.Store(4)
		}}
		if early {
			n.differs.Store(4)
		}
		if _, err := n.streamSnapshot(2, 3, 1); !errors.Is(err, ErrStateDiffers) || early != (opened == 0) {
			t.Errorf("%v, after %d copies", err, opened)
		}
	}
}

// Nothing that was recorded of a state applies to the one that takes its place.
func TestAReplacedStateForgetsItsDigests(t *testing.T) { // T45
	t.Parallel()
	a := newApplier(&scheduler.Machine{}, nil, &Options{})
	a.applyChunk([]raft.Entry{{Index: 1, Term: 1, Type: raft.EntryCheck}}, nil)
	if !a.stateAt(1).Known {
		t.Fatal("no digest is recorded")
	}
	before := a.replaced.Load()
	store := kv.New()
	store.Apply(kv.Entry{Revision: 1})
	a.replace(store, raft.LogStart{})
	if state := a.stateAt(1); state.Known || a.replaced.Load() == before {
		t.Errorf("the digest is %+v, after %d replacements", state, a.replaced.Load())
	}
}

// The results of a state that differs do not reach the callers who wait for them.
func TestAResultOfAStateThatDiffersIsUnknown(t *testing.T) { // T45, T49
	t.Parallel()
	for _, differs := range []uint64{0, 4} {
		a := newApplier(&scheduler.Machine{}, metrics.New(time.Now, nil), &Options{})
		a.differs.Store(differs)
		c, p := waitingFor(1, 1)
		a.applyRun(committed{
			entries: []raft.Entry{{Index: 1, Term: 1, Command: []byte(`{"op":"incr","key":"n","by":1}`)}},
			waiters: p.take(1, 1),
		})
		if err := c.outcomes[0].Err; errors.Is(err, ErrOutcomeUnknown) != (differs != 0) {
			t.Errorf("differs since %d: %v", differs, err)
		}
	}
}

// The requests of one pass share what is free: the last ones find what is kept for votes.
func TestTheRequestsOfAPassShareTheDisk(t *testing.T) {
	t.Parallel()
	l := &loop{cfg: &Options{Room: room.Limits{Reserve: 4000}}}
	l.keeper.use.Free = 1500
	request := func(command string) *raft.Message { // of 200 bytes of the disk
		return &raft.Message{Entries: []raft.Entry{{Type: raft.EntryCommand, Command: fmt.Appendf(nil, "%-100s", command)}}}
	}
	fit := func(m *raft.Message) (n int) {
		for n < 10 && l.fits(m) {
			n++
		}
		return n
	}
	if n := fit(request(`{"op":"delete","key":"a"}`)); n != 2 {
		t.Errorf("%d deletes fit, and 500 bytes are free beside the reserve for votes", n)
	}
	add := request(`{"op":"put","key":"a"}`)
	each := 200 + roomOf(kv.Growth(add.Entries[0].Command))
	l.keeper.use = room.Use{Free: 2520 + 300 + 3*each - 1, Unsaved: 300}
	if n := fit(add); n != 2 {
		t.Errorf("%d puts fit, and there is room for the checkpoint of almost 3", n)
	}
	if n := fit(request(`{"op":"delete","key":"a"}`)); n == 0 {
		t.Error("no delete fits where a put does not")
	}
}

// What is applied again behind the snapshot that repairs a state is due for a checkpoint, which nothing else may follow
// for a long time.
func TestWhatARepairAppliesAgainIsSavedInACheckpoint(t *testing.T) { // T32, T44
	t.Parallel()
	a := newApplier(&scheduler.Machine{}, nil, &Options{})
	a.readLog = func(from raft.Index, _, _ int) (raft.Log, error) {
		return raft.Log{Entries: []raft.Entry{{Index: from, Term: 1, Command: []byte(`{"op":"incr","key":"n","by":1}`)}}}, nil
	}
	store := kv.New()
	store.Apply(kv.Entry{Revision: 1})
	if !a.restore(&committed{restored: store, replay: 3}) {
		t.Fatal("the state is not replaced")
	}
	c := checkpointer{shared: &shared{}, applier: a}
	if due := c.changes(); due.Entries != 2 || due.Since.IsZero() || a.index.Load() != 3 {
		t.Errorf("of the state up to entry %d, a checkpoint is due of %+v", a.index.Load(), due)
	}
	select {
	case <-a.changed:
	default:
		t.Error("the checkpointer is not woken")
	}
}

// A scrub that finds damage right after a snapshot is installed has nothing written before that is in the applier: the
// state there is older than the file. Nor is the file copied.
func TestARewriteWaitsForAnInstalledState(t *testing.T) { // T35
	t.Parallel()
	c := newCheckpointer(&shared{sched: &scheduler.Machine{}}, &applier{}, newDiskSpace().now)
	c.applier.index.Store(5)
	c.saved.Store(9)
	c.damaged.Store(true)
	if err := c.save(); err != nil || !c.damaged.Load() {
		t.Errorf("%v, and the damage is known: %v", err, c.damaged.Load())
	}
	if err := c.reach(9); !errors.Is(err, ErrNotReady) {
		t.Errorf("a copy: %v", err)
	}
}
