package node

import (
	"slices"
	"testing"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
	"github.com/kontiki-dev/kontiki/node/raft"
)

// A majority of the voters decides which state and which log is right. Learners are not asked, and a node that is no
// voter needs more voters against it.
func TestWhoDecidesWhichStateIsRight(t *testing.T) { // T54
	t.Parallel()
	members := func(learner raft.NodeID, count int) []raft.Member {
		list := make([]raft.Member, count)
		for i := range list {
			list[i].ID = raft.NodeID(i + 1)
			if list[i].ID == learner {
				list[i].Role = raft.Learner
			}
		}
		return list
	}
	for name, c := range map[string]struct {
		cfg    raft.Configuration
		others []raft.NodeID
		count  int
	}{
		"three voters":   {raft.Configuration{Members: members(0, 3)}, []raft.NodeID{2, 3}, 3},
		"with a learner": {raft.Configuration{Members: members(4, 4)}, []raft.NodeID{2, 3}, 3},
		"as a learner":   {raft.Configuration{Members: members(1, 4)}, []raft.NodeID{2, 3, 4}, 4},
		"a joint configuration needs all": {
			raft.Configuration{Members: members(0, 4), Outgoing: []raft.NodeID{1, 2}}, []raft.NodeID{2, 3, 4}, 7,
		},
		"an only voter": {raft.Configuration{Members: members(2, 2)}, nil, 1},
	} {
		s := &shared{}
		s.who.Store(&identity.Identity{ID: 1})
		s.memberNews.Store(&raft.Membership{Configuration: c.cfg})
		if others, count := s.deciders(); !slices.Equal(others, c.others) || count != c.count {
			t.Errorf("%s: a majority of %d decides, %v among them; want %d and %v", name, count, others, c.count, c.others)
		}
	}
}

// New ids follow the highest one ever, also behind ids that the request names.
func TestNewMembersGetIDs(t *testing.T) { // T28
	t.Parallel()
	cfg := raft.Configuration{Index: 7, LastID: 5, Members: []raft.Member{{ID: 1, Address: "http://h1:1"}}}
	planned, err := planChange(&cfg, &api.MemberChange{Add: []api.NewMember{
		{Address: "http://A:1/"}, {ID: 9, Address: "http://b:1"}, {Address: "http://c:1", APIAddress: "http://C:2/"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []raft.Member{
		{ID: 6, Address: "http://a:1"},
		{ID: 9, Address: "http://b:1"},
		{ID: 10, Address: "http://c:1", APIAddress: "http://c:2"},
	}
	if !slices.Equal(planned.Add, want) || planned.Expected != 7 {
		t.Errorf("got %+v, want %+v", planned, want)
	}
}

// A change is done with a configuration that is not joint, and lost when another term is committed in its place.
func TestWhenAChangeIsDone(t *testing.T) { // T24, T49
	t.Parallel()
	plain := raft.Configuration{Index: 12}
	joint := raft.Configuration{Index: 10, Outgoing: []raft.NodeID{1}}
	entries := func(first raft.Index, terms ...raft.Term) []raft.Entry {
		var list []raft.Entry
		for i, term := range terms {
			list = append(list, raft.Entry{Index: first + raft.Index(i), Term: term})
		}
		return list
	}
	for name, c := range map[string]struct {
		committed []raft.Entry
		config    raft.Configuration
		settled   bool
		code      api.Code
	}{
		"earlier entries":     {entries(8, 3, 3), raft.Configuration{}, false, ""},
		"itself":              {entries(9, 3, 3), raft.Configuration{Index: 10}, true, ""},
		"the joint one":       {entries(10, 3), joint, false, ""},
		"its second step too": {entries(10, 3, 3, 3), plain, true, ""},
		"another term":        {entries(9, 3, 4), raft.Configuration{}, true, api.CodeChangeRefused},
		"a snapshot after it": {entries(11, 3), plain, true, api.CodeOutcomeUnknown},
	} {
		made := &memberChange{index: 10, term: 3, done: make(chan struct{})}
		settled := made.settle(&raft.Ready{Committed: c.committed}, &c.config)
		if settled != c.settled || PeerCode(made.err) != c.code {
			t.Errorf("%s: settled %t with %v, want %t and %q", name, settled, made.err, c.settled, c.code)
		}
	}
}
