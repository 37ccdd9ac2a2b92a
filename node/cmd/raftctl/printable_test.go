package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/node/client"
)

// What nodes tell must not act on the terminal on which it is shown.
func TestWhatNodesTellDoesNotActOnTheTerminal(t *testing.T) {
	t.Parallel()
	const nasty = "\x1b]0;pwn\x07\x1b[31mred\u009b31m\u202e\x00"
	node := client.NodeStatus{}
	node.ID, node.Healthy, node.State, node.Version, node.Error, node.APIAddress = 1, true, nasty, nasty, nasty, nasty
	gone := node
	gone.ID, gone.Healthy = 2, false
	s := client.ClusterStatus{ClusterID: nasty, Nodes: []client.NodeStatus{node, gone}}
	s.Health.State, s.Health.Reasons = nasty, []string{nasty}
	var stderr bytes.Buffer
	(&program{stderr: &stderr, ctx: t.Context()}).report(&failure{message: nasty, hints: []string{nasty}})
	for what, text := range map[string]string{
		"the status": statusTable(s, false), "a change": changeLine(s), "an error": stderr.String(),
	} {
		if strings.ContainsAny(text, "\x1b\x07\u009b\u202e\x00") || !strings.Contains(text, "red") {
			t.Errorf("%s is %q", what, text)
		}
	}
}
