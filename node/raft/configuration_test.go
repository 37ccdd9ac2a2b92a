package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestConfigurationsThatCannotBe(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		spoil func(*Configuration)
		want  string
	}{
		"no member":             {func(cfg *Configuration) { cfg.Members = nil }, "at least one"},
		"no voter":              {func(cfg *Configuration) { *cfg = withRoles(*cfg, Learner, 1, 2, 3) }, "at least one"},
		"id 0":                  {func(cfg *Configuration) { cfg.Members[0].ID = 0 }, "positive"},
		"an id twice":           {func(cfg *Configuration) { cfg.Members[1].ID = 1 }, "twice"},
		"no order":              {func(cfg *Configuration) { slices.Reverse(cfg.Members) }, "ascending"},
		"an address twice":      {func(cfg *Configuration) { cfg.Members[2].Address = "http://h1:7080" }, "same address"},
		"an unknown role":       {func(cfg *Configuration) { cfg.Members[0].Role = 9 }, "unknown role"},
		"leaves nothing":        {func(cfg *Configuration) { *cfg = withRoles(*cfg, Leaving, 1) }, "outgoing"},
		"outgoing without ids":  {func(cfg *Configuration) { cfg.Outgoing = []NodeID{1, 7} }, "outgoing voter 7"},
		"outgoing in disorder":  {func(cfg *Configuration) { cfg.Outgoing = []NodeID{2, 1} }, "outgoing voter 1"},
		"a last id that is low": {func(cfg *Configuration) { cfg.LastID = 2 }, "highest id"},
		"too many members": {func(cfg *Configuration) {
			for id := NodeID(4); id <= MaxMembers+1; id++ {
				cfg.Members = append(cfg.Members, memberAt(id))
			}
			cfg.LastID = MaxMembers + 1
		}, "100 members"},
	} {
		cfg := initial(1, 2, 3)
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		c.spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", what, err, c.want)
		}
	}
}

func TestNewConfigurationSorts(t *testing.T) {
	t.Parallel()
	cfg, err := NewConfiguration([]Member{memberAt(5), memberAt(2)})
	if err != nil || !cfg.Equal(initial(2, 5)) || cfg.LastID != 5 {
		t.Errorf("got %+v, %v", cfg, err)
	}
	if _, err := NewConfiguration(nil); err == nil {
		t.Error("a cluster without members")
	}
}

func TestConfigurationAsJSON(t *testing.T) {
	t.Parallel()
	cfg := withRoles(initial(1, 2, 3), Learner, 3)
	cfg = withRoles(cfg, Leaving, 2)
	cfg.Index, cfg.Outgoing, cfg.LastID = 7, []NodeID{1, 2}, 9
	cfg.Members[0].APIAddress, cfg.Members[2].AutoPromote = "http://h1:8080", true
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "JSON", string(text), `{"index":7,"members":[`+
		`{"id":1,"address":"http://h1:7080","api_address":"http://h1:8080","role":"voter"},`+
		`{"id":2,"address":"http://h2:7080","api_address":"","role":"leaving"},`+
		`{"id":3,"address":"http://h3:7080","api_address":"","role":"learner","auto_promote":true}],`+
		`"outgoing":[1,2],"last_id":9}`)
	var again Configuration
	if err := json.Unmarshal(text, &again); err != nil || !again.Same(cfg) {
		t.Errorf("read as %+v, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`{"role":"king"}`), &Member{}); err == nil {
		t.Error("an unknown role is read")
	}
	if _, err := json.Marshal(Member{Role: 9}); err == nil {
		t.Error("an unknown role is written")
	}
}

// changeOf returns a change that promotes the first ids, and removes the others.
func changeOf(promote, remove []NodeID) Change { return Change{Promote: promote, Remove: remove} }

func TestAChangeOfOneVoterTakesOneStep(t *testing.T) { // paper, section 6; thesis 4.1
	t.Parallel()
	base := withRoles(initial(1, 2, 3, 4, 5, 6), Learner, 4, 5, 6)
	for what, c := range map[string]struct {
		change Change
		joint  bool
	}{
		"one in":            {changeOf([]NodeID{4}, nil), false},
		"one out":           {changeOf(nil, []NodeID{1}), false},
		"learners out":      {changeOf(nil, []NodeID{4, 5, 6}), false},
		"new learners":      {Change{Add: []Member{memberAt(7), memberAt(8)}}, false},
		"one for another":   {changeOf([]NodeID{4}, []NodeID{1}), true},
		"three to five":     {changeOf([]NodeID{4, 5}, nil), true},
		"three to one":      {changeOf(nil, []NodeID{1, 2}), true},
		"all for others":    {changeOf([]NodeID{4, 5, 6}, []NodeID{1, 2, 3}), true},
		"another address":   {Change{Update: []Member{{ID: 2, Address: "http://new:7080"}}}, false},
		"a voter and a new": {Change{Promote: []NodeID{4}, Add: []Member{memberAt(9)}}, false},
	} {
		next, err := base.apply(c.change)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		wantEqual(t, what+": joint", next.Joint(), c.joint)
		if c.joint {
			wantSlice(t, what+": outgoing", next.Outgoing, []NodeID{1, 2, 3})
		}
		if err := next.Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		last := next.left()
		for _, m := range last.Members {
			if m.Role == Leaving || slices.Contains(c.change.Remove, m.ID) {
				t.Errorf("%s: member %d stays as %s", what, m.ID, m.Role)
			}
		}
		wantEqual(t, what+": joint afterwards", last.Joint(), false)
	}
}

// Any quorum of a configuration and any of the next have a voter in common, or there could be two leaders of a term.
// All changes of clusters with up to six members are tried, and all groups of members.
func TestQuorumsOfConsecutiveConfigurationsShareAVoter(t *testing.T) { // T23, paper, section 6
	t.Parallel()
	const n = 6
	base := initial(1, 2, 3, 4, 5, 6)
	for before := group(1); before < 1<<n; before++ {
		for after := group(1); after < 1<<n; after++ {
			first := base.withVoters(before)
			var change Change
			for id := NodeID(1); id <= n; id++ {
				switch {
				case after.has(id) && !before.has(id):
					change.Promote = append(change.Promote, id)
				case !after.has(id) && before.has(id):
					change.Remove = append(change.Remove, id)
				}
			}
			if before == after {
				continue
			}
			second, err := first.apply(change)
			if err != nil {
				t.Fatal(err)
			}
			wantShared(t, first.quorums(), second.quorums())
			if second.Joint() {
				wantShared(t, second.quorums(), second.left().quorums())
			}
		}
	}
}

// withVoters returns a configuration in which only a group votes, and the others are learners.
func (cfg Configuration) withVoters(g group) Configuration {
	for _, m := range cfg.Members {
		if !g.has(m.ID) {
			cfg = withRoles(cfg, Learner, m.ID)
		}
	}
	return cfg
}

// wantShared checks that no group is a quorum of one configuration while the rest is one of the other.
func wantShared(t *testing.T, a, b quorums) {
	t.Helper()
	for g := range group(1 << 6) {
		if a.Agree(g.has) && b.Agree(func(id NodeID) bool { return !g.has(id) }) {
			t.Fatalf("%v and %v: %b decides in one, and the others in the other", a, b, g)
		}
	}
}

func TestChangesThatDoNotFit(t *testing.T) {
	t.Parallel()
	base := withRoles(initial(1, 2, 3, 4), Learner, 4)
	base.LastID = 6
	at := func(id NodeID, address string) []Member { return []Member{{ID: id, Address: address}} }
	for what, c := range map[string]struct {
		change Change
		want   error
		text   string
	}{
		"nothing":                {Change{}, ErrBadChange, "it is empty"},
		"a member again":         {Change{Add: at(3, "http://x:1")}, ErrIDUsed, "use 7"},
		"a removed one again":    {Change{Add: at(5, "http://x:1")}, ErrIDUsed, "use 7"},
		"the last id again":      {Change{Add: at(6, "http://x:1")}, ErrIDUsed, "use 7"},
		"an id far ahead":        {Change{Add: at(8+1<<20, "http://x:1")}, ErrBadChange, "use 7 to 1048582"},
		"id 0":                   {Change{Add: at(0, "http://x:1")}, ErrIDUsed, "use 7"},
		"one id twice":           {Change{Add: append(at(7, "http://x:1"), at(7, "http://y:1")...)}, ErrIDUsed, "use"},
		"the address of another": {Change{Add: at(7, "http://h2:7080")}, ErrAddressUsed, "member 2"},
		"one address twice": {
			Change{Add: append(at(7, "http://x:1"), at(8, "http://x:1")...)}, ErrAddressUsed, "7",
		},
		"an update to one in use":     {Change{Update: at(4, "http://h2:7080")}, ErrAddressUsed, "member 2"},
		"an unknown member":           {Change{Remove: []NodeID{9}}, ErrBadChange, "node 9 is not a member"},
		"an unknown learner":          {Change{Promote: []NodeID{9}}, ErrBadChange, "node 9 is not a member"},
		"an update of an unknown one": {Change{Update: at(9, "http://x:1")}, ErrBadChange, "node 9 is not a member"},
		"a voter as a voter":          {Change{Promote: []NodeID{2}}, ErrBadChange, "a voter already"},
		"in and out":                  {changeOf([]NodeID{4}, []NodeID{4}), ErrBadChange, "named twice"},
		"all voters out":              {Change{Remove: []NodeID{1, 2, 3}}, ErrBadChange, "at least one"},
		"the address of one that leaves": {
			Change{Promote: []NodeID{4}, Remove: []NodeID{2}, Add: at(7, "http://h2:7080")}, ErrBadChange, "same address",
		},
	} {
		_, err := base.apply(c.change)
		if !errors.Is(err, c.want) || !errors.Is(err, ErrBadChange) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", what, err, c.want, c.text)
		}
	}
}

// An update of a member does not promote it: one that did made learners voters in another system.
func TestAnUpdateHasNoRole(t *testing.T) { // T29
	t.Parallel()
	base := withRoles(initial(1, 2, 3, 4), Learner, 4)
	next, err := base.apply(Change{Update: []Member{{ID: 4, Address: "http://new:7080", APIAddress: "a", Role: Voter}}})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := next.Member(4)
	wantEqual(t, "member", m, Member{ID: 4, Address: "http://new:7080", APIAddress: "a", Role: Learner})
	next, err = base.apply(Change{Add: []Member{{ID: 5, Address: "http://x:1", Role: Voter}}})
	if err != nil {
		t.Fatal(err)
	}
	m, _ = next.Member(5)
	wantEqual(t, "role of a new member", m.Role, Learner)
	wantEqual(t, "last id", next.LastID, 5)
}

// The id of a removed member stays used, though no member has it.
func TestAnIDIsNotUsedTwice(t *testing.T) { // T28
	t.Parallel()
	next, err := initial(1, 2, 3).apply(Change{Remove: []NodeID{3}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.apply(Change{Add: []Member{memberAt(3)}}); !errors.Is(err, ErrIDUsed) {
		t.Errorf("got %v", err)
	}
	if next, err = next.apply(Change{Add: []Member{memberAt(4)}}); err != nil || fmt.Sprint(next.Voters()) != "[1 2]" {
		t.Errorf("got %+v, %v", next, err)
	}
}
