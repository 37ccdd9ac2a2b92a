package observation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/plaintext"
	"github.com/kontiki-dev/kontiki/node/raft"
	"github.com/kontiki-dev/kontiki/node/scheduler"
)

// reported is what a peer sends when it is asked.
type reported struct {
	api.Status
	events []api.Event
}

// peers is what each peer sends, or why none answers.
type peers struct {
	reported map[raft.NodeID]reported
	err      error
}

// observationOf is what node 1 of three sees of such peers.
func observationOf(p peers, change func(c *Config)) *Observation {
	c := Config{
		Self: func() identity.Identity { return identity.Identity{ID: 1, ClusterID: "ours"} },
		Members: func() []identity.Member {
			return []identity.Member{
				{ID: 1, Address: "http://h1:7080"},
				{ID: 2, Address: "http://h2:7080"},
				{ID: 3, Address: "http://h3:7080", APIAddress: "http://h3:8080"},
			}
		},
		Status: func() api.Status { return api.Status{ID: 1} },
		Term:   func() raft.Term { return 3 },
		Ask: func(_ context.Context, peer raft.NodeID) (api.Status, []api.Event, error) {
			return p.reported[peer].Status, p.reported[peer].events, p.err
		},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Scheduler: &scheduler.Machine{},
	}
	if change != nil {
		change(&c)
	}
	c.Membership = func() *raft.Membership {
		cfg, _ := identity.InitialConfiguration(c.Members())
		return &raft.Membership{Configuration: cfg}
	}
	return New(context.Background(), c)
}

func member(id raft.NodeID, change func(s *reported)) reported {
	s := reported{Status: api.Status{
		ID: uint64(id), ClusterID: "ours", LifeCycle: api.StateMember, State: "FOLLOWER", CurrentTerm: 3,
	}}
	if change != nil {
		change(&s)
	}
	return s
}

// look asks member 2 and returns what is known of it then.
func look(o *Observation) reportedStatus {
	o.ask(context.Background(), o.cfg.Members()[1])
	return o.last[2]
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
		peer := member(2, func(s *reported) { s.APIAddress = c.told })
		o := observationOf(peers{reported: map[raft.NodeID]reported{2: peer}},
			func(c *Config) { c.APIAddress, c.APIHosts = "http://page.example:8080", []string{"trusted.box"} })
		seen := look(o)
		if seen.err != "" || seen.status.APIAddress != c.want || o.Membership().Members[1].APIAddress != c.want {
			t.Errorf("%q became %q and %q, %s; want %q", c.told, seen.status.APIAddress,
				o.Membership().Members[1].APIAddress, seen.err, c.want)
		}
	}
}

func TestAConfiguredOriginIsNotReplaced(t *testing.T) {
	t.Parallel()
	liar := member(3, func(s *reported) { s.APIAddress = "http://h3:1337" })
	o := observationOf(peers{reported: map[raft.NodeID]reported{3: liar}}, nil)
	o.ask(context.Background(), o.cfg.Members()[2])
	if got := o.Membership().Members[2].APIAddress; got != "http://h3:8080" {
		t.Errorf("the API of node 3 is at %s", got)
	}
}

const nasty = "\x1b]0;pwn\x07\x1b[31mred\u009b31m\u202e\nfake log line level=ERROR\x00"

// checkPlain fails if a text could act on a terminal or break a line of a log.
func checkPlain(t *testing.T, what, text string) {
	t.Helper()
	if strings.ContainsAny(text, "\x1b\x07\n\x00\u009b\u202e") || len(text) > plaintext.Most {
		t.Errorf("%s is %q", what, text)
	}
}

func TestWhatAPeerSaysIsPlainText(t *testing.T) {
	t.Parallel()
	o := observationOf(peers{reported: map[raft.NodeID]reported{2: member(2, func(s *reported) {
		s.Notice, s.Mismatch = nasty, strings.Repeat(nasty, 100)
		s.Version, s.State, s.Reason = nasty, nasty, strings.Repeat(nasty, 100)
		s.Progress = map[uint64]api.Progress{1: {State: nasty}, 77: {State: nasty}}
		s.MatchIndex = map[uint64]uint64{1: 1, 88: 2}
		s.SeenMembers = make([]uint64, 100_000)
		for _, q := range []*api.Quantiles{&s.Latency.Write, &s.Latency.Read, &s.Latency.Fsync} {
			q.Buckets = make([]uint64, 100_000)
		}
		s.NextIndex = map[uint64]uint64{99: 3}
		s.Founders = nasty
		s.Founding = &api.Founding{Members: 99, Needed: 99, Missing: []uint64{77, 3, 2}}
		s.events = []api.Event{{Seq: 1, Node: 2, Kind: nasty, Role: nasty, Reason: nasty}}
	})}}, nil)
	seen := look(o)
	if len(seen.status.Mismatch) > maxSentence {
		t.Errorf("the mismatch has %d bytes", len(seen.status.Mismatch))
	}
	for what, text := range map[string]string{
		"notice": seen.status.Notice, "mismatch": seen.status.Mismatch[:plaintext.Most],
		"version": seen.status.Version, "state": seen.status.State, "reason": seen.status.Reason,
		"progress": seen.status.Progress[1].State, "founders": seen.status.Founders,
	} {
		checkPlain(t, what, text)
	}
	if f := seen.status.Founding; f.Members != 3 || f.Needed != 3 || !slices.Equal(f.Missing, []uint64{2, 3}) {
		t.Errorf("the founding waits for %+v", f)
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
	events, _ := o.Events(0)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	for _, text := range []string{string(events[0].Kind), events[0].Role, events[0].Reason} {
		checkPlain(t, "an event", text)
	}
	failing := look(observationOf(peers{err: errors.New(nasty)}, nil))
	checkPlain(t, "an error", failing.err)
}

func TestAStatusThatCannotBeTheMembersIsNone(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(s *reported){
		"another node":    func(s *reported) { s.ID = 3 },
		"no node":         func(s *reported) { s.ID = 0 },
		"another cluster": func(s *reported) { s.ClusterID = nasty },
		"endless term":    func(s *reported) { s.CurrentTerm = 1<<53 + 1 },
		"endless commit":  func(s *reported) { s.CommitIndex = 1 << 63 },
		"endless applied": func(s *reported) { s.LastApplied = 1<<53 + 1 },
		"endless log":     func(s *reported) { s.LastLogIndex = 1 << 60 },
		"endless start":   func(s *reported) { s.FirstIndex = 1<<53 + 1 },
	} {
		s := member(2, change)
		s.APIAddress = "http://h2:8080"
		s.events = []api.Event{{Seq: 1, Node: 2}}
		o := observationOf(peers{reported: map[raft.NodeID]reported{2: s}}, nil)
		seen := look(o)
		checkPlain(t, what, seen.err)
		if events, _ := o.Events(0); seen.err == "" || !seen.at.IsZero() || seen.status.APIAddress != "" || len(events) > 0 {
			t.Errorf("%s: seen is %+v", what, seen)
		}
	}
	empty := reported{Status: api.Status{LifeCycle: api.StateEmpty, ClusterID: nasty}}
	o := observationOf(peers{reported: map[raft.NodeID]reported{2: empty}}, nil)
	seen := look(o)
	if seen.err != "" || seen.status.LifeCycle != api.StateEmpty {
		t.Errorf("an empty node is seen as %+v", seen)
	}
	checkPlain(t, "the cluster of an empty node", seen.status.ClusterID)
}
