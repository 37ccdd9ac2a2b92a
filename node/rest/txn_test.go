package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/budget"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestATransactionIsDoneAsAWhole(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for _, step := range []struct{ body, answer string }{
		{
			`{"if":[{"key":"a","revision":{"eq":42}}],"then":[{"put":{"key":"a","value":"1"}}],` +
				`"else":[{"get":{"key":"a"}}]}`,
			`{"revision":1,"succeeded":false,"results":[{"get":{"records":[]}}]}`,
		},
		{
			`{"then": [{"put": {"key": "a", "value": "1", "content_type": "text/plain"}}, {"set": {"key": "b", "value": [1]}}]}`,
			`{"revision":2,"succeeded":true,"results":[{"put":{"revision":2,"created":true}},` +
				`{"set":{"revision":2,"created":true}}]}`,
		},
		{
			`{"if":[{"from":"","revision":{"eq":2}}],"then":[{"incr":{"key":"n","by":3}},{"cas":{"key":"b","expected":[1],` +
				`"value":2}},{"delete":{"prefix":"a"}},{"count":{"from":""}},{"get":{"from":"b","limit":1}}]}`,
			`{"revision":3,"succeeded":true,"results":[{"incr":{"value":3}},{"cas":{"swapped":true}},` +
				`{"delete":{"deleted":1}},{"count":{"count":2}},{"get":{"records":[{"key":"b","value":2,` +
				`"content_type":"application/json","revision":3,"create_revision":2,"version":2,` +
				`"modified":1700000000.000001}],"more":true}}]}`,
		},
	} {
		got := a.want(200, "POST", api.PathTxn, step.body)
		if got.body != step.answer+"\n" {
			t.Errorf("%s\n got %s want %s", step.body, got.body, step.answer)
		}
		response := decode[api.TxnResponse](t, got.body)
		if revision := got.header.Get(api.HeaderRevision); revision != fmt.Sprint(response.Revision) {
			t.Errorf("X-Revision is %s, and the revision %d", revision, response.Revision)
		}
	}
	if len(a.node.log) != 3 || a.node.barriers != 0 {
		t.Errorf("%d entries and %d read barriers for 3 transactions", len(a.node.log), a.node.barriers)
	}
}

// A transaction is a command like any other, alone and on a line.
func TestATransactionIsACommand(t *testing.T) {
	t.Parallel()
	a := serve(t)
	const txn = `{"op":"txn","then":[{"incr":{"key":"n","by":1}}]}`
	want := `{"index":1,"term":3,"result":{"succeeded":true,"results":[{"incr":{"value":1}}]}}` + "\n"
	if got := a.want(200, "POST", api.PathCommand, txn).body; got != want {
		t.Errorf("alone: %s", got)
	}
	lines := a.want(200, "POST", api.PathBatch, txn+"\n"+`{"op":"txn","then":[{"incr":{"key":"n"}},{"incr":{"key":"n"}}]}`+
		"\n"+`{"op":"delete","prefix":"n"}`+"\n"+`{"op":"delete","prefix":"n"}`).body
	want = strings.NewReplacer(`"index":1`, `"index":2`, `"value":1`, `"value":2`).Replace(want) +
		`{"error":{"code":"invalid","message":"then[1] and then[0] change the same key, \"n\"; ` +
		`change a key once in a transaction"}}` + "\n" +
		`{"index":3,"term":3,"result":{"deleted":1}}` + "\n" + `{"index":4,"term":3,"result":{"deleted":0}}` + "\n"
	if lines != want {
		t.Errorf("in a batch:\n%swant\n%s", lines, want)
	}
}

func TestTheErrorsOfATransaction(t *testing.T) {
	t.Parallel()
	a := serve(t, within(budget.NewMemory(256<<20)))
	a.node.mu.Lock()
	for i := range kv.MaxTxnVisits + 1 {
		a.node.apply(fmt.Sprintf(`{"op":"set","key":"p/%d","value":0}`, i))
	}
	large := strings.Repeat("v", kv.MaxValueBytes)
	a.node.apply(`{"op":"put","key":"large","value":"` + large + `"}`)
	a.node.log = make([]raft.Entry, a.node.store.Applied())
	a.node.mu.Unlock()
	read := strings.Repeat(`{"get":{"key":"large"}},`, 2)
	long := strings.Repeat("k", kv.MaxKeyBytes+1)
	for _, c := range []struct {
		body, message string
		code          api.Code
		limit         int64
	}{
		{``, `must be a JSON object`, api.CodeInvalid, 0},
		{`[]`, `must be a JSON object`, api.CodeInvalid, 0},
		{`{"then":[]}{}`, `something follows`, api.CodeInvalid, 0},
		{`{}`, `a transaction needs operations`, api.CodeInvalid, 0},
		{`{"op":"put","then":[]}`, `"op" is "put"; it must be "txn", or be left out`, api.CodeInvalid, 0},
		{`{"when":[]}`, `"when" does not belong to op txn, which takes if, then, else`, api.CodeInvalid, 0},
		{`{"if":[{"key":"a","value":{"eq":1}}]}`, `if[0]: a value is compared with a string`, api.CodeInvalid, 0},
		{`{"then":[{"put":{"key":"a"}}]}`, `then[0].put: field "value" is missing`, api.CodeInvalid, 0},
		{`{"then":[{"put":{"key":"a","value":"","content_type":"x"}}]}`, `no media type`, api.CodeInvalid, 0},
		{`{"else":[{"txn":{"then":[]}}]}`, `else[0]: op "txn" cannot be in a transaction`, api.CodeInvalid, 0},
		{`{"then":[{"incr":{"key":"a"}},{"incr":{"key":"a"}}]}`, `change the same key, "a"`, api.CodeInvalid, 0},
		{`{"then":[{"incr":{"key":"large"}}]}`, `then[0].incr: key "large" holds`, api.CodeConflict, 0},
		{`{"then":[{"put":{"key":"x","value":""}},{"delete":{"prefix":"x"}}]}`, `"x" is changed`, api.CodeConflict, 0},
		{`{"then":[{"delete":{"key":"a","if_revision":7}}]}`, `then[0].delete: key "a"`, api.CodePreconditionFailed, 0},
		{`{"then":[{"cas":{"key":"a","expected":7,"value":1}}]}`, `then[0].cas: key "a"`, api.CodePreconditionFailed, 0},
		{strings.Repeat(" ", api.MaxTxnBytes+1), `at most 8388608 bytes`, api.CodeTooLarge, api.MaxTxnBytes},
		{
			`{"then":[` + strings.Repeat(`{"count":{"key":"a"}},`, 512) + `{"count":{"key":"a"}}]}`,
			`has 513 comparisons and operations; at most 512`, api.CodeTooLarge, api.MaxTxnOperations,
		},
		{`{"then":[{"put":{"key":"a","value":"` + large + `v"}}]}`, `"then[0].put.value"`, api.CodeTooLarge, 1 << 20},
		{`{"if":[{"key":"` + long + `","exists":true}]}`, `"if[0].key"`, api.CodeTooLarge, 4096},
		{`{"if":[{"prefix":"p/","exists":true}]}`, `if[0]: the transaction would visit`, api.CodeTooLarge, 10_000},
		{`{"then":[{"delete":{"prefix":"p/"}}]}`, `then[0].delete: the transaction`, api.CodeTooLarge, 10_000},
		{`{"then":[` + read + `{"get":{"key":"a"}}]}`, `more than 4128768 bytes`, api.CodeTooLarge, kv.MaxTxnResultBytes},
	} {
		got := a.want(c.code.Status(), "POST", api.PathTxn, c.body)
		e := decode[api.ErrorBody](t, got.body).Error
		if e.Code != c.code || e.Limit != c.limit || !strings.Contains(e.Message, c.message) {
			t.Errorf("%.100s\n%+v", c.body, e)
		}
	}
	a.want(405, "GET", api.PathTxn, "")
	a.want(400, "POST", api.PathTxn+"?consistency=stale", "{}")
	for header, right := range map[string]string{"If-Match": `"revision":{"eq":42}`, "If-None-Match": `"exists":false`} {
		got := a.want(400, "POST", api.PathTxn, `{"then":[{"incr":{"key":"a"}}]}`, header, `"1"`)
		if e := decode[api.ErrorBody](t, got.body).Error; !strings.Contains(e.Message, right) {
			t.Errorf("%s: %s", header, e.Message)
		}
	}
	if a.node.store.Applied() == 0 || len(a.node.store.Delta(a.node.store.Applied()-1).Changes) > 0 {
		t.Error("a transaction that failed changed something")
	}
}

// A request that could be sent again without harm reports so, and no other.
func TestATransactionTellsWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]api.Code{
		node.ErrNoLeader: api.CodeNoLeader, node.ErrNotReady: api.CodeNotReady, node.ErrOverloaded: api.CodeOverloaded,
		node.ErrOutcomeUnknown: api.CodeOutcomeUnknown,
	} {
		a := serve(t, func(n *fakeNode, _ *Options) { n.proposeErr = err })
		a.wantError(want.Status(), want, "POST", api.PathTxn, `{"then":[{"incr":{"key":"a"}}]}`)
		a.wantError(want.Status(), want, "DELETE", api.PathList+"?prefix=a", "")
	}
}

func TestTransactionsNeedMemory(t *testing.T) {
	t.Parallel()
	a := serve(t, within(budget.NewMemory(64<<20)))
	large := strings.Repeat("v", 100<<10)
	a.want(200, "PUT", "/api/v1/kv/large", large)
	full := a.memoryFull()
	for _, body := range []string{
		`{"then":[{"put":{"key":"a","value":"` + large + `"}}]}`,
		`{"then":[{"get":{"key":"large"}}]}`,
		`{"then":[` + strings.Repeat(`{"get":{"key":"none"}},`, 300) + `{"count":{"key":"large"}}]}`,
	} {
		wantOverloaded(t, a.ask("POST", api.PathTxn, body))
	}
	a.want(200, "POST", api.PathTxn, `{"then":[{"count":{"key":"large"}}]}`)
	full.Close()
	if got := a.want(200, "POST", api.PathTxn, `{"then":[{"get":{"key":"large"}}]}`).body; !strings.Contains(got, large) {
		t.Errorf("%.200s", got)
	}
}

// On a line of a batch as well; but what was changed is not reported as if nothing was done (trap T49).
func TestTheResultOfATransactionOnALineNeedsMemory(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/large", strings.Repeat("v", 100<<10))
	const read = `{"op":"txn","then":[{"get":{"key":"large"}}]}`
	const write = `{"op":"txn","then":[{"incr":{"key":"n"}},{"get":{"key":"large"}}]}`
	var accounts []*budget.Account
	a.node.onPropose = func() { accounts = append(accounts, a.memoryFull()) }
	for line, want := range map[string]api.Code{read: api.CodeOverloaded, write: api.CodeOutcomeUnknown} {
		got := decode[api.BatchResult](t, a.want(200, "POST", api.PathBatch, line).body)
		if got.Error == nil || got.Error.Code != want {
			t.Errorf("%s: %+v", line, got)
		}
		for _, account := range accounts {
			account.Close()
		}
	}
}

func TestDeleteOfARange(t *testing.T) {
	t.Parallel()
	a := serve(t)
	for _, key := range []string{"a", "a/1", "a/2", "a/b/1", "b", "c"} {
		a.want(200, "PUT", api.KeyPath(key), "v")
	}
	for _, step := range []struct{ query, answer string }{
		{"prefix=a/&from=a/2&to=a/b", `{"revision":7,"deleted":1}`},
		{"prefix=a%2F", `{"revision":8,"deleted":2}`},
		{"prefix=a%2F", `{"revision":0,"deleted":0}`},
		{"from=b&to=c", `{"revision":10,"deleted":1}`},
		{"from=", `{"revision":11,"deleted":2}`},
	} {
		if got := a.want(200, "DELETE", api.PathList+"?"+step.query, "").body; got != step.answer+"\n" {
			t.Errorf("%s: %swant %s", step.query, got, step.answer)
		}
		decode[api.DeleteRangeResponse](t, step.answer)
	}
}

func TestTheErrorsOfADeleteOfARange(t *testing.T) {
	t.Parallel()
	a := serve(t)
	a.want(200, "PUT", "/api/v1/kv/a", "v")
	for query, message := range map[string]string{
		"": "give prefix, or from and to", "?prefix=": "prefix is empty; to delete every key, give from= instead",
		"?prefix=a&prefix=b": "comes 2 times", "?key=a": "unknown parameter", "?prefix=%ff": "UTF-8", "?prefix=%zz": "read",
	} {
		got := a.want(400, "DELETE", api.PathList+query, "")
		if e := decode[api.ErrorBody](t, got.body).Error; !strings.Contains(e.Message, message) {
			t.Errorf("%q: %s", query, e.Message)
		}
	}
	a.want(400, "DELETE", api.PathList+"?prefix=a", "", "If-Match", `"1"`)
	got := a.want(413, "DELETE", api.PathList+"?prefix="+strings.Repeat("k", 4097), "")
	if e := decode[api.ErrorBody](t, got.body).Error; e.Limit != kv.MaxKeyBytes {
		t.Errorf("%+v", e)
	}
	a.want(200, "GET", "/api/v1/kv/a", "")
}

// withKeys fills the store with keys p/0 on.
func withKeys(n int) func(*fakeNode, *Options) {
	return func(f *fakeNode, _ *Options) {
		for i := range n {
			f.apply(fmt.Sprintf(`{"op":"set","key":"p/%05d","value":0}`, i))
		}
		f.log = make([]raft.Entry, n)
	}
}

func TestADeleteGoesOnUntilTheRangeIsEmpty(t *testing.T) {
	t.Parallel()
	a := serve(t, withKeys(2*kv.MaxTxnVisits+5))
	want := fmt.Sprintf(`{"revision":%d,"deleted":20005}`, 2*kv.MaxTxnVisits+5+3) + "\n"
	if got := a.want(200, "DELETE", api.PathList+"?prefix=p/", "").body; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if len(a.node.batches) != 3 {
		t.Errorf("it took %d commands", len(a.node.batches))
	}
}

// The time for a request ends; what was done is reported, and the rest can be deleted by the same request.
func TestADeleteEndsWithItsTime(t *testing.T) {
	t.Parallel()
	a := serve(t, withKeys(kv.MaxTxnVisits+5))
	a.rest.keys.deleteTime = 0
	want := fmt.Sprintf(`{"revision":%d,"deleted":10000,"more":true,"next":"p/10000"}`, kv.MaxTxnVisits+5+1) + "\n"
	if got := a.want(200, "DELETE", api.PathList+"?prefix=p/", "").body; got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

// A delete that cannot go on reports what it did, unless more may have been done.
func TestADeleteThatCannotGoOn(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		node.ErrNoLeader:       `{"revision":10006,"deleted":10000,"more":true,"next":"p/10000"}`,
		node.ErrOutcomeUnknown: `{"error":{"code":"outcome_unknown"`,
	} {
		a := serve(t, withKeys(kv.MaxTxnVisits+5))
		a.node.onPropose = func() { a.node.proposeErr = err }
		if got := a.ask("DELETE", api.PathList+"?prefix=p/", "").body; !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}
