package decide

import (
	"cmp"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// rule is one line of the decision table.
type rule struct {
	name string
	// reason is the reason of the condition Progressing if this is the first rule with a reason that fires.
	reason string
	fire   func(v *verdict, c *Configuration) turn
}

// turn is the result of a rule. The zero value means that the rule did not fire.
type turn struct {
	fires bool
	// ends: no later rule is evaluated in this pass.
	ends bool
	act  Act // or nil
	// waitsFor is what the next act waits for, or "".
	waitsFor string
}

// goOn fires, and leaves the act to later rules.
func goOn(fires bool, waitsFor string) turn { return turn{fires: fires, waitsFor: waitsFor} }

// hold ends the pass without an act.
func hold(waitsFor string) turn { return turn{fires: true, ends: true, waitsFor: waitsFor} }

// do ends the pass with an act. Without an act, the rule does not fire.
func do(act Act) turn { return turn{fires: act != nil, ends: act != nil, act: act} }

// rules are all rules, in the order of their evaluation. The first rule that fires and has a reason names what is in
// progress; the first that ends the pass chooses the act. Rules that forbid changes come first, then identities, then
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

// walk evaluates the rules in order.
func (v *verdict) walk() {
	for i := range rules {
		turn := rules[i].fire(v, &v.Configuration)
		if !turn.fires {
			continue
		}
		v.reason = cmp.Or(v.reason, rules[i].reason)
		v.waitsFor = cmp.Or(v.waitsFor, turn.waitsFor) // what founding waits for comes first: it names what to do
		if turn.ends {
			v.act = turn.act
			return
		}
	}
}

// twoClusters changes nothing in a cluster whose disks contradict each other.
func twoClusters(v *verdict, _ *Configuration) turn {
	if v.conflict == "" {
		return turn{}
	}
	return hold("")
}

// bootstrapping fires until every initial member has its identity.
func bootstrapping(v *verdict, _ *Configuration) turn { return goOn(!v.whole(), "") }

// pause changes nothing in a cluster with spec.paused.
func pause(v *verdict, _ *Configuration) turn {
	if !v.Cluster.Spec.Paused {
		return turn{}
	}
	return hold("")
}

// updating fires while a part of the spec is not carried out.
func updating(v *verdict, _ *Configuration) turn { return goOn(v.pending, "") }

// steady always fires: if no earlier rule has fired, nothing is in progress.
func steady(*verdict, *Configuration) turn { return goOn(true, "") }

// found founds a cluster where there is none. The status records the intent first; acts follow once a pass has read it
// back.
func found(v *verdict, _ *Configuration) turn {
	if v.clusterID != "" {
		return turn{}
	}
	if waitsFor := v.found(); waitsFor != "" {
		return goOn(true, waitsFor)
	}
	return hold("")
}

// adopt first writes the members that were found into the status, like found.
func adopt(v *verdict, c *Configuration) turn {
	if v.Cluster.Status.ClusterID != "" || len(c.members) == 0 {
		return turn{}
	}
	return hold("")
}

// introduce advances the identities of the members by one step.
func introduce(v *verdict, _ *Configuration) turn {
	if v.clusterID == "" {
		return turn{}
	}
	return do(v.introduce())
}
