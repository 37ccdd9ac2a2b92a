package recovery

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/entryjson"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/snapshot"
	"github.com/kontiki-dev/kontiki/node/storage"
)

var members = []identity.Member{
	{ID: 1, Address: "http://h1:7080"}, {ID: 2, Address: "http://h2:7080"}, {ID: 3, Address: "http://h3:7080"},
}

// stopped describes the data directory of a node that is stopped.
type stopped struct {
	id      raft.NodeID
	terms   []raft.Term // of the entries: entry i sets key i
	commit  raft.Index
	state   int                // entries in the checkpoint; 0: there is none
	config  raft.Configuration // of the last entry but one, if it is not zero
	cluster string             // empty: "old"
	empty   bool               // it has no identity
	young   bool               // the cluster is not founded
	second  bool               // the cluster was founded a second time
	other   bool               // the disk is not the one with which the member founded the cluster
	facts   map[string]string
}

func entryAt(i int, s *stopped) raft.Entry {
	e := raft.Entry{
		Index: raft.Index(i) + 1, Term: s.terms[i], Timestamp: 1_700_000_000_000_000 + int64(i),
		Command: fmt.Appendf(nil, `{"op":"put","key":"key/%02d","value":"of term %d"}`, i+1, s.terms[i]),
	}
	if i == len(s.terms)-2 && !s.config.IsZero() {
		e.Command = entryjson.Encoding().Configuration(s.config)
	}
	e.Type = entryjson.TypeOf(e.Command)
	return e
}

// make makes the directory.
func (s stopped) make(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.cluster == "" {
		s.cluster = "old"
	}
	assigned := identity.Assignment{Identity: identity.Identity{ID: s.id, ClusterID: s.cluster}, Members: members}
	var founders []raft.Seat
	disk := func(id raft.NodeID, is bool) raft.Incarnation {
		if is {
			return raft.Incarnation(id) * 13
		}
		return raft.Incarnation(id) * 11
	}
	for _, m := range members {
		founders = append(founders, raft.Seat{Member: m.ID, Incarnation: disk(m.ID, s.second)})
	}
	in := &identity.Seating{Incarnation: disk(s.id, s.second != s.other), Founders: founders}
	if s.young {
		in = nil
	}
	if !s.empty {
		facts, err := assigned.Facts(in)
		if err = errors.Join(err, d.SaveFacts(facts)); err != nil {
			t.Fatal(err)
		}
	}
	var entries []raft.Entry
	store := kv.New()
	for i := range s.terms {
		entries = append(entries, entryAt(i, &s))
		if e := entries[i]; i < s.state {
			store.Apply(kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command})
		}
	}
	if len(entries) > 0 {
		last := entries[len(entries)-1].Term
		err = d.Save(raft.HardState{Term: last + 3, Vote: 2, Commit: s.commit}, entries)
	}
	if s.state > 0 {
		shared, failed := assigned.ClusterFacts(in)
		err = errors.Join(err, failed, d.SaveState(snapshot.Checkpoint{Delta: store.Delta(0), Facts: shared}))
	}
	if err = errors.Join(err, d.SaveFacts(s.facts), d.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func options(t *testing.T, dirs ...string) Options {
	t.Helper()
	return Options{
		Dirs: dirs, Into: filepath.Join(t.TempDir(), "new"), Address: "http://new:7080", Now: 1_800_000_000_000_000,
		Rand: rand.New(rand.NewPCG(1, 2)),
	}
}

// recovered recovers, and returns the plan and what the new directory holds.
func recovered(t *testing.T, o Options) (Plan, *storage.Verification) {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Write(), r.Close()); err != nil {
		t.Fatal(err)
	}
	v, err := storage.VerifyDirectory(o.Into)
	if err != nil || len(v.Damage) > 0 {
		t.Fatal(v, err)
	}
	return r.Plan(), v
}

// The leader of term 2 acknowledged entry 6 with the second node, and is lost. The third node has more entries, of an
// older term. The log of the second is continued, with the entries that it did not record as committed.
func TestTheLogThatTheOthersWouldElectIsContinued(t *testing.T) {
	t.Parallel()
	longest := stopped{id: 2, terms: []raft.Term{1, 1, 1, 1, 2, 2}, commit: 3, state: 2}.make(t)
	other := stopped{id: 3, terms: []raft.Term{1, 1, 1, 1, 1, 1, 1}, commit: 4}.make(t)
	for _, dirs := range [][]string{{longest}, {longest, other}, {other, longest}} {
		o := options(t, dirs...)
		plan, v := recovered(t, o)
		if plan.Survivor.Dir != longest || plan.NodeID != 4 || plan.OldClusterID != "old" || plan.LastIndex != 7 ||
			plan.LastEntryMs != 1_700_000_000_000 || plan.NothingLost != (len(dirs) == 2) {
			t.Errorf("the plan is %+v", plan)
		}
		if known := uint64(2 + len(dirs)); plan.KnownCommit != known || len(plan.Missing) != 3-len(dirs) {
			t.Errorf("committed up to %d, want %d; missing %v", plan.KnownCommit, known, plan.Missing)
		}
		if v.Log.Last != 7 || v.Log.State != (raft.HardState{Term: 6, Vote: 4, Commit: 7}) || v.State.Keys != 2 {
			t.Errorf("the log is %+v", v.Log)
		}
		wantOnly(t, v, plan)
		wantKeys(t, o.Into, `"of term 1"`, 4, `"of term 2"`, 2)
	}
}

// wantOnly checks the configuration at the end of the new log, and the identity.
func wantOnly(t *testing.T, v *storage.Verification, plan Plan) {
	t.Helper()
	who, err := identity.Read(v.Log.Facts)
	if err != nil || who.ClusterID != plan.ClusterID || uint64(who.ID) != plan.NodeID || !identity.HoldsSeat(v.Log.Facts) {
		t.Errorf("the new node is %+v, %v", who, err)
	}
	cfg := v.Log.End.Configuration
	if len(cfg.Members) != 1 || cfg.Members[0].Address != plan.Address || cfg.LastID != raft.NodeID(plan.NodeID) ||
		uint64(cfg.Members[0].ID) != plan.NodeID || cfg.Index != v.Log.Last {
		t.Errorf("the configuration is %+v", cfg)
	}
	if v.State != nil && v.State.Facts[identity.FactClusterID] != plan.ClusterID {
		t.Errorf("the checkpoint is of cluster %s", v.State.Facts[identity.FactClusterID])
	}
}

// wantKeys starts from a directory as a node does, and counts the values.
func wantKeys(t *testing.T, dir string, pairs ...any) {
	t.Helper()
	d, err := storage.Open(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := d.LoadState()
	if err != nil {
		t.Fatal(err)
	}
	_, log, err := d.LoadLog(raft.Index(store.Applied()), 0)
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	for _, e := range log.Entries {
		entry := kv.Entry{Revision: uint64(e.Index), Timestamp: e.Timestamp, Command: e.Command}
		if e.Type != raft.EntryCommand {
			entry.Command = nil
		}
		store.Apply(entry)
	}
	count := map[string]int{}
	for i := range int(log.Last()) {
		if record, is := store.Get(fmt.Sprintf("key/%02d", i+1)); is {
			count[string(record.Value)]++
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if text := strings.Trim(fmt.Sprint(pairs[i]), `"`); count[text] != pairs[i+1] {
			t.Errorf("%d keys are %s, want %v", count[text], text, pairs[i+1])
		}
	}
}

// A cluster whose members changed before: the configuration of the log counts, and no id is used again.
func TestTheMembersOfTheLogCount(t *testing.T) { // T28, T30
	t.Parallel()
	cfg, err := raft.NewConfiguration([]raft.Member{
		{ID: 2, Address: "http://h2:7080"},
		{ID: 5, Address: "http://h5:7080"},
		{ID: 6, Address: "http://h6:7080", Role: raft.Learner},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.LastID = 8
	survivor := stopped{id: 2, terms: []raft.Term{1, 1, 4, 4}, commit: 4, config: cfg}.make(t)
	o := options(t, survivor)
	plan, v := recovered(t, o)
	if plan.NodeID != 9 || !slices.Equal(plan.Missing, []uint64{5, 6}) || plan.NothingLost {
		t.Errorf("the plan is %+v", plan)
	}
	wantOnly(t, v, plan)
	again := options(t, o.Into)
	if plan, _ = recovered(t, again); plan.NodeID != 10 || !strings.HasPrefix(plan.ClusterID, "recovered-2-") ||
		!plan.NothingLost {
		t.Errorf("the plan of a second recovery is %+v", plan)
	}
}

// Only the seated disks of a majority have everything that was acknowledged: of both sets of voters, if the
// configuration is joint.
func TestWhichDisksAreAMajority(t *testing.T) { // T24, T28
	t.Parallel()
	seated, terms := identity.SeatedFacts(), []raft.Term{1, 1, 1}
	joint := raft.Configuration{Members: []raft.Member{
		{ID: 1, Address: "http://h1:7080"},
		{ID: 2, Address: "http://h2:7080", Role: raft.Leaving},
		{ID: 3, Address: "http://h3:7080", Role: raft.Leaving},
		{ID: 4, Address: "http://h4:7080"},
	}, Outgoing: []raft.NodeID{1, 2, 3}, LastID: 4}
	four := raft.Configuration{Members: slices.Clone(joint.Members), LastID: 4}
	for i := range four.Members {
		four.Members[i].Role = raft.Voter
	}
	one := stopped{id: 1, terms: terms}
	added := stopped{id: 4, terms: terms, facts: seated, other: true}
	with := func(s stopped, cfg raft.Configuration) stopped { s.config = cfg; return s }
	for name, c := range map[string]struct {
		disks   []stopped
		missing []uint64
		all     bool
	}{
		"two of three":        {[]stopped{one, {id: 2, terms: terms}}, []uint64{3}, true},
		"one without a seat":  {[]stopped{one, {id: 2, terms: terms, other: true}}, []uint64{2, 3}, false},
		"one with a new seat": {[]stopped{one, {id: 2, terms: terms, other: true, facts: seated}}, []uint64{3}, true},
		"both of one member": {
			[]stopped{one, {id: 2, terms: terms}, {id: 2, terms: terms, other: true}}, []uint64{3}, true,
		},
		"two of four": {[]stopped{with(one, four), with(added, four)}, []uint64{2, 3}, false},
		"the incoming voters of a joint configuration": {
			[]stopped{with(one, joint), with(added, joint)}, []uint64{2, 3}, false,
		},
		"the outgoing ones": {
			[]stopped{with(one, joint), with(stopped{id: 2, terms: terms}, joint)}, []uint64{3, 4}, false,
		},
		"both": {
			[]stopped{with(one, joint), with(stopped{id: 2, terms: terms}, joint), with(added, joint)}, []uint64{3}, true,
		},
	} {
		var dirs []string
		for _, s := range c.disks {
			dirs = append(dirs, s.make(t))
		}
		r, err := Open(options(t, dirs...))
		if err != nil {
			t.Fatal(name, err)
		}
		if plan := r.Plan(); !slices.Equal(plan.Missing, c.missing) || plan.NothingLost != c.all {
			t.Errorf("%s: %v are missing, nothing is lost: %t; want %v and %t", name, plan.Missing, plan.NothingLost,
				c.missing, c.all)
		}
		if err := r.Close(); err != nil {
			t.Error(name, err)
		}
	}
}

// Of two logs that end alike, the one whose state is that of the majority is continued.
func TestADirectoryWithASoundStateIsPreferred(t *testing.T) { // T45, T54
	t.Parallel()
	sound := stopped{id: 1, terms: []raft.Term{1, 1}}.make(t)
	differs := stopped{
		id: 2, terms: []raft.Term{1, 1}, commit: 2, facts: map[string]string{snapshot.FactStateDiffers: "1"},
	}.make(t)
	for _, dirs := range [][]string{{sound, differs}, {differs, sound}} {
		if plan, _ := recovered(t, options(t, dirs...)); plan.Survivor.Dir != sound {
			t.Errorf("the survivor is %+v", plan.Survivor)
		}
	}
}

// What is applied was committed, whatever the log recorded. The time of the new entry does not go back, although the
// clock of this machine did.
func TestTheStateHasTheCommitIndexAndTheTime(t *testing.T) {
	t.Parallel()
	for state := range 4 {
		o := options(t, stopped{id: 1, terms: []raft.Term{1, 1, 1}, commit: 1, state: state}.make(t))
		o.Now = 1
		plan, v := recovered(t, o)
		if want := uint64(max(1, state)); plan.KnownCommit != want {
			t.Errorf("with a checkpoint of %d entries: committed up to %d, want %d", state, plan.KnownCommit, want)
		}
		const last = 1_700_000_000_000_002
		if plan.LastEntryMs != last/1000 || v.Log.Time != last {
			t.Errorf("with a checkpoint of %d entries: the last entry is of %d ms, and the new one of %d us", state,
				plan.LastEntryMs, v.Log.Time)
		}
	}
}

func TestWhatCannotBeRecoveredIsRefusedAndLeavesNothing(t *testing.T) { // T54
	t.Parallel()
	good := stopped{id: 1, terms: []raft.Term{1, 1, 1}, commit: 3}
	damaged := stopped{id: 2, terms: []raft.Term{1, 1, 1, 1}, commit: 3}.make(t)
	raftDB := filepath.Join(damaged, "raft.db")
	content, err := os.ReadFile(raftDB)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(content), "of term 1")
	content[at] ^= 1
	if err := os.WriteFile(raftDB, content, 0o600); err != nil {
		t.Fatal(err)
	}
	running := good.make(t)
	d, err := storage.Open(running, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	differs := stopped{id: 3, terms: []raft.Term{1, 1, 1, 1, 1}, facts: map[string]string{snapshot.FactStateDiffers: "4"}}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := good.make(t)
	for name, c := range map[string]struct {
		dirs []string
		into string
		kind error
		text string
	}{
		"a damaged one":       {[]string{damaged}, "", ErrDamaged, "give the data directory of another member"},
		"one more is damaged": {[]string{one, damaged}, "", ErrDamaged, damaged},
		"a running node":      {[]string{running}, "", storage.ErrLocked, "stop the other process"},
		"another state":       {[]string{one, differs.make(t)}, "", ErrDamaged, "the check at entry 4"},
		"two clusters":        {[]string{one, stopped{id: 2, cluster: "b"}.make(t)}, "", ErrMixed, "b"},
		"a replaced disk": {
			[]string{one, stopped{id: 2, terms: []raft.Term{2, 2}, commit: 1}.make(t)}, "", ErrMixed, "entry 3 was committed",
		},
		"founded twice":  {[]string{one, stopped{id: 2, second: true}.make(t)}, "", ErrMixed, "founded twice"},
		"never founded":  {[]string{stopped{id: 1, young: true}.make(t)}, "", ErrOptions, "never founded"},
		"never a member": {[]string{stopped{id: 1, empty: true}.make(t)}, "", ErrOptions, "never a member"},
		"one twice":      {[]string{one, filepath.Join(one, ".")}, "", ErrOptions, "are the same"},
		"no data":        {[]string{t.TempDir()}, "", storage.ErrNotDatabase, "raft.db"},
		"none":           {nil, "", ErrOptions, "none"},
		"a full new one": {[]string{one}, full, storage.ErrNotEmpty, "mine"},
		"into the old":   {[]string{one}, one, storage.ErrNotEmpty, "not empty"},
	} {
		o := options(t, c.dirs...)
		if c.into != "" {
			o.Into = c.into
		}
		r, err := Open(o)
		if err == nil {
			err = errors.Join(r.Write(), r.Close())
		}
		if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.kind, c.text)
		}
		if left, err := os.ReadDir(filepath.Dir(o.Into)); c.into == "" && (err != nil || len(left) > 0) {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
	if _, v := recovered(t, options(t, one)); v.Log.Last != 4 {
		t.Errorf("a directory that was refused before has %+v", v.Log)
	}
}

func TestTheAddressIsChecked(t *testing.T) {
	t.Parallel()
	o := options(t, stopped{id: 1, terms: []raft.Term{1}}.make(t))
	for _, address := range []string{"", "h1", "ftp://h1:7080", "http://h1:7080/path"} {
		o.Address = address
		if _, err := Open(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
