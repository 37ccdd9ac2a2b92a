package transport

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/http1"
)

// threeNames are three nodes with names as their addresses. The test sets where these lead.
func threeNames(t *testing.T) (nodes []*testNode, n *names) {
	t.Helper()
	n = &names{leads: map[string]string{}}
	nodes = newCluster(t, 3, func(cfg *Config) {
		cfg.RoundTripTimeout, cfg.DialContext, cfg.Greet = time.Second, n.dial, cfg.ID == 2
		cfg.Members = slices.Clone(cfg.Members)
		cfg.Key, cfg.Keys = keyOf(cfg.ID), knownKeys()
		for i := range cfg.Members {
			cfg.Members[i].Address = fmt.Sprintf("http://node-%d:7080", i+1)
		}
	})
	nodes[0].localHost = func(*http.Request) string { return "10.0.0.1" }
	return nodes, n
}

// Nodes 1 and 2 were replaced one soon after the other, and for half a minute the name of each leads to where it was.
// Node 3 did not move, and has a hint from node 1.
func TestTwoThatMovedFindEachOtherThroughTheThird(t *testing.T) { // O20
	t.Parallel()
	nodes, n := threeNames(t)
	one, two, three := nodes[0], nodes[1], nodes[2]
	n.set("node-1", "")
	n.set("node-2", "")
	n.set("node-3", three.listener.Addr().String())
	n.set("10.0.0.1", one.listener.Addr().String())
	n.set("127.0.0.1", two.listener.Addr().String()) // where node 2 really calls from
	start(t, one, three)
	three.callFrom(t, 1, "10.0.0.1:41234")
	next(t, three.fake.delivered, "the call of node 1")
	start(t, two)
	beats(t, one, two)
}

func TestANodeThatStartsIsFoundBeforeItHasAnythingToSay(t *testing.T) { // O20
	t.Parallel()
	nodes, n := threeNames(t)
	one, two := nodes[0], nodes[1]
	n.set("node-1", one.listener.Addr().String())
	n.set("127.0.0.1", two.listener.Addr().String())
	start(t, one, two) // the name of node 2 is not known yet
	beats(t, one, two)
}

func TestHearsayDoesNotReplaceWhatAPeerHasShown(t *testing.T) {
	t.Parallel()
	w := newWhereabouts("http://"+podName+":7080", http1.Dialer{DialContext: (&names{}).dial}, proved)
	w.suggest("10.0.0.1")
	w.calledFrom("10.0.0.2:5")
	w.suggest("10.0.0.1")
	if host := *w.hint.Load(); host != "10.0.0.2" {
		t.Errorf("the hint is %s, want where the peer called from", host)
	}
	w.blame("10.0.0.2")
	w.suggest("10.0.0.3")
	if host := *w.hint.Load(); host != "10.0.0.3" {
		t.Errorf("the hint is %s, though that was found wrong and another node has another", host)
	}
}
