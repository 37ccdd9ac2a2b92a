package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// told is a Transport on which each peer says of itself what a test wants.
type told struct {
	Transport
	status map[raft.NodeID]PeerStatus
	err    error
}

func (t told) Status(_ context.Context, peer raft.NodeID) (PeerStatus, error) {
	return t.status[peer], t.err
}

// observerOf is node 1 of three, as far as observing the others takes it.
func observerOf(transport Transport, change func(o *Options)) *Node {
	n := &Node{sched: &scheduler.Machine{}, events: newEventLog(1, time.Now), cfg: Options{
		Transport: transport, Logger: slog.New(slog.DiscardHandler),
	}}
	if change != nil {
		change(&n.cfg)
	}
	n.who.Store(&identity.Identity{ID: 1, ClusterID: "ours", Members: []identity.Member{
		{ID: 1, Address: "http://h1:7080"},
		{ID: 2, Address: "http://h2:7080"},
		{ID: 3, Address: "http://h3:7080", APIAddress: "http://h3:8080"},
	}})
	n.view.Store(&view{lifeCycle: api.StateMember})
	n.observer = newObserver(n)
	return n
}

func member(id raft.NodeID, change func(s *PeerStatus)) PeerStatus {
	s := PeerStatus{Status: api.Status{
		ID: uint64(id), ClusterID: "ours", LifeCycle: api.StateMember, State: "FOLLOWER", CurrentTerm: 3,
	}}
	if change != nil {
		change(&s)
	}
	return s
}

// look asks member 2 and gives what is known of it then.
func look(n *Node) sighting {
	n.observer.ask(context.Background(), n.self().Members[1])
	return n.observer.last[2]
}

func TestAMembersOriginComesFromTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ told, want string }{
		{"http://h2:8080", "http://h2:8080"},
		{"https://H2.:8443/", "https://H2.:8443"},
		{"http://h2", "http://h2"},
		{"http://page.example:8081", "http://page.example:8081"},
		{"http://trusted.box:1", "http://trusted.box:1"},
		{"http://evil.example:1337", ""},
		{"http://h2.evil.example", ""},
		{"http://h2@evil.example", ""},
		{"javascript:alert(1)", ""},
		{"http://h2:8080/path", ""},
		{"http://h2:99999", ""},
		{"http://h2; script-src *", ""},
		{"http://127.0.0.1:22", ""},
		{"", ""},
		{"http://h3:8080", ""},
		{"http://h2\x1b[31m", ""},
	} {
		n := observerOf(told{status: map[raft.NodeID]PeerStatus{2: member(2, func(s *PeerStatus) { s.APIAddress = c.told })}},
			func(o *Options) { o.APIAddress, o.APIHosts = "http://page.example:8080", []string{"trusted.box"} })
		seen := look(n)
		if seen.err != "" || seen.status.APIAddress != c.want || n.Config().Members[1].APIAddress != c.want {
			t.Errorf("%q became %q and %q, %s; want %q", c.told, seen.status.APIAddress,
				n.Config().Members[1].APIAddress, seen.err, c.want)
		}
	}
}

func TestAConfiguredOriginIsNotReplaced(t *testing.T) {
	t.Parallel()
	liar := member(3, func(s *PeerStatus) { s.APIAddress = "http://h3:1337" })
	n := observerOf(told{status: map[raft.NodeID]PeerStatus{3: liar}}, nil)
	n.observer.ask(context.Background(), n.self().Members[2])
	if got := n.Config().Members[2].APIAddress; got != "http://h3:8080" {
		t.Errorf("the API of node 3 is at %s", got)
	}
}

const nasty = "\x1b]0;pwn\x07\x1b[31mred\u009b31m\u202e\nfake log line level=ERROR\x00"

// checkPlain fails if a text could act on a terminal or break a line of a log.
func checkPlain(t *testing.T, what, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\x07\n\x00\u009b\u202e") || len(text) > maxText {
		t.Errorf("%s is %q", what, text)
	}
}

func TestWhatAPeerSaysIsPlainText(t *testing.T) {
	t.Parallel()
	n := observerOf(told{status: map[raft.NodeID]PeerStatus{2: member(2, func(s *PeerStatus) {
		s.Notice, s.Mismatch = nasty, strings.Repeat(nasty, 100)
		s.Version, s.State, s.Reason = nasty, nasty, strings.Repeat(nasty, 100)
		s.Progress = map[uint64]api.Progress{1: {State: nasty}, 77: {State: nasty}}
		s.MatchIndex = map[uint64]uint64{1: 1, 88: 2}
		s.SeenMembers = make([]uint64, 100_000)
		for _, q := range []*api.Quantiles{&s.Latency.Write, &s.Latency.Read, &s.Latency.Fsync} {
			q.Buckets = make([]uint64, 100_000)
		}
		s.NextIndex = map[uint64]uint64{99: 3}
		s.Events = []api.Event{{Seq: 1, Node: 2, Kind: nasty, Role: nasty, Reason: nasty}}
	})}}, nil)
	seen := look(n)
	if len(seen.status.Mismatch) > maxSentence {
		t.Errorf("the mismatch has %d bytes", len(seen.status.Mismatch))
	}
	for what, text := range map[string]string{
		"notice": seen.status.Notice, "mismatch": seen.status.Mismatch[:maxText],
		"version": seen.status.Version, "state": seen.status.State, "reason": seen.status.Reason,
		"progress": seen.status.Progress[1].State,
	} {
		checkPlain(t, what, text)
	}
	if len(seen.status.Progress) != 1 || len(seen.status.MatchIndex) != 1 ||
		len(seen.status.NextIndex) > 0 || len(seen.status.SeenMembers) > identity.MaxMembers {
		t.Errorf("kept is %+v", seen.status)
	}
	for _, q := range []api.Quantiles{seen.status.Latency.Write, seen.status.Latency.Read, seen.status.Latency.Fsync} {
		if len(q.Buckets) > maxBuckets {
			t.Errorf("%d buckets are kept", len(q.Buckets))
		}
	}
	events, _ := n.Events(0)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	for _, text := range []string{string(events[0].Kind), events[0].Role, events[0].Reason} {
		checkPlain(t, "an event", text)
	}
	failing := look(observerOf(told{err: errors.New(nasty)}, nil))
	checkPlain(t, "an error", failing.err)
}

func TestAStatusThatCannotBeTheMembersIsNone(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *PeerStatus){
		"another node":    func(s *PeerStatus) { s.ID = 3 },
		"no node":         func(s *PeerStatus) { s.ID = 0 },
		"another cluster": func(s *PeerStatus) { s.ClusterID = nasty },
		"endless term":    func(s *PeerStatus) { s.CurrentTerm = 1<<53 + 1 },
		"endless commit":  func(s *PeerStatus) { s.CommitIndex = 1 << 63 },
		"endless applied": func(s *PeerStatus) { s.LastApplied = 1<<53 + 1 },
		"endless log":     func(s *PeerStatus) { s.LastLogIndex = 1 << 60 },
		"endless start":   func(s *PeerStatus) { s.FirstIndex = 1<<53 + 1 },
	} {
		s := member(2, change)
		s.APIAddress = "http://h2:8080"
		s.Events = []api.Event{{Seq: 1, Node: 2}}
		n := observerOf(told{status: map[raft.NodeID]PeerStatus{2: s}}, nil)
		seen := look(n)
		checkPlain(t, what, seen.err)
		if events, _ := n.Events(0); seen.err == "" || !seen.at.IsZero() || seen.status.APIAddress != "" || len(events) > 0 {
			t.Errorf("%s: seen is %+v", what, seen)
		}
	}
	empty := PeerStatus{Status: api.Status{LifeCycle: api.StateEmpty, ClusterID: nasty}}
	n := observerOf(told{status: map[raft.NodeID]PeerStatus{2: empty}}, nil)
	seen := look(n)
	if seen.err != "" || seen.status.LifeCycle != api.StateEmpty {
		t.Errorf("an empty node is seen as %+v", seen)
	}
	checkPlain(t, "the cluster of an empty node", seen.status.ClusterID)
}
