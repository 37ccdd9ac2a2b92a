package client_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func number(n uint64) *uint64 { return &n }

func TestTxn(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	binary := []byte("\xff\x00<&>\u2028")
	first, err := c.Txn(t.Context(), api.Txn{
		If: []api.Compare{{Keys: api.Keys{Key: "a"}, Version: map[string]uint64{api.OpEqual: 0}}},
		Then: []api.TxnOp{
			client.PutOp("a", binary, client.ContentType("image/png"), client.IfAbsent()),
			client.PutOp("t", []byte("<text>\u2028")),
			{Set: &api.TxnSet{Key: "j", Value: json.RawMessage(`{"a": 1}`)}},
			{Incr: &api.TxnIncr{Key: "n", By: -4}},
			{Cas: &api.TxnCas{Key: "c", Value: json.RawMessage(`[]`)}},
			{Count: &api.Keys{From: new(string)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := first.Results
	if !first.Succeeded || first.Revision != 1 || len(r) != 6 || r[0].Put == nil || !r[0].Put.Created ||
		r[2].Set.Revision != 1 || r[3].Incr.Value != -4 || !r[4].Cas.Swapped || r[5].Count.Count != 5 {
		t.Errorf("%+v", first)
	}
	exists := true
	second, err := c.Txn(t.Context(), api.Txn{
		If: []api.Compare{
			{Keys: api.Keys{Key: "a"}, Value: map[string]json.RawMessage{api.OpEqual: client.Operand(binary)}},
			{Keys: api.Keys{Key: "t"}, Value: map[string]json.RawMessage{api.OpGreater: client.Operand([]byte("<texs>"))}},
			{Keys: api.Keys{Prefix: "n"}, Exists: &exists},
			{Keys: api.Keys{Key: "none"}, Exists: &exists},
		},
		Then: []api.TxnOp{{Delete: &api.TxnDelete{Keys: api.Keys{Key: "a"}}}},
		Else: []api.TxnOp{
			{Get: &api.TxnGet{Keys: api.Keys{Key: "a"}}},
			{Get: &api.TxnGet{Keys: api.Keys{Prefix: "", To: "k"}, Limit: 1}},
			{Delete: &api.TxnDelete{Keys: api.Keys{Key: "j"}, IfRevision: number(1)}},
			{Get: &api.TxnGet{Keys: api.Keys{Key: "none"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r = second.Results
	if second.Succeeded || second.Revision != 2 || len(r) != 4 || len(r[0].Get.Records) != 1 || !r[1].Get.More ||
		r[2].Delete.Deleted != 1 || len(r[3].Get.Records) != 0 {
		t.Fatalf("%+v", second)
	}
	record := r[0].Get.Records[0]
	value, err := client.ValueOf(&record)
	if err != nil || string(value) != string(binary) || record.ContentType != "image/png" {
		t.Errorf("%+v: %q, %v", record, value, err)
	}
}

// Small transactions share requests with the other writes; none is lost, and each has its own result.
func TestTransactionsShareBatches(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			r, err := c.Txn(t.Context(), api.Txn{Then: []api.TxnOp{{Incr: &api.TxnIncr{Key: "n", By: 1}}}})
			if err != nil || len(r.Results) != 1 || uint64(r.Results[0].Incr.Value) != r.Revision {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	all.Wait()
	item, err := c.Get(t.Context(), "n")
	if err != nil || string(item.Value) != "100" {
		t.Errorf("%s, %v", item.Value, err)
	}
}

// What a batch has no room for goes alone.
func TestLargeTransactions(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	large := strings.Repeat("v", api.MaxValueBytes)
	txn := api.Txn{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		txn.Then = append(txn.Then, client.PutOp(key, []byte(large)))
	}
	txn.Then = append(txn.Then, api.TxnOp{Get: &api.TxnGet{Keys: api.Keys{Key: "a"}}})
	r, err := c.Txn(t.Context(), txn)
	if err != nil || len(r.Results) != 8 || len(r.Results[7].Get.Records[0].Value) != api.MaxValueBytes+2 {
		t.Fatalf("%d results, %v", len(r.Results), err)
	}
	txn.Then = append(txn.Then, client.PutOp("h", []byte(large)))
	_, err = c.Txn(t.Context(), txn)
	if api.ErrorCode(err) != api.CodeTooLarge || !strings.Contains(err.Error(), "8388608") {
		t.Errorf("%.200v", err)
	}
}

func TestTheErrorsOfTxn(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	one := json.RawMessage("1")
	only := func(o api.TxnOp) api.Txn { return api.Txn{Then: []api.TxnOp{o}} }
	for want, txn := range map[string]api.Txn{
		`invalid: "a\xff" in the transaction is not UTF-8`: only(api.TxnOp{Incr: &api.TxnIncr{Key: "a\xff"}}),
		`invalid: "\xff" in the transaction is not UTF-8`:  {If: []api.Compare{{Keys: api.Keys{Prefix: "\xff"}}}},
		`invalid: the transaction cannot be JSON`:          only(api.TxnOp{Set: &api.TxnSet{Value: []byte("{")}}),
		`invalid: a transaction needs operations`:          {},
		`invalid: if[0]: the comparison compares nothing`:  {If: []api.Compare{{Keys: api.Keys{Key: "a"}}}},
		`precondition_failed: then[0].cas: key "a"`:        only(api.TxnOp{Cas: &api.TxnCas{Key: "a", Expected: one}}),
		`too_large: field "txn" has 513 comparisons`:       {Else: counts(513)},
	} {
		if _, err := c.Txn(t.Context(), txn); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func counts(n int) []api.TxnOp {
	list := make([]api.TxnOp, n)
	for i := range list {
		list[i].Count = &api.Keys{Key: "a"}
	}
	return list
}

// A transaction that may have been done is not sent again (trap T49).
func TestATransactionIsNotRepeated(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var asked atomic.Int32
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathTxn || r.URL.Path == api.PathBatch {
			asked.Add(1)
			panic(http.ErrAbortHandler)
		}
		return false
	})
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	_, err := c.TxnJSON(t.Context(), []byte(`{"then":[{"incr":{"key":"n"}}]}`))
	if api.ErrorCode(err) != api.CodeOutcomeUnknown {
		t.Error(err)
	}
	if _, err = c.Txn(t.Context(), api.Txn{Then: counts(1)}); api.ErrorCode(err) != api.CodeOutcomeUnknown {
		t.Error(err)
	}
	if asked.Load() != 2 {
		t.Errorf("%d requests", asked.Load())
	}
}

func TestDeletePrefix(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	c := connect(t, client.Config{Endpoints: cluster.URLs()})
	put(t, c, "a", "a/1", "a/2", "b")
	if r, err := c.DeletePrefix(t.Context(), "a/"); err != nil || r.Deleted != 2 || r.Revision != 5 || r.More {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.DeletePrefix(t.Context(), "a/"); err != nil || r.Deleted != 0 || r.Revision != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := c.DeletePrefix(t.Context(), ""); api.ErrorCode(err) != api.CodeInvalid {
		t.Error(err)
	}
}

// A delete that ended with its time is continued where it ended.
func TestDeletePrefixGoesOn(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var queries []string
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		queries = append(queries, r.URL.RawQuery)
		w.Header().Set(api.HeaderTerm, "1")
		answer := `{"revision":7,"deleted":3}`
		if len(queries) < 3 {
			answer = `{"revision":6,"deleted":10000,"more":true,"next":"a/5"}`
		}
		_, _ = w.Write([]byte(answer))
		return true
	})
	r, err := connect(t, client.Config{Endpoints: cluster.URLs()}).DeletePrefix(t.Context(), "a/")
	if err != nil || r.Deleted != 20003 || r.Revision != 7 || r.More {
		t.Errorf("%+v, %v", r, err)
	}
	if want := "prefix=a%2F from=a%2F5&prefix=a%2F from=a%2F5&prefix=a%2F"; strings.Join(queries, " ") != want {
		t.Errorf("%q", queries)
	}
}
