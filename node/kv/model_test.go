package kv

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// model is the simplest store that keeps history: the records after each revision, and never less.
type model struct {
	states    []map[string]Record // by revision
	deletions []map[string]Record // of each revision, with what a tombstone has
	entries   []entry
	compacted uint64
	time      int64
}

func newModel() *model {
	return &model{states: []map[string]Record{{}}, deletions: []map[string]Record{{}}, entries: []entry{{}}}
}

// entry returns the entry of a revision.
func (m *model) entry(revision uint64) entry { return m.entries[revision] }

func (m *model) applied() uint64 { return uint64(len(m.states) - 1) }

// edit is what an entry does to a key.
type edit struct {
	key, value, contentType string
	deletes                 bool
}

// entry is an entry of a random log: edits of different keys, or a compaction.
type entry struct {
	timestamp int64
	edits     []edit
	compact   uint64
}

func (m *model) apply(e entry) {
	state, deleted := maps.Clone(m.states[m.applied()]), map[string]Record{}
	revision := uint64(len(m.states))
	m.time = max(m.time, e.timestamp)
	m.compacted = max(m.compacted, e.compact)
	position := 0
	for _, x := range e.edits {
		old, had := state[x.key]
		r := Record{Key: x.key, ModRevision: revision, Modified: m.time, Position: position}
		switch {
		case x.deletes && !had:
			continue
		case x.deletes:
			delete(state, x.key)
			deleted[x.key] = r
		default:
			r.Value, r.ContentType, r.CreateRevision, r.Version = []byte(x.value), x.contentType, revision, 1
			if had {
				r.CreateRevision, r.Version = old.CreateRevision, old.Version+1
			}
			state[x.key] = r
		}
		position++
	}
	m.entries = append(m.entries, e)
	m.states, m.deletions = append(m.states, state), append(m.deletions, deleted)
}

// history returns all changes of a key, oldest first.
func (m *model) history(key string) (list []Change) {
	for revision := range m.states {
		if r, ok := m.states[revision][key]; ok && r.ModRevision == uint64(revision) {
			list = append(list, Change{Revision: r.ModRevision, Record: r})
		} else if r, ok := m.deletions[revision][key]; ok {
			list = append(list, Change{Revision: r.ModRevision, Record: r, Deleted: true})
		}
	}
	return list
}

// kept returns the changes of a key that can still be seen, oldest first: those after the compaction, and the one that
// made the value there.
func (m *model) kept(key string) []Change {
	list := m.history(key)
	for len(list) > 1 && list[1].Revision <= m.compacted {
		list = list[1:]
	}
	if len(list) > 0 && list[0].Deleted && list[0].Revision <= m.compacted {
		list = list[1:]
	}
	return list
}

// applyEntry applies an entry of a random log, with a small budget for what it cuts.
func (s *Store) applyEntry(revision uint64, e entry) {
	if e.compact > 0 {
		e.edits = nil
	}
	s.advance(&Entry{Revision: revision, Timestamp: e.timestamp})
	var changes []change
	for _, x := range e.edits {
		it, current := s.find([]byte(x.key))
		switch {
		case !x.deletes:
			changes = append(changes, write([]byte(x.key), it, []byte(x.value), x.contentType))
		case current != nil:
			changes = append(changes, removal(it))
		}
	}
	if e.compact > s.compacted {
		changes = append(changes, change{kind: compacted, revision: e.compact})
	}
	s.carryOut(revision, 0, changes)
	s.cutOff(5)
}

var randomKeys = []string{
	"a", "a/", "a/b", "a/b/c", "a/b/d", "a/c", "a//", "b", "a0", "a\x00", "\x00",
	"é/ü", "é", "\U0010ffff", "z/1", "z/2", "zz",
}

// randomEntry returns the entry of a revision.
func randomEntry(rng *rand.Rand, revision uint64, compacted uint64) entry {
	e := entry{timestamp: int64(revision)*1000 + rng.Int64N(3000)}
	switch {
	case rng.IntN(12) == 0:
		e.compact = compacted + rng.Uint64N(revision-compacted)
		return e
	case rng.IntN(12) == 0:
		return e // a no-op
	}
	keys := slices.Clone(randomKeys)
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys[:1+rng.IntN(1+rng.IntN(len(keys)))] {
		e.edits = append(e.edits, edit{
			key: key, value: strings.Repeat("v", rng.IntN(40)), deletes: rng.IntN(3) == 0,
			contentType: []string{TypeBytes, TypeJSON, "text/plain"}[rng.IntN(3)],
		})
	}
	return e
}

// checkReads compares every read of a store with its model.
func checkReads(t *testing.T, s *Store, m *model) {
	t.Helper()
	if s.Applied() != m.applied() || s.Compacted() != m.compacted || s.Len() != len(m.states[m.applied()]) {
		t.Fatalf("applied %d, compacted %d, %d keys; want %d, %d, %d",
			s.Applied(), s.Compacted(), s.Len(), m.applied(), m.compacted, len(m.states[m.applied()]))
	}
	if m.compacted > 1 {
		var compacted *CompactedError
		if _, _, err := s.GetAt("a", m.compacted-1); !errors.As(err, &compacted) || compacted.Oldest != m.compacted {
			t.Fatalf("a read before %d: %v", m.compacted, err)
		}
	}
	var future *FutureError
	if _, err := s.Scan(Query{Revision: m.applied() + 1}); !errors.As(err, &future) || future.Applied != m.applied() {
		t.Fatalf("a read after %d: %v", m.applied(), err)
	}
	for revision := max(m.compacted, 1); revision <= m.applied(); revision++ {
		checkState(t, s, revision, m.states[revision])
	}
	for _, key := range randomKeys {
		checkHistory(t, s, m, key)
	}
}

// checkState compares what a store shows of a revision with the records that there should be.
func checkState(t *testing.T, s *Store, revision uint64, want map[string]Record) {
	t.Helper()
	for _, key := range randomKeys {
		got, ok, err := s.GetAt(key, revision)
		if r, has := want[key]; err != nil || ok != has || !reflect.DeepEqual(got, r) {
			t.Fatalf("%q at %d: %+v, %t, %v; want %+v, %t", key, revision, got, ok, err, r, has)
		}
	}
	page, err := s.Scan(Query{Revision: revision})
	if err != nil || page.Next != "" || page.Revision != revision || len(page.Items) != len(want) {
		t.Fatalf("scan at %d: %+v, %v; want %+v", revision, page, err, want)
	}
	for i, item := range page.Items {
		if i > 0 && item.Key <= page.Items[i-1].Key || !reflect.DeepEqual(item.Record, want[item.Key]) {
			t.Fatalf("scan at %d: item %d is %+v", revision, i, item)
		}
	}
}

func checkHistory(t *testing.T, s *Store, m *model, key string) {
	t.Helper()
	want := m.kept(key)
	slices.Reverse(want)
	if got := s.History(key, 0, 0); !slices.EqualFunc(got, want, equalChange) {
		t.Fatalf("history of %q, compacted to %d:\n got %+v\nwant %+v", key, m.compacted, got, want)
	}
	if len(want) == 0 {
		return
	}
	before := want[len(want)/2].Revision
	older := want[len(want)/2+1:]
	if got := s.History(key, before, 2); !slices.EqualFunc(got, older[:min(len(older), 2)], equalChange) {
		t.Fatalf("history of %q before %d, compacted to %d: got %+v of %+v", key, before, m.compacted, got, want)
	}
}

func equalChange(a, b Change) bool { return reflect.DeepEqual(a, b) }

// checkHeld compares what a store holds and counts with what must be left once everything is cut.
func checkHeld(t *testing.T, s *Store, m *model) {
	t.Helper()
	left := s.changes.first < s.changes.next && s.changes.at(s.changes.first).made.ModRevision <= s.compacted
	if left == (s.cut == s.compacted) {
		t.Fatalf("%d: cut up to %d of %d, and more is left to cut: %t", s.applied, s.cut, s.compacted, left)
	}
	if left {
		return
	}
	var want Stats
	var sum uint64
	items := 0
	for _, key := range randomKeys {
		current, has := m.states[m.applied()][key]
		if has {
			want.Keys++
			want.LiveBytes += current.size()
		}
		kept := m.kept(key)
		if len(kept) > 0 {
			items++
		}
		for _, c := range kept {
			sum += sumOf(&c.Record)
			if c.Revision != current.ModRevision {
				want.Versions++
				want.HistoryBytes += c.Record.size()
			}
		}
	}
	if s.Stats() != want || s.Sum() != sum || s.items.Len() != items {
		t.Fatalf("%d: %+v, sum %x, %d items; want %+v, %x, %d",
			s.applied, s.Stats(), s.Sum(), s.items.Len(), want, sum, items)
	}
	list := &s.changes
	if got := list.freed - list.freedBefore(list.first); list.first < list.next && got != want.HistoryBytes {
		t.Fatalf("%d: the list of changes counts %d bytes of history, there are %d", s.applied, got, want.HistoryBytes)
	}
}

func TestReadsAgreeWithAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, m := New(), newModel()
		for revision := uint64(1); revision <= 400; revision++ {
			e := randomEntry(rng, revision, m.compacted)
			s.applyEntry(revision, e)
			m.apply(e)
			checkHeld(t, s, m)
			if revision%40 == 0 || e.compact > 0 && rng.IntN(4) == 0 {
				checkReads(t, s, m)
			}
			if rng.IntN(30) == 0 {
				s.Checkpointed(revision - rng.Uint64N(min(revision, 20)))
			}
		}
	}
}

func TestPagesAgreeWithAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s, m := New(), newModel()
		for revision := uint64(1); revision <= 150; revision++ {
			e := randomEntry(rng, revision, m.compacted)
			s.applyEntry(revision, e)
			m.apply(e)
		}
		for range 300 {
			checkPages(t, s, m, randomQuery(rng, m))
		}
	}
}

func randomQuery(rng *rand.Rand, m *model) Query {
	bound := func() string {
		if rng.IntN(3) == 0 {
			return ""
		}
		return randomKeys[rng.IntN(len(randomKeys))]
	}
	q := Query{
		From: bound(), To: bound(), Revision: m.compacted + rng.Uint64N(m.applied()-m.compacted+1),
		Limit: rng.IntN(5), MaxBytes: rng.IntN(3) * 30, MaxVisits: rng.IntN(6), KeysOnly: rng.IntN(2) == 0,
	}
	if rng.IntN(2) == 0 {
		q.Prefix = []string{"", "a", "a/", "a/b"}[rng.IntN(4)]
		q.Delimiter = []string{"/", "//", "b/"}[rng.IntN(3)]
		if rng.IntN(2) == 0 {
			q.From, q.To = PrefixRange(q.Prefix)
		}
	}
	return q
}

// checkPages reads all pages of a query, and a count of its keys.
func checkPages(t *testing.T, s *Store, m *model, q Query) {
	t.Helper()
	if q.Revision == 0 {
		q.Revision = m.applied()
	}
	state := m.states[q.Revision]
	var want []Item
	keys := 0
	for _, key := range slices.Sorted(maps.Keys(state)) {
		if key < q.From || q.To != "" && key >= q.To {
			continue
		}
		keys++
		item := Item{Record: state[key]}
		if q.KeysOnly {
			item.Value = nil
		}
		if rest, ok := strings.CutPrefix(key, q.Prefix); ok && q.Delimiter != "" && strings.Contains(rest, q.Delimiter) {
			name, _, _ := strings.Cut(rest, q.Delimiter)
			item = Item{Folder: q.Prefix + name + q.Delimiter}
			if len(want) > 0 && want[len(want)-1].Folder == item.Folder {
				continue
			}
		}
		want = append(want, item)
	}
	if got := readPages(t, s, q); !slices.EqualFunc(got, want, func(a, b Item) bool { return reflect.DeepEqual(a, b) }) {
		t.Fatalf("%+v:\n got %+v\nwant %+v", q, got, want)
	}
	counted, from := 0, q.From
	for more := true; more; more = from != "" {
		n, next, err := s.Count(from, q.To, q.Revision, q.MaxVisits)
		if err != nil || next != "" && next <= from {
			t.Fatalf("count from %q to %q at %d: %d, %q, %v", from, q.To, q.Revision, n, next, err)
		}
		counted, from = counted+n, next
	}
	if counted != keys {
		t.Fatalf("count from %q to %q at %d: %d; want %d", q.From, q.To, q.Revision, counted, keys)
	}
}

// readPages reads page by page, and checks that each keeps within the limits.
func readPages(t *testing.T, s *Store, q Query) (all []Item) {
	t.Helper()
	for {
		page, err := s.Scan(q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		bytes := 0
		for _, item := range page.Items {
			bytes += len(item.Key) + len(item.Value) + len(item.ContentType) + len(item.Folder)
		}
		n := len(page.Items)
		if q.Limit > 0 && n > q.Limit || q.MaxVisits > 0 && n > q.MaxVisits || q.MaxBytes > 0 && bytes > q.MaxBytes && n > 1 {
			t.Fatalf("%+v: a page of %d items, %d bytes", q, n, bytes)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all
		}
		if page.Next <= q.From {
			t.Fatalf("%+v: the next page begins at %q", q, page.Next)
		}
		q.From = page.Next
	}
}

// describe shows what a store is in a message.
func describe(s *Store) string {
	return fmt.Sprintf("digest %x, meta %+v, stats %+v", s.Digest(), s.meta(), s.stats)
}
