package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/kv"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// What a transaction read arrives at the node that forwarded it as its leader would have answered, whatever it holds.
func TestTheResultOfATransactionIsForwardedUnchanged(t *testing.T) {
	t.Parallel()
	s := kv.New()
	apply := func(command []byte) kv.Result {
		return s.Apply(kv.Entry{Revision: s.Applied() + 1, Timestamp: 1_700_000_000_000_001, Command: command})
	}
	for i, value := range []string{
		`"<&>\u2028`, "\xff\x00", strings.Repeat("\n\"", 5000), nested(1000), `{"n": [1.0, 1e400]}`, "[\n1]", "",
	} {
		for _, kind := range []string{"text/plain", kv.TypeJSON} {
			put := kv.Put{Key: fmt.Appendf(nil, "%d\x00\"%s", i, kind), Value: []byte(value), ContentType: kind}
			apply(put.AppendJSON(nil))
		}
	}
	read := apply([]byte(`{"op":"txn","then":[{"incr":{"key":"n"}},{"get":{"from":""}},{"count":{"from":""}}]}`))
	refused := apply([]byte(`{"op":"txn","then":[{"incr":{"key":"n"}},{"delete":{"from":""}}]}`))
	sent := []node.Outcome{
		{Index: 15, Term: 2, Result: read}, {Index: 16, Term: 2, Result: refused}, {Err: node.ErrNotReady},
	}
	got, err := decodeOutcomes(appendOutcomes(nil, sent), len(sent))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sent {
		want, got := &sent[i].Result, &got[i].Result
		if !bytes.Equal(got.JSON(), want.JSON()) || got.Revision != want.Revision || got.Code != want.Code ||
			got.Message != want.Message || got.Limit != want.Limit {
			t.Errorf("outcome %d: %.300s %+v\nwant %.300s", i, got.JSON(), got, want.JSON())
		}
	}
}

// A command of the greatest length fits the bodies that carry it, forwarded and in the log.
func TestTheLargestCommandFitsABody(t *testing.T) {
	t.Parallel()
	limit := int(New(Config{ID: 1, ClusterID: testCluster}).cfg.MaxBodyBytes)
	command := []byte(`"` + strings.Repeat("x", kv.MaxCommandBytes-2) + `"`)
	if size := len(appendCommands([][]byte{command})); size > limit {
		t.Errorf("a forwarded command takes %d bytes of %d", size, limit)
	}
	m := raft.Message{Type: raft.MsgAppendEntries, Term: 1, Entries: []raft.Entry{{Index: 1, Term: 1, Command: command}}}
	if size := len(appendRequest(nil, &m)); size > limit {
		t.Errorf("its entry takes %d bytes of %d", size, limit)
	}
	// The values in an answer are charged twice.
	if most := 2 * (kv.MaxTxnResultBytes + 96*kv.MaxTxnOperations); most > maxOutcomeBytes {
		t.Errorf("the largest result is charged %d bytes of %d", most, maxOutcomeBytes)
	}
}
