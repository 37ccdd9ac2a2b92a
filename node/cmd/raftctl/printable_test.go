package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// nasty has what a terminal acts on: each character of actsOnTerminals.
const (
	nasty           = "\x1b]0;pwn\x07\x1b[31mred\u009b31m\u202e\x00"
	actsOnTerminals = "\x1b\x07\u009b\u202e\x00"
)

// Text from nodes must not control the terminal on which it is shown.
func TestWhatNodesTellDoesNotActOnTheTerminal(t *testing.T) {
	t.Parallel()
	node := api.NodeStatus{}
	node.ID, node.Healthy, node.State, node.Version, node.Error, node.APIAddress = 1, true, nasty, nasty, nasty, nasty
	gone := node
	gone.ID, gone.Healthy = 2, false
	s := api.ClusterStatus{ClusterID: nasty, Nodes: []api.NodeStatus{node, gone}}
	s.Health.State, s.Health.Reasons = nasty, []string{nasty}
	var stderr bytes.Buffer
	(&program{stderr: &stderr, ctx: t.Context()}).report(&failure{message: nasty, hints: []string{nasty}})
	for what, text := range map[string]string{
		"the status": statusTable(s, false), "a change": changeLine(s), "an error": stderr.String(),
	} {
		if strings.ContainsAny(text, actsOnTerminals) || !strings.Contains(text, "red") {
			t.Errorf("%s is %q", what, text)
		}
	}
}

// A node reports in its own words why it is not ready.
func TestReadyDoesNotActOnTheTerminal(t *testing.T) {
	t.Parallel()
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(api.HeaderTerm, "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "[-]leader failed: "+nasty+"\nnot ready\n")
	}))
	defer node.Close()
	for _, output := range []string{"table", "json", "ndjson", "raw"} {
		var stdout, stderr bytes.Buffer
		p := &program{
			ctx: t.Context(), stdout: &stdout, stderr: &stderr, toTerminal: true,
			getenv: func(string) string { return node.URL },
		}
		code := p.run([]string{"ready", "-o", output})
		if code != exitUnhealthy || strings.ContainsAny(stdout.String()+stderr.String(), actsOnTerminals) {
			t.Errorf("-o %s: exit code %d, %q, %q", output, code, stdout.String(), stderr.String())
		}
	}
}

// A pipe gets the value as it is stored; a terminal gets it with escapes.
func TestGetOnATerminalEscapesTheValue(t *testing.T) {
	t.Parallel()
	const stored = nasty + "\tä\xff\n"
	cluster := clienttest.New(t, 1)
	raftctl(t, cluster, stored, "put", "k", "-").want(t, exitOK, "revision 1, created\n")
	raftctl(t, cluster, "", "get", "k").want(t, exitOK, stored)
	get := func(output string) string {
		var stdout bytes.Buffer
		p := &program{
			ctx: t.Context(), stdout: &stdout, stderr: io.Discard, toTerminal: true,
			getenv: func(string) string { return strings.Join(cluster.URLs(), ",") },
		}
		if code := p.run([]string{"get", "k", "-o", output}); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		return stdout.String()
	}
	if got, want := get("table"), `\x1b]0;pwn\a\x1b[31mred\u009b31m\u202e\x00`+"\tä"+`\xff`+"\n"; got != want {
		t.Errorf("as a table: %q, want %q", got, want)
	}
	if got := get("raw"); got != stored {
		t.Errorf("raw: %q, want %q", got, stored)
	}
}

// JSON on a terminal is escaped, and has the same value.
func TestJSONOnATerminalIsEscaped(t *testing.T) {
	t.Parallel()
	for _, toTerminal := range []bool{false, true} {
		var stdout bytes.Buffer
		p := &program{stdout: &stdout, output: "json", toTerminal: toTerminal}
		const value = nasty + "\x7fä\U000E0001"
		if err := p.printJSON(map[string]string{"a": value}); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || got["a"] != value {
			t.Errorf("%q is read as %q, %v", stdout.String(), got, err)
		}
		if acts := strings.ContainsAny(stdout.String(), actsOnTerminals+"\x7f\U000E0001"); acts == toTerminal {
			t.Errorf("to a terminal %t: %q", toTerminal, stdout.String())
		}
	}
}
