package kv

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestAKeyHasItsVersions(t *testing.T) {
	t.Parallel()
	s := story{
		{`{"op":"put","key":"a","value":"1"}`, Result{Revision: 1, Created: true}},
		{`{"op":"get","key":"a"}`, Result{Revision: 1}},
		{`{"op":"put","key":"a","value":"2"}`, Result{Revision: 3}},
		{`{"op":"delete","key":"a"}`, Result{Revision: 4, Deleted: true}},
		{`{"op":"delete","key":"a"}`, Result{}},
		{`{"op":"put","key":"a","value":"3","if_absent":true}`, Result{Revision: 6, Created: true}},
	}.tell(t)
	for revision, want := range []string{1: "1 1 1", 2: "1 1 1", 3: "2 1 2", 4: "", 5: "", 6: "3 6 1"} {
		if revision == 0 {
			continue
		}
		got := ""
		if r, ok, err := s.GetAt("a", uint64(revision)); err != nil {
			t.Errorf("at %d: %v", revision, err)
		} else if ok {
			got = fmt.Sprintf("%s %d %d", r.Value, r.CreateRevision, r.Version)
		}
		if got != want {
			t.Errorf("at %d: value, create revision and version are %q; want %q", revision, got, want)
		}
	}
	var history []string
	for _, c := range s.History("a", 0, 0) {
		history = append(history, fmt.Sprintf("%d %q %t", c.Revision, c.Record.Value, c.Deleted))
		if c.Record.Key != "a" || c.Record.ModRevision != c.Revision || c.Record.Modified != int64(c.Revision)*1e6 {
			t.Errorf("change %+v", c)
		}
	}
	if want := `6 "3" false, 4 "" true, 3 "2" false, 1 "1" false`; strings.Join(history, ", ") != want {
		t.Errorf("history is %s\nwant %s", strings.Join(history, ", "), want)
	}
	if s.History("none", 0, 0) != nil {
		t.Error("a key that never was has a history")
	}
}

// A store keeps no part of its entries: the log is cut, and their memory is used again.
func TestRecordsShareNoMemoryWithEntries(t *testing.T) {
	t.Parallel()
	s := New()
	for i, command := range []string{
		`{"op":"put","key":"a","value":"text","content_type":"text/x-own"}`, `{"op":"put","key":"a","value":"text2"}`,
		`{"op":"set","key":"b","value":{"n":1}}`, `{"op":"cas","key":"c","expected":null,"value":[1]}`,
		`{"op":"put","key":"d","value":"aGk=","encoding":"base64"}`, `{"op":"incr","key":"e"}`,
		`{"op":"delete","key":"b"}`, `{"op":"put","key":"b","json":[2]}`,
	} {
		entry := []byte(command)
		s.applyText(uint64(i+1), entry)
		for i := range entry {
			entry[i] = '#'
		}
	}
	for key, want := range map[string]string{"a": "text2", "b": "[2]", "c": "[1]", "d": "hi", "e": "1"} {
		if r, ok := s.Get(key); !ok || string(r.Value) != want || r.Key != key {
			t.Errorf("%q: %+v, %t", key, r, ok)
		}
	}
	if r, _, _ := s.GetAt("a", 1); string(r.Value) != "text" || r.ContentType != "text/x-own" {
		t.Errorf("a at 1: %+v", r)
	}
	for _, c := range s.pending[:cap(s.pending)] {
		if c.key != nil || c.value != nil || c.item != nil {
			t.Errorf("the store holds on to %+v", c)
		}
	}
}

func TestScanFoldsFolders(t *testing.T) {
	t.Parallel()
	s := New()
	for i, key := range []string{"b", "a/2", "a/1/x", "a/1/y", "a", "a/10", "a0", "ä", "a/", "c/1", "c/2"} {
		s.applyText(uint64(i+1), (&Put{Key: []byte(key), Value: []byte("v")}).AppendJSON(nil))
	}
	s.applyText(12, []byte(`{"op":"delete","key":"c/1"}`))
	tests := []struct {
		query Query
		want  string
		next  string
	}{
		{Query{}, "a a/ a/1/x a/1/y a/10 a/2 a0 b c/2 ä", ""},
		{Query{Limit: 3}, "a a/ a/1/x", "a/1/y"},
		{Query{From: "a0", To: "c/2"}, "a0 b", ""},
		{Query{From: "x", To: "b"}, "", ""},
		{Query{Delimiter: "/"}, "a [a/] a0 b [c/] ä", ""},
		{Query{Delimiter: "/", Limit: 2}, "a [a/]", "a0"},
		{Query{Delimiter: "/", Limit: 1}, "a", "a/"},
		{Query{From: "a/", To: "a0", Prefix: "a/", Delimiter: "/"}, "a/ [a/1/] a/10 a/2", ""},
		{Query{Delimiter: "/", MaxVisits: 2}, "a [a/]", "a0"},
		{Query{From: "c", MaxVisits: 1}, "", "c/2"},
		{Query{From: "c", Delimiter: "/", MaxVisits: 1}, "", "c/2"},
		{Query{From: "c/2", MaxVisits: 2}, "c/2 ä", ""},
		{Query{MaxBytes: 1}, "a", "a/"},
		{Query{MaxBytes: 2 + 3 + 2*len(TypeBytes)}, "a a/", "a/1/x"},
		{Query{MaxBytes: 1 + 2 + 2*len(TypeBytes), KeysOnly: true}, "a a/", "a/1/x"},
	}
	for _, test := range tests {
		page, err := s.Scan(test.query)
		var got []string
		for _, item := range page.Items {
			if item.Folder != "" {
				got = append(got, "["+item.Folder+"]")
			} else {
				got = append(got, item.Key)
			}
			if (item.Value == nil) != (test.query.KeysOnly || item.Folder != "") {
				t.Errorf("%+v: %+v", test.query, item)
			}
		}
		if err != nil || strings.Join(got, " ") != test.want || page.Next != test.next || page.Revision != 12 {
			t.Errorf("%+v: %v, next %q, at %d, %v\nwant %s, next %q",
				test.query, got, page.Next, page.Revision, err, test.want, test.next)
		}
	}
	for _, c := range []struct {
		from, to string
		visits   int
		n        int
		next     string
	}{
		{"", "", 0, 10, ""}, {"", "", 1, 10, ""}, {"a/", "a0", 0, 5, ""}, {"a/", "a0", 2, 2, "a/1/y"}, {"c", "", 1, 0, "c/2"},
	} {
		if n, next, err := s.Count(c.from, c.to, 0, c.visits); n != c.n || next != c.next || err != nil {
			t.Errorf("count from %q to %q: %d, %q, %v; want %d, %q", c.from, c.to, n, next, err, c.n, c.next)
		}
	}
}

func TestPrefixRange(t *testing.T) {
	t.Parallel()
	for prefix, to := range map[string]string{
		"": "", "a": "b", "a/": "a0", "a\xff": "b", "\xff\xff": "", "é": "\xc3\xaa", "a\x7f": "a\x80", "\x00": "\x01",
	} {
		if gotFrom, gotTo := PrefixRange(prefix); gotFrom != prefix || gotTo != to {
			t.Errorf("the range of prefix %q is %q to %q; want to %q", prefix, gotFrom, gotTo, to)
		}
	}
}

// A read looks at what it may, also in a long history and among keys that are gone.
func TestReadsCostWhatTheirLimitsAllow(t *testing.T) {
	t.Parallel()
	s := New()
	for i := range 1000 {
		puts(s, fmt.Sprintf("gone/%03d", i), 1)
	}
	for i := range 1000 {
		s.applyText(s.Applied()+1, fmt.Appendf(nil, `{"op":"delete","key":"gone/%03d"}`, i))
	}
	puts(s, "z", 1)
	calls, from := 0, ""
	for more := true; more; calls++ {
		page, err := s.Scan(Query{From: from, Limit: 10, MaxVisits: 100})
		if err != nil || len(page.Items) > 0 && page.Items[0].Key != "z" {
			t.Fatalf("%+v, %v", page, err)
		}
		from, more = page.Next, page.Next != ""
	}
	if calls != 11 {
		t.Errorf("%d pages of 100 keys to look at, for 1001 keys", calls)
	}
	page, err := s.Scan(Query{Revision: 1000, Delimiter: "/", MaxVisits: 1})
	if err != nil || len(page.Items) != 1 || page.Next != "z" {
		t.Errorf("a folder of 1000 keys is %+v, %v", page, err)
	}
}

// Operations of many keys make several changes, which share the revision and keep their order.
func TestOneEntryMakesSeveralChanges(t *testing.T) {
	t.Parallel()
	s := New()
	s.applyEntry(1, entry{timestamp: 7, edits: []edit{{key: "b"}, {key: "a"}, {key: "c"}}})
	s.applyEntry(2, entry{timestamp: 9, edits: []edit{
		{key: "c", deletes: true}, {key: "none", deletes: true}, {key: "a"},
	}})
	var order []string
	for _, c := range s.Delta(0).Changes {
		order = append(order, fmt.Sprintf("%d.%d %s %d", c.Revision, c.Position, c.Key, c.Modified))
	}
	if want := []string{"1.0 b 7", "1.1 a 7", "1.2 c 7", "2.0 c 9", "2.1 a 9"}; !slices.Equal(order, want) {
		t.Errorf("changes are %v; want %v", order, want)
	}
	if r, _ := s.Get("a"); r.Position != 1 || r.Version != 2 || r.ModRevision != 2 {
		t.Errorf("a is %+v", r)
	}
}

func TestTheLastReaderOfAPageSeesItsRevision(t *testing.T) { // the cursor pins the revision
	t.Parallel()
	s := New()
	for i := range 10 {
		puts(s, fmt.Sprint(i), 1)
	}
	first, err := s.Scan(Query{Limit: 5})
	if err != nil {
		t.Fatal(err)
	}
	puts(s, "9", 1)
	s.applyText(s.Applied()+1, []byte(`{"op":"delete","key":"7"}`))
	second, err := s.Scan(Query{From: first.Next, Limit: 5, Revision: first.Revision})
	var keys []string
	for _, item := range second.Items {
		keys = append(keys, item.Key)
	}
	if err != nil || second.Next != "" || !reflect.DeepEqual(keys, []string{"5", "6", "7", "8", "9"}) ||
		second.Items[4].Version != 1 {
		t.Errorf("the second page is %+v, %v", second, err)
	}
}

func TestEveryPartOfAVersionIsInTheSum(t *testing.T) {
	t.Parallel()
	record := Record{
		Key: "key", Value: []byte("value"), ContentType: "text/plain", CreateRevision: 1, ModRevision: 2, Version: 2,
		Modified: 3, Position: 4,
	}
	seen := map[uint64]string{sumOf(&record): "nothing"}
	for name, edit := range map[string]func(*Record){
		"key": func(r *Record) { r.Key = "kez" }, "value": func(r *Record) { r.Value = []byte("valuf") },
		"content type":    func(r *Record) { r.ContentType = "text/plaid" },
		"create revision": func(r *Record) { r.CreateRevision++ }, "revision": func(r *Record) { r.ModRevision++ },
		"version": func(r *Record) { r.Version++ }, "time": func(r *Record) { r.Modified++ },
		"position":                     func(r *Record) { r.Position++ },
		"border of key and value":      func(r *Record) { r.Key, r.Value = "keyv", []byte("alue") },
		"border of value and its type": func(r *Record) { r.Value, r.ContentType = []byte("valuet"), "ext/plain" },
	} {
		changed := record
		edit(&changed)
		if other, is := seen[sumOf(&changed)]; is {
			t.Errorf("a change of %s has the sum of a change of %s", name, other)
		}
		seen[sumOf(&changed)] = name
	}
}

func TestEveryPartOfTheStateIsInTheDigest(t *testing.T) { // T45
	t.Parallel()
	seen := map[uint64]string{New().Digest(): "nothing"}
	for name, edit := range map[string]func(*Store){
		"versions": func(s *Store) { s.sum++ }, "applied": func(s *Store) { s.applied++ },
		"compacted": func(s *Store) { s.compacted++ }, "cut": func(s *Store) { s.cut++ }, "time": func(s *Store) { s.time++ },
	} {
		s := New()
		edit(s)
		if other, is := seen[s.Digest()]; is {
			t.Errorf("a change of %s has the digest of a change of %s", name, other)
		}
		seen[s.Digest()] = name
	}
}
