package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// many returns a store with so many keys p/00000 on, with a value.
func many(t *testing.T, n int, value string) *Store {
	t.Helper()
	s := New()
	for i := range n {
		put := &Put{Key: fmt.Appendf(nil, "p/%05d", i), Value: []byte(value)}
		s.applyText(s.Applied()+1, put.AppendJSON(nil))
	}
	return s
}

// The cost of a transaction does not follow what the store holds.
func TestATransactionVisitsABoundedNumberOfKeys(t *testing.T) {
	t.Parallel()
	s := many(t, MaxTxnVisits+1, "v")
	sum := s.Sum()
	for command, refused := range map[string]bool{
		`"if":[{"prefix":"p/","version":{"eq":1}}]`:                                        true,
		`"if":[{"from":"p/","to":"p/10000","version":{"eq":1}}]`:                           false,
		`"if":[{"from":"","to":"p/05000","exists":true},{"from":"p/05000","exists":true}]`: true,

		`"if":[{"prefix":"p/","version":{"eq":2}}]`: false, // ends at the first
		`"then":[{"delete":{"prefix":"p/"}}]`:       true,

		`"if":[{"from":"p/09000","exists":true}],"then":[{"delete":{"prefix":"p/0"}}]`: true,
		`"if":[{"key":"no","exists":true}],"then":[{"delete":{"prefix":"p/"}}]`:        false, // is not done
	} {
		r := s.applyText(s.Applied()+1, []byte(`{"op":"txn",`+command+`}`))
		told := r.Limit == MaxTxnVisits && strings.Contains(r.Message, "10000 keys")
		if (r.Code == CodeTooLarge) != refused || refused && !told {
			t.Errorf("%s: %+v", command, r)
		}
	}
	if s.Sum() != sum {
		t.Error("a refused transaction changed the state")
	}
	_, results := txnOf(t, s,
		`{"op":"txn","then":[{"count":{"prefix":"p/0"}},{"count":{"prefix":"p/"}},{"get":{"prefix":"p/"}}]}`)
	want := `[{"count":{"count":10000}},{"count":{"count":0,"more":true}},` +
		`{"get":{"records":[],"more":true}}]`
	if results != want {
		t.Errorf("results %s, want %s", results, want)
	}
}

// Comparing a long value with every key of a range counts for more.
func TestComparedBytesCountAsVisits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100<<10)
	s := many(t, 200, long)
	compare := func(value, to string) string {
		return `{"op":"txn","if":[{"prefix":"p/","to":"p/` + to + `","value":{"eq":"` + value + `"}}]}`
	}
	for command, refused := range map[string]bool{
		compare(long, "00100"): false, compare(long, "00101"): true, compare("x", "9"): false,
	} {
		if r := s.applyText(s.Applied()+1, []byte(command)); (r.Code == CodeTooLarge) != refused {
			t.Errorf("%.80s: %q %s", command, r.Code, r.Message)
		}
	}
}

func TestReadsOfARangeAreBoundedByTheirLimit(t *testing.T) {
	t.Parallel()
	s := many(t, 1500, "v")
	var results []struct {
		Get struct {
			Records []struct{ Key string }
			More    bool
		}
	}
	_, text := txnOf(t, s, `{"op":"txn","then":[{"get":{"prefix":"p/"}},{"get":{"prefix":"p/","limit":1}},`+
		`{"get":{"from":"p/01499","limit":1}},{"get":{"prefix":"p/","from":"p/01000"}}]}`)
	if err := json.Unmarshal([]byte(text), &results); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		count int
		first string
		more  bool
	}{
		{1000, "p/00000", true}, {1, "p/00000", true}, {1, "p/01499", false}, {500, "p/01000", false},
	} {
		got := results[i].Get
		if len(got.Records) != want.count || got.Records[0].Key != want.first || got.More != want.more {
			t.Errorf("%d: %d records from %s, more %t; want %+v", i, len(got.Records), got.Records[0].Key, got.More, want)
		}
	}
}

// The JSON of the results is bounded, and its length is known without a look at the values.
func TestResultsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := New()
	for i := range 4 {
		put := &Put{Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte(`"`), 700_000)}
		s.applyText(s.Applied()+1, put.AppendJSON(nil))
	}
	apply := func(list string) Result {
		r := s.applyText(s.Applied()+1, []byte(`{"op":"txn","then":[`+list+`]}`))
		if size := r.JSONSize(); len(r.JSON()) > size || size > 4<<20 {
			t.Errorf("%s: %d bytes, JSONSize is %d", list, len(r.JSON()), size)
		}
		return r
	}
	read := func(keys ...int) string {
		var list []string
		for _, key := range keys {
			list = append(list, fmt.Sprintf(`{"get":{"key":"%d"}}`, key))
		}
		return strings.Join(list, ",")
	}
	if r := apply(read(0, 1)); r.Code != "" || len(r.JSON()) < 2*1_400_000 {
		t.Errorf("%s %s", r.Code, r.Message)
	}
	for _, list := range []string{
		read(0, 1, 2), read(0, 0, 0),
		`{"put":{"key":"1","value":""}},` + read(0, 1, 2, 3),
		`{"get":{"prefix":"1"}},` + read(0, 2, 3),
	} {
		sum := s.Sum()
		r := apply(list)
		if r.Code != CodeTooLarge || r.Limit != MaxTxnResultBytes || s.Sum() != sum {
			t.Errorf("%s: %s %s", list, r.Code, r.Message)
		}
	}
	if r := apply(`{"put":{"key":"1","value":""}},` + read(0, 1, 2)); r.Code != "" {
		t.Errorf("a value that is replaced before the read counts: %s", r.Message)
	}
	r := apply(`{"get":{"from":""}},{"get":{"from":"","keys_only":true}}`)
	if text := string(r.JSON()); !strings.Contains(text, `],"more":true}`) || !strings.Contains(text, `"key":"3"`) {
		t.Errorf("a range that is too large: %s", r.Code)
	}
}

func TestJSONSizeBoundsEveryResult(t *testing.T) {
	t.Parallel()
	s := New()
	for i, value := range []string{
		"", "abc", "\"\\\n\r\t", strings.Repeat("\x00\x1f", 500), strings.Repeat("\xff\x00", 3000),
		strings.Repeat("é\u2028😀", 99), strings.Repeat("\"", 10_000),
		`{"a":[1,2.50,null,"\n"]}`, "[\n1,\n2\n]", `{"n": 1}`, " [1] ",
	} {
		for j, contentType := range []string{"", TypeJSON, "text/plain", "image/\"svg\""} {
			put := &Put{Key: fmt.Appendf(nil, "\x00\x01%d-%d", i, j), Value: []byte(value), ContentType: contentType}
			s.applyText(s.Applied()+1, put.AppendJSON(nil))
		}
	}
	for _, list := range []string{
		`{"get":{"from":""}}`, `{"get":{"from":"","limit":3}},{"count":{"from":""}}`, `{"get":{"from":"","keys_only":true}}`,
		`{"incr":{"key":"n","by":-9223372036854775808}},{"put":{"key":"p","value":""}},` +
			`{"cas":{"key":"c","expected":null,"value":1}}`,
	} {
		r := s.applyText(s.Applied()+1, []byte(`{"op":"txn","then":[`+list+`]}`))
		text := r.JSON()
		if !json.Valid(text) || bytes.ContainsAny(text, "\r\n") || len(text) > r.JSONSize() {
			t.Errorf("%s: %d bytes, JSONSize is %d: %.200s", list, len(text), r.JSONSize(), text)
		}
		// A follower gets the same text.
		sent, err := ParseResult(r.AppendJSON(nil))
		if err != nil || !bytes.Equal(sent.JSON(), text) || sent.JSONSize() != len(text) || sent.Revision != r.Revision {
			t.Errorf("%s: forwarded as %+v, %v", list, sent, err)
		}
	}
}

// What a transaction read stays as it was, because it is encoded later.
func TestResultsDoNotChangeWithTheStore(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a","value":"x"}`)
	r := s.applyText(2, []byte(`{"op":"txn","then":[{"get":{"key":"a"}}]}`))
	before := string(r.JSON())
	s.applyText(3, []byte(`{"op":"put","key":"a","value":"y"}`))
	s.applyText(4, []byte(`{"op":"txn","then":[{"delete":{"key":"a"}},{"put":{"key":"b","value":"z"}}]}`))
	if got := string(r.JSON()); got != before || !strings.Contains(got, `"value":"x"`) {
		t.Errorf("%s, and before %s", got, before)
	}
}

func TestDeleteARange(t *testing.T) {
	t.Parallel()
	s := storeOf(t, `{"op":"put","key":"a","value":"x"}`, `{"op":"put","key":"a/1","value":"x"}`,
		`{"op":"put","key":"a/2","value":"x"}`, `{"op":"put","key":"b","value":"x"}`)
	for _, step := range []struct {
		keys, want string
		left       int
	}{
		{`"prefix":"a/","from":"a/2"`, `{"revision":5,"deleted":true,"value":{"deleted":1}}`, 3},
		{`"prefix":"a/"`, `{"revision":6,"deleted":true,"value":{"deleted":1}}`, 2},
		{`"prefix":"a/"`, `{"revision":0,"value":{"deleted":0}}`, 2},
		{`"from":"b","to":"a"`, `{"revision":0,"value":{"deleted":0}}`, 2},
		{`"from":""`, `{"revision":9,"deleted":true,"value":{"deleted":2}}`, 0},
	} {
		r := s.applyText(s.Applied()+1, []byte(`{"op":"delete",`+step.keys+`}`))
		if got := string(r.AppendJSON(nil)); got != step.want || s.Len() != step.left {
			t.Errorf("%s: %s, %d keys left; want %s, %d", step.keys, got, s.Len(), step.want, step.left)
		}
	}
}

// The delete of a large range is done in parts, each of one revision. Keys that are deleted, but in the history, count,
// so each part goes on behind the one before, or it would visit nothing else.
func TestDeleteOfALargeRangeGoesOn(t *testing.T) {
	t.Parallel()
	s := many(t, MaxTxnVisits+100, "v")
	r := s.applyText(s.Applied()+1, []byte(`{"op":"delete","prefix":"p/"}`))
	if got := string(r.JSON()); got != `{"deleted":10000,"more":true,"next":"p/10000"}` || s.Len() != 100 {
		t.Fatalf("%s, %d keys left", got, s.Len())
	}
	last := s.Delta(s.Applied() - 1).Changes
	if len(last) != MaxTxnVisits || last[MaxTxnVisits-1].Position != MaxTxnVisits-1 || last[0].Key != "p/00000" {
		t.Errorf("%d changes, the last %+v", len(last), last[len(last)-1])
	}
	r = s.applyText(s.Applied()+1, []byte(`{"op":"delete","prefix":"p/"}`))
	if got := string(r.JSON()); got != `{"deleted":0,"more":true,"next":"p/10000"}` || r.Revision != 0 || r.Deleted {
		t.Errorf("from the start again: %s", got)
	}
	r = s.applyText(s.Applied()+1, []byte(`{"op":"delete","prefix":"p/","from":"p/10000"}`))
	if got := string(r.JSON()); got != `{"deleted":100}` || s.Len() != 0 {
		t.Errorf("%s, %d keys left", got, s.Len())
	}
}

// The memory of a large command and its changes is not kept for the next one.
func TestALargeTransactionLeavesNoMemoryBehind(t *testing.T) {
	t.Parallel()
	s := many(t, 2000, "v")
	s.applyText(s.Applied()+1, []byte(`{"op":"txn","then":[{"delete":{"prefix":"p/"}},{"put":{"key":"a","value":"1"}}]}`))
	if cap(s.pending) > mostPending {
		t.Errorf("room for %d changes is kept", cap(s.pending))
	}
	i := slices.IndexFunc(s.parser.parsed, func(o Operation) bool { return o != nil && o.Op() == OpTxn })
	if txn := s.parser.parsed[i].(*Txn); txn.Then != nil || txn.If != nil {
		t.Errorf("the parser keeps %+v", txn)
	}
}

func BenchmarkTxnOfOneCompareAndOnePut(b *testing.B) {
	s := New()
	s.applyText(1, []byte(`{"op":"set","key":"a","value":1}`))
	line := []byte(`{"op":"txn","if":[{"key":"a","revision":{"gt":0}}],"then":[{"put":{"key":"a","value":"` +
		strings.Repeat("x", 256) + `"}}],"else":[{"get":{"key":"a"}}]}`)
	b.ReportAllocs()
	for i := uint64(2); b.Loop(); i++ {
		if r := s.applyText(i, line); r.Code != "" {
			b.Fatal(r.Message)
		}
	}
}
