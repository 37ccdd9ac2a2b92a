package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

func TestLs(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	raftctl(t, cluster, "", "ls").want(t, 0, "")
	raftctl(t, cluster, "", "ls", "-o", "json").want(t, 0, "[]\n")
	raftctl(t, cluster, "", "put", "cfg/a", "blue")
	raftctl(t, cluster, "", "put", "cfg/db/host", "10.0.0.1")
	raftctl(t, cluster, "\xff\x00", "put", "cfg/z", "-")
	raftctl(t, cluster, "", "put", "other", strings.Repeat("long ", 50))
	raftctl(t, cluster, "", "ls").want(t, 0, ""+
		"KEY          REVISION  VALUE\n"+
		"cfg/a               1  blue\n"+
		"cfg/db/host         2  10.0.0.1\n"+
		"cfg/z               3  (2 B, not text)\n"+
		"other               4  "+strings.Repeat("long ", 11)+"lo...\n")
	raftctl(t, cluster, "", "ls", "cfg/", "--delimiter", "/").want(t, 0, ""+
		"KEY      REVISION  VALUE\n"+
		"cfg/a           1  blue\n"+
		"cfg/db/\n"+
		"cfg/z           3  (2 B, not text)\n")
	raftctl(t, cluster, "", "list", "--prefix", "cfg/", "--keys").want(t, 0, "cfg/a\ncfg/db/host\ncfg/z\n")
	raftctl(t, cluster, "", "ls", "--limit", "2", "-o", "raw").want(t, 0, "cfg/a\ncfg/db/host\n")
	raftctl(t, cluster, "", "ls", "--from", "cfg/b", "--to", "cfg/z", "-o", "raw").want(t, 0, "cfg/db/host\n")
	raftctl(t, cluster, "", "ls", "--revision", "1", "-o", "raw").want(t, 0, "cfg/a\n")
	raftctl(t, cluster, "", "count").want(t, 0, "4\n")
	raftctl(t, cluster, "", "count", "cfg/", "--revision", "2", "-o", "ndjson").want(t, 0, `{"revision":2,"count":2}`+"\n")
	lines := raftctl(t, cluster, "", "ls", "--delimiter", "/", "-o", "ndjson")
	lines.want(t, 0, `{"folder":"cfg/"}`+"\n"+`{"key":"other","value":"`+strings.Repeat("long ", 50)+`",`+
		`"content_type":"text/plain","create_revision":4,"version":1,`+modified(cluster, 4))
	var listed []api.ListLine
	all := raftctl(t, cluster, "", "ls", "-o", "json")
	err := json.Unmarshal([]byte(all.stdout), &listed)
	if err != nil || len(listed) != 4 || listed[2].Encoding != "base64" {
		t.Errorf("%v: %s", err, all.stdout)
	}
}

// A table is aligned in parts, so that a list of any length is printed as it comes.
func TestALongListIsPrinted(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	var lines strings.Builder
	for i := range 2*listedRows + 1 {
		fmt.Fprintf(&lines, `{"key":"k%07d","value":"v","content_type":"text/plain","revision":1,"version":1}`+"\n", i)
	}
	fmt.Fprintf(&lines, `{"end":true,"revision":1,"count":%d}`+"\n", 2*listedRows+1)
	answerLists(cluster, lines.String())
	const keys = 2*listedRows + 1
	for format, want := range map[string]int{"table": 1 + keys, "raw": keys, "ndjson": keys} {
		r := raftctl(t, cluster, "", "ls", "-o", format)
		if got := strings.Count(r.stdout, "\n"); r.code != 0 || got != want {
			t.Errorf("%s: exit code %d, %d lines, want %d", format, r.code, got, want)
		}
	}
}

// answerLists makes node 1 answer every list with a text.
func answerLists(cluster *clienttest.Cluster, text string) {
	cluster.Nodes[0].Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathList {
			_, _ = io.WriteString(w, text)
		}
		return r.URL.Path == api.PathList
	})
}

func TestAnIncompleteListIsAnError(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	const line = `{"key":"a","value":"1","content_type":"text/plain","revision":1,"version":1}` + "\n"
	answerLists(cluster, line)
	raftctl(t, cluster, "", "ls", "-o", "raw").want(t, exitUnreachable, "a\n", "broke off after 1 lines")
	answerLists(cluster, line+`{"error":{"code":"compacted","message":"the revision is compacted"}}`+"\n")
	raftctl(t, cluster, "", "ls", "-o", "raw").want(t, exitFailed, "a\n", "the revision is compacted")
}

func TestKeysCannotActOnATerminal(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "put", "a\x1b[2J\nb", "\x1b[2J\nx")
	raftctl(t, cluster, "", "ls").want(t, 0, "KEY      REVISION  VALUE\na\ufffd[2J\ufffdb         1  \ufffd[2J\ufffdx\n")
	raftctl(t, cluster, "", "ls", "--keys").want(t, 0, "a\ufffd[2J\ufffdb\n")
	raftctl(t, cluster, "", "ls", "-o", "raw").want(t, 0, "a\x1b[2J\nb\n")
	r := raftctl(t, cluster, "", "history", "a\x1b[2J\nb")
	if r.code != 0 || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("history: %d %q", r.code, r.stdout)
	}
}

func TestHistoryAndRevert(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 3)
	raftctl(t, cluster, "", "put", "k", "blue").want(t, 0, "revision 1, created\n")
	const pretty = "{\n \"x\": 1\n}\n"
	raftctl(t, cluster, pretty, "put", "k", "-", "--content-type", "application/json").want(t, 0, "revision 2\n")
	raftctl(t, cluster, "", "del", "k").want(t, 0, "revision 3, deleted\n")
	raftctl(t, cluster, "", "put", "k", "red").want(t, 0, "revision 4, created\n")
	raftctl(t, cluster, "", "get", "k", "--revision", "1").want(t, 0, "blue\n")
	raftctl(t, cluster, "", "get", "k", "--revision", "3").want(t, 3, "", "there is no key k")
	raftctl(t, cluster, "", "get", "k", "--revision", "99").want(t, 2, "", "revision 99 does not exist yet")

	h := raftctl(t, cluster, "", "history", "k")
	for _, part := range []string{
		"REVISION  VERSION  TIME", "       4        1  20", "  red\n", "       3           20", "  (deleted)\n",
		"       1        1  20", "  blue\nthis is the whole history\n",
	} {
		if h.code != 0 || !strings.Contains(h.stdout, part) {
			t.Errorf("the history lacks %q:\n%s", part, h.stdout)
		}
	}
	raftctl(t, cluster, "", "history", "k", "-o", "raw").want(t, 0, "4\n3\n2\n1\n")
	page := raftctl(t, cluster, "", "history", "k", "--before", "4", "--limit", "1", "-o", "json").stdout
	var got api.HistoryPage
	err := json.Unmarshal([]byte(page), &got)
	if err != nil || len(got.Versions) != 1 || !got.Versions[0].Deleted || !got.More {
		t.Errorf("%v: %s", err, page)
	}
	part := raftctl(t, cluster, "", "history", "k", "--limit", "2").stdout
	if !strings.HasSuffix(part, "there are older versions: raftctl history k --before 3\n") {
		t.Errorf("a part ends with %s", part)
	}

	raftctl(t, cluster, "", "revert", "k", "--revision", "2").want(t, 0, "revision 5, with the value of revision 2\n")
	raftctl(t, cluster, "", "get", "k", "--revision", "5", "-o", "raw").want(t, 0, pretty) // each byte
	raftctl(t, cluster, "", "revert", "k", "--revision", "5").want(t, 0, "unchanged: k is as it was at revision 5\n")
	raftctl(t, cluster, "", "revert", "k", "--revision", "3", "-o", "ndjson").want(t, 0,
		`{"revision":6,"changed":true,"deleted":true}`+"\n")
	raftctl(t, cluster, "", "revert", "k", "--revision", "3").want(t, 0, "unchanged: k is as it was at revision 3\n")
	raftctl(t, cluster, "", "revert", "k", "--revision", "4", "-o", "raw").want(t, 0, "7\n")

	raftctl(t, cluster, "", "compact", "4").want(t, 0, "the history begins at revision 4\n")
	raftctl(t, cluster, "", "revert", "k", "--revision", "2").want(t, 1, "", "the oldest that can be read is 4")
	cut := raftctl(t, cluster, "", "history", "k").stdout
	if !strings.HasSuffix(cut, "red\nolder versions were compacted: the history begins at revision 4\n") {
		t.Errorf("after the compaction the history ends with\n%s", cut)
	}
	raftctl(t, cluster, "", "history", "none").want(t, 3, "", "there is no key none")
}

// Another client changes the key between the reads and the write of a revert.
func TestARevertDoesNotOverwriteAChange(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, "", "put", "k", "1")
	raftctl(t, cluster, "", "put", "k", "2")
	changed := false
	cluster.Nodes[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == api.PathBatch && !changed {
			body, err := io.ReadAll(r.Body)
			if changed = strings.Contains(string(body), `"op":"put"`); changed && err == nil {
				cluster.Lose("k")
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		return false
	})
	raftctl(t, cluster, "", "revert", "k", "--revision", "1").want(t, exitPrecondition, "",
		"error: k was changed meanwhile; nothing was written")
}

func TestWrongUsageOfLists(t *testing.T) {
	t.Parallel()
	cluster := clienttest.New(t, 1)
	for want, args := range map[string][]string{
		"--limit is 0; it must be at least 1":                  {"ls", "--limit", "0"},
		"give the prefix once":                                 {"ls", "a", "--prefix", "b"},
		"--revision is 0; it must be a revision like 42":       {"get", "k", "--revision", "0"},
		"--consistency is \"strong\"":                          {"ls", "--consistency", "strong"},
		"--limit is 0; it must be from 1 to 1000":              {"history", "k", "--limit", "0"},
		"raftctl revert needs --revision N":                    {"revert", "k"},
		"--curl shows one request, and a revert needs several": {"revert", "k", "--revision", "1", "--curl"},
		"REVISION is \"x\"":                                    {"compact", "x"},
		"REVISION is \"0\"":                                    {"compact", "0"},
		"it must be at most 0":                                 {"compact", "7"},
	} {
		raftctl(t, cluster, "", args...).want(t, 2, "", want)
	}
}

func TestCurlLinesOfLists(t *testing.T) {
	t.Parallel()
	const kv = "http://h:1/api/v1/kv"
	const lines = "-H 'Accept: application/x-ndjson' "
	for args, want := range map[string]string{
		"ls":                           lines + kv,
		"ls a/ --keys --limit 3":       lines + "'" + kv + "?keys_only=true&limit=3&prefix=a%2F'",
		"ls --delimiter / --to b":      lines + "'" + kv + "?delimiter=%2F&to=b'",
		"count a --revision 7":         "'" + kv + "?count=true&prefix=a&revision=7'",
		"get k --revision 7":           "'" + kv + "/k?revision=7'",
		"history k --before 9":         "'" + kv + "/k?before=9&history=true&limit=100'",
		"compact 7":                    `-X POST --data-binary '{"revision":7}' http://h:1/api/v1/compact`,
		"ls --from a --min-revision 3": lines + "'" + kv + "?from=a&min_revision=3'",
	} {
		line := append(strings.Fields(args), "--curl", "--endpoints", "h:1")
		raftctlIn(t.Context(), nil, "", line...).want(t, 0, "curl "+want+"\n")
	}
}
