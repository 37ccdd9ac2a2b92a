package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func TestTxn(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	const move = `{"if":[{"key":"job/1","exists":false}],
		"then":[{"put":{"key":"job/1","value":"run\u001b"}},{"set":{"key":"job/2","value":[1]}},{"incr":{"key":"n"}},
			{"cas":{"key":"c","expected":null,"value":1}},{"count":{"prefix":"job/"}}],
		"else":[{"get":{"prefix":"job/"}},{"get":{"from":"","limit":1}},{"get":{"key":"none"}},{"delete":{"prefix":"job/"}}]}`
	raftctl(t, cluster, move, "txn").want(t, 0, "revision 1, the comparisons hold: then\n  put: created\n  set: created\n"+
		"  incr: 1\n  cas: swapped\n  count: 2 keys\n")
	file := filepath.Join(t.TempDir(), "move.json")
	if err := os.WriteFile(file, []byte(move), 0o600); err != nil {
		t.Fatal(err)
	}
	raftctl(t, cluster, "", "txn", file).want(t, 0, "revision 2, a comparison does not hold: else\n  get: 2 keys\n"+
		"     job/1  1  run\ufffd\n     job/2  1  [1]\n  get: 1 key, and more\n     c  1  1\n"+
		"  get: 0 keys\n  delete: 2 keys\n")
	raftctl(t, cluster, `{"if":[{"key":"none","exists":true}]}`, "txn", "-", "-o", "raw").want(t, 0, "false\n")
	raftctl(t, cluster, `{"then":[{"get":{"key":"n","keys_only":true}}]}`, "txn").want(t, 0,
		"revision 4, the comparisons hold: then\n  get: 1 key\n     n  1\n")
	raftctl(t, cluster, `{"then":[{"incr":{"key":"n"}}]}`, "txn", "-o", "ndjson").want(t, 0,
		`{"revision":5,"succeeded":true,"results":[{"incr":{"value":2}}]}`+"\n")
}

func TestTxnExplainsWhatIsWrong(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, " \n", "txn").want(t, 2, "", `stdin is empty; it must have a transaction, like {"then"`)
	raftctl(t, cluster, "", "txn", "no/such/file").want(t, 2, "", "cannot read the transaction: open no/such/file")
	raftctl(t, cluster, "", "txn", "a", "b").want(t, 2, "", "see: raftctl txn --help")
	raftctl(t, cluster, `{"then":[{"put":{"key":"a"}}]}`, "txn").want(t, 2, "", `then[0].put: field "value" is missing`)
	raftctl(t, cluster, `{"then":[{"cas":{"key":"a","expected":1,"value":2}}]}`, "txn").want(t, 4, "",
		`then[0].cas: key "a" is absent, which is not what is expected; nothing was changed`)
	raftctl(t, cluster, strings.Repeat(" ", api.MaxTxnBytes+1), "txn").want(t, 1, "", "is larger than 8388608 bytes")
}

func TestDelPrefix(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	for _, key := range []string{"a", "a/1", "a/2", "a/b", "b"} {
		raftctl(t, cluster, "", "put", key, "v")
	}
	raftctl(t, cluster, "", "del", "--prefix", "a/b").want(t, 0, "revision 6, 1 key deleted\n")
	raftctl(t, cluster, "", "del", "--prefix", "a/", "-o", "ndjson").want(t, 0, `{"revision":7,"deleted":2}`+"\n")
	raftctl(t, cluster, "", "del", "--prefix=a/").want(t, 3, "", "there is no key that begins with a/")
	raftctl(t, cluster, "", "ls", "-o", "raw").want(t, 0, "a\nb\n")
	for want, args := range map[string][]string{
		"raftctl del takes KEY or --prefix, not both":    {"del", "a", "--prefix", "b"},
		"--prefix is empty":                              {"del", "--prefix", ""},
		"--if-revision goes with KEY, not with --prefix": {"del", "--prefix", "a", "--if-revision", "4"},
		"raftctl del needs KEY; 0 were given":            {"del"},
	} {
		raftctl(t, cluster, "", args...).want(t, 2, "", want)
	}
}
