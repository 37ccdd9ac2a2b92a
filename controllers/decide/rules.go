package decide

import (
	"cmp"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// rule is one line of the table by which a pass is decided.
type rule struct {
	name string
	// reason is that of the condition Progressing if this is the first rule with one that fires.
	reason string
	fire   func(v *verdict, c *Configuration) turn
}

// turn is what a rule makes of its turn. The zero turn: it does not fire.
type turn struct {
	fires bool
	// ends: no later rule has a turn in this pass.
	ends bool
	act  Act // nil: none
	// waitsFor says what the next act waits for; "": for nothing.
	waitsFor string
}

// goOn fires, and leaves the act to the rules that follow.
func goOn(fires bool, waitsFor string) turn { return turn{fires: fires, waitsFor: waitsFor} }

// hold ends the pass without an act.
func hold(waitsFor string) turn { return turn{fires: true, ends: true, waitsFor: waitsFor} }

// do ends the pass with an act; without one it does not fire.
func do(act Act) turn { return turn{fires: act != nil, ends: act != nil, act: act} }

// rules are all rules, in the order in which they have their turns. The first that fires and has a reason says what is
// under way; the first that ends the pass chooses the act. What must not be touched comes first, then identities, then
// updates: one pod at a time, the broken ones first and the leader last (traps O14, O15).
var rules = []rule{
	{"two clusters", v1alpha1.ReasonSplitBrain, twoClusters},
	{"bootstrap", v1alpha1.ReasonBootstrapping, bootstrapping},
	{"pause", v1alpha1.ReasonPaused, pause},
	{"update", v1alpha1.ReasonRollingUpdate, updating},
	{"steady", v1alpha1.ReasonReconciled, steady},
	{"found", "", found},
	{"adopt", "", adopt},
	{"introduce", "", introduce},
	{"nothing outdated", "", nothingOutdated},
	{"broken pod", "", brokenPod},
	{"missing pod", "", missingPod},
	{"inert node", "", inertNode},
	{"not back yet", "", notBackYet},
	{"only member", "", onlyMember},
	{"no leader", "", noLeader},
	{"unhealthy member", "", unhealthyMember},
	{"follower", "", follower},
	{"leader", "", leader},
	{"left alone", "", leftAlone},
}

// walk gives the rules their turns.
func (v *verdict) walk() {
	for i := range rules {
		turn := rules[i].fire(v, &v.Configuration)
		if !turn.fires {
			continue
		}
		v.reason = cmp.Or(v.reason, rules[i].reason)
		v.waitsFor = cmp.Or(v.waitsFor, turn.waitsFor) // what founding waits for comes first: it says what to do
		if turn.ends {
			v.act = turn.act
			return
		}
	}
}

// twoClusters leaves alone a cluster whose disks contradict each other.
func twoClusters(v *verdict, _ *Configuration) turn {
	if v.conflict == "" {
		return turn{}
	}
	return hold("")
}

// bootstrapping fires until every initial member has its identity.
func bootstrapping(v *verdict, _ *Configuration) turn { return goOn(!v.whole(), "") }

// pause leaves alone a cluster whose spec says so.
func pause(v *verdict, _ *Configuration) turn {
	if !v.Cluster.Spec.Paused {
		return turn{}
	}
	return hold("")
}

// updating fires while something of the spec is not carried out.
func updating(v *verdict, _ *Configuration) turn { return goOn(v.pending, "") }

// steady fires always: if nothing before it is under way, nothing is.
func steady(*verdict, *Configuration) turn { return goOn(true, "") }

// found makes a cluster where there is none. The intent is in the status first: the acts come when it has been read
// back from there.
func found(v *verdict, _ *Configuration) turn {
	if v.clusterID != "" {
		return turn{}
	}
	if waitsFor := v.found(); waitsFor != "" {
		return goOn(true, waitsFor)
	}
	return hold("")
}

// adopt writes the members that were found into the status first, as found does.
func adopt(v *verdict, c *Configuration) turn {
	if v.Cluster.Status.ClusterID != "" || len(c.members) == 0 {
		return turn{}
	}
	return hold("")
}

// introduce brings the identities of the members one step further.
func introduce(v *verdict, _ *Configuration) turn {
	if v.clusterID == "" {
		return turn{}
	}
	return do(v.introduce())
}
