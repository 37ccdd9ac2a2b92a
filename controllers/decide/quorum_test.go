package decide

import (
	"slices"
	"strings"
	"testing"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

func TestAMajorityOfTheVotersSurvives(t *testing.T) { // O15
	t.Parallel()
	for _, c := range []struct {
		all       voters
		without   []voters
		left      int
		survivors bool
	}{
		{all: nil, left: 0, survivors: false},
		{all: voters{1}, left: 1, survivors: true},
		{all: voters{1}, without: []voters{{1}}, left: 0, survivors: false},
		{all: voters{1, 2}, without: []voters{{2}}, left: 1, survivors: false},
		{all: voters{1, 2, 3}, without: []voters{{2}}, left: 2, survivors: true},
		{all: voters{1, 2, 3}, without: []voters{{2}, {2}}, left: 2, survivors: true},
		{all: voters{1, 2, 3}, without: []voters{{2}, {3}}, left: 1, survivors: false},
		{all: voters{1, 2, 3}, without: []voters{{7}}, left: 3, survivors: true},
		{all: voters{1, 2, 3, 4}, without: []voters{{1, 2}}, left: 2, survivors: false},
		{all: voters{1, 2, 3, 4, 5}, without: []voters{{1, 2}}, left: 3, survivors: true},
	} {
		if left, survives := c.all.left(c.without...), c.all.survives(c.without...); left != c.left ||
			survives != c.survivors {
			t.Errorf("of %v without %v, %d are left, a majority: %t", c.all, c.without, left, survives)
		}
	}
}

func TestTheQuorumStaysThroughADrain(t *testing.T) { // O34
	t.Parallel()
	for _, c := range []struct {
		voters       int
		pods, remain int32
	}{
		{1, 1, 1},
		{3, 3, 2},
		{5, 5, 3},
		{7, 7, 4},
		{2, 2, 2},
		{3, 5, 3}, // while it grows, the larger quorum counts
		{5, 3, 3}, // and while it shrinks
		{0, 3, 2}, // the voters are not known
	} {
		if got := drainQuorum(c.voters, c.pods); got != c.remain {
			t.Errorf("of %d voters and %d pods %d must remain, want %d", c.voters, c.pods, got, c.remain)
		}
	}
}

func TestOnlyHealthyMembersSpareAnother(t *testing.T) { // O15
	t.Parallel()
	c := &Configuration{members: []member{
		{id: 4, health: v1alpha1.HealthHealthy},
		{id: 9, health: v1alpha1.HealthHealthy},
		{id: 2, health: v1alpha1.HealthUnreachable},
	}}
	if c.spares(&c.members[0]) || !c.spares(&c.members[2]) {
		t.Error("with members 4 and 9 healthy of three, only the third can be spared")
	}
}

// The order is pinned, because moving a safety rule behind another one changes what is safe.
func TestRulesAreDecidedInThisOrder(t *testing.T) {
	t.Parallel()
	want := []string{
		"two clusters: SplitBrain", "bootstrap: Bootstrapping", "pause: Paused", "update: RollingUpdate",
		"steady: Reconciled", "found", "adopt", "introduce", "nothing outdated", "broken pod", "missing pod", "inert node",
		"not back yet", "only member", "no leader", "unhealthy member", "follower", "leader", "left alone",
	}
	var order []string
	for _, r := range rules {
		order = append(order, strings.TrimSuffix(r.name+": "+r.reason, ": "))
	}
	if !slices.Equal(order, want) {
		t.Errorf("the order is\n%q, want\n%q", order, want)
	}
}
