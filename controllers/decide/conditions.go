package decide

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
)

// deadline is how long a bootstrap or a rolling update may take before the status reports DeadlineExceeded. The rules
// go on as before: a safe act does not become unsafe by waiting.
const deadline = 10 * time.Minute

// finding is the content of one condition.
type finding struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

func yes(reason, format string, values ...any) finding {
	return finding{metav1.ConditionTrue, reason, fmt.Sprintf(format, values...)}
}

func no(reason, format string, values ...any) finding {
	return finding{metav1.ConditionFalse, reason, fmt.Sprintf(format, values...)}
}

// setConditions writes the findings into the conditions. A condition whose status does not change keeps its times.
func (v *verdict) setConditions(status *v1alpha1.RaftClusterStatus) {
	founded := v.bootstrappedNow()
	available, degraded := v.available(founded), v.degraded()
	progressing := v.progressing(founded)
	for _, c := range []struct {
		kind string
		finding
	}{
		{v1alpha1.ConditionReady, v.ready(founded, available, degraded, progressing)},
		{v1alpha1.ConditionBootstrapped, founded},
		{v1alpha1.ConditionAvailable, available},
		{v1alpha1.ConditionProgressing, progressing},
		{v1alpha1.ConditionDegraded, degraded},
		{v1alpha1.ConditionPaused, v.paused()},
	} {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: c.kind, Status: c.status, Reason: c.reason, Message: bounded(c.message),
			ObservedGeneration: v.Cluster.Generation, LastTransitionTime: metav1.NewTime(v.Now),
		})
	}
}

// bootstrappedNow is true once every initial member has its identity, and stays true.
func (v *verdict) bootstrappedNow() finding {
	switch {
	case v.bootstrapped():
		c := v.operation.Bootstrapped
		return finding{c.Status, c.Reason, c.Message}
	case v.conflict != "":
		return no(v1alpha1.ReasonSplitBrain, "the disks belong to different clusters: %s", v.conflict)
	case v.clusterID == "":
		return no(v1alpha1.ReasonBootstrapping, "waits until every node reports that its disk is empty: %s",
			v.waitsFor)
	case len(v.members) == 0:
		return no(v1alpha1.ReasonBootstrapping, "the volumes hold cluster %s; waits until a majority of its nodes, or all, "+
			"report the same members", shortened(v.clusterID))
	case v.complete() && v.Cluster.Status.ClusterID == "":
		return yes(v1alpha1.ReasonAdopted, "cluster %s was found on the volumes", v.clusterID)
	case !v.complete():
		return no(v1alpha1.ReasonBootstrapping, "cluster %s is being bootstrapped; not every node has its identity yet",
			v.clusterID)
	}
	return yes(v1alpha1.ReasonBootstrapped, "every initial member of cluster %s has its identity", v.clusterID)
}

// available reports whether a quorum serves requests.
func (v *verdict) available(founded finding) finding {
	n, healthy := len(v.members), v.count(v1alpha1.HealthHealthy)
	switch {
	case v.conflict != "":
		return no(v1alpha1.ReasonSplitBrain, "the disks belong to different clusters: %s. The operator changes nothing "+
			"until one set of volumes is removed: keep the claims that hold your data, delete the others", v.conflict)
	case v.leader != nil && healthy == n:
		return yes(v1alpha1.ReasonQuorumHealthy, "all %d members follow one leader", n)
	case v.leader != nil:
		return yes(v1alpha1.ReasonQuorumAvailable, "%d of %d members are healthy; a quorum is %d", healthy, n, v.quorum())
	case n == 0 || founded.status != metav1.ConditionTrue:
		return no(v1alpha1.ReasonWaitingForSeed, "%s", founded.message)
	}
	return v.unavailable()
}

// unavailable classifies a cluster without a leader: quorum lost, unreachable, or an election in progress.
func (v *verdict) unavailable() finding {
	lost := v.those(func(m *member) bool { return m.health == v1alpha1.HealthLost })
	silent := v.those(func(m *member) bool { return v.answer(m.seat) == nil })
	n, quorum, answering := len(v.members), v.quorum(), v.all().left(silent)
	switch {
	case !v.survives(lost):
		return no(v1alpha1.ReasonQuorumLost, "%d of %d members have lost their disks, and a quorum is %d: %s. Restore "+
			"their volumes from before; if that cannot be, create a new RaftCluster and copy the data that is left from "+
			"GET /api/v1/kv on a surviving node with ?consistency=stale", len(lost), n, quorum, v.unhealthyMembers())
	case !v.survives(silent) && v.survives(v.those(down)):
		return finding{
			metav1.ConditionUnknown, v1alpha1.ReasonUnreachable,
			fmt.Sprintf("only %d of %d members answer the operator, and a quorum is %d, but enough pods run: %s", answering, n,
				quorum, v.unhealthyMembers()),
		}
	case !v.survives(silent):
		return no(v1alpha1.ReasonQuorumLost, "only %d of %d members are up, and a quorum is %d: %s", answering, n, quorum,
			v.unhealthyMembers())
	}
	// The readiness probes have failed more than once. An election that takes less time needs no alert.
	if v.survives(v.those(unready)) && v.operation.Serves {
		return yes(v1alpha1.ReasonQuorumAvailable, "%d of %d members answer, and a new leader is being elected", answering, n)
	}
	if v.operation.Elects {
		return no(v1alpha1.ReasonWaitingForSeed, "%d of %d members answer, and have not elected their first leader yet",
			answering, n)
	}
	return no(v1alpha1.ReasonQuorumLost, "%d of %d members answer, but none leads: an election is in progress, or "+
		"they cannot reach each other", answering, n)
}

// unready reports whether a member fails its readiness probe.
func unready(m *member) bool { return m.seat == nil || m.seat.Pod == nil || !Ready(m.seat.Pod) }

// down reports whether a member's node is certainly not running.
func down(m *member) bool { return m.seat == nil || m.seat.Pod == nil || !Running(m.seat.Pod) }

// serving counts the healthy members that the Services select.
func (v *verdict) serving() int {
	n := 0
	for i := range v.members {
		if m := &v.members[i]; m.health == v1alpha1.HealthHealthy && Ready(m.seat.Pod) {
			n++
		}
	}
	return n
}

// unhealthyMembers lists the members that are not healthy, with the reasons.
func (v *verdict) unhealthyMembers() string {
	var all []string
	for i := range v.members {
		if m := &v.members[i]; m.health != v1alpha1.HealthHealthy {
			all = append(all, fmt.Sprintf("%s (member %d): %s", m.podName(v.Cluster.Name), m.id, m.why))
		}
	}
	return strings.Join(all, "; ")
}

// degraded reports faults that need a person.
func (v *verdict) degraded() finding {
	if v.conflict != "" {
		return yes(v1alpha1.ReasonSplitBrain, "the disks belong to different clusters: %s", v.conflict)
	}
	var broken []string
	for i := range v.members {
		m := &v.members[i]
		if m.health == v1alpha1.HealthUnhealthy && !m.passing || m.health == v1alpha1.HealthUnreachable || m.overdue {
			broken = append(broken, fmt.Sprintf("%s (member %d): %s", m.podName(v.Cluster.Name), m.id, m.why))
		}
		if v.claimGoes(m.seat) {
			broken = append(broken, fmt.Sprintf("%s (member %d): its claim %s is being deleted, and its disk goes when its pod "+
				"ends. Before you end it, give the PersistentVolume the reclaim policy Retain", m.podName(v.Cluster.Name), m.id,
				m.seat.Claim.Name))
		}
	}
	switch {
	case v.count(v1alpha1.HealthLost) > 0:
		return yes(v1alpha1.ReasonMemberLost, "%s", v.lost())
	case len(v.members) > 0 && int32(len(v.members)) < v.Cluster.Spec.Replicas:
		return yes(v1alpha1.ReasonNotEnoughMembers, "cluster %s, which was found on the volumes, has %d members, and "+
			"spec.replicas is %d: the other pods stay inert. Create the RaftCluster with replicas: %d instead", v.clusterID,
			len(v.members), v.Cluster.Spec.Replicas, len(v.members))
	case len(broken) > 0:
		return yes(v1alpha1.ReasonMemberUnhealthy, "%s", strings.Join(broken, "; "))
	case !v.makesTemplate():
		return yes(v1alpha1.ReasonOperatorTooOld, "the nodes run with revision %d of the pod template, and this operator "+
			"supports none after %d: it changes no object. Upgrade the operator", v.template, v.Templates.Newest())
	case len(v.Mutations) > 0:
		return yes(v1alpha1.ReasonObjectMutated, "%s", v.mutations())
	}
	return no(v1alpha1.ReasonHealthy, "nothing is broken")
}

// mutations lists the fields that do not keep their applied values. The operator goes on with everything else.
func (v *verdict) mutations() string {
	const most = 5
	var all []string
	for _, m := range v.Mutations {
		var fields []string
		for _, f := range m.Fields[:min(most, len(m.Fields))] {
			fields = append(fields, f.String())
		}
		if more := len(m.Fields) - len(fields); more > 0 {
			fields = append(fields, fmt.Sprintf("and %d more", more))
		}
		all = append(all, fmt.Sprintf("%s does not keep its applied fields: %s. %s changes it: exempt the object from that, "+
			"or change the spec so that both agree", m.Ref, strings.Join(fields, ", "), m.Writer))
	}
	return strings.Join(all, "; ")
}

// lost lists the members that lost their disks, with the consequences and what to do.
func (v *verdict) lost() string {
	var all []string
	for i := range v.members {
		if m := &v.members[i]; m.health == v1alpha1.HealthLost {
			all = append(all, fmt.Sprintf("%s (member %d): %s", m.podName(v.Cluster.Name), m.id, m.why))
		}
	}
	return strings.Join(all, "; ") + ". It stays out of the quorum, because without its disk it might vote twice and " +
		"does not have the entries that it acknowledged; the other members go on. Restore its volume, or copy the data " +
		"to a new RaftCluster: this version of the operator cannot replace a member"
}

// progressing reports what is in progress, by the first rule that fired.
func (v *verdict) progressing(founded finding) finding {
	late := v.operation.late(v.Cluster.Generation, v.Now)
	switch v.reason {
	case v1alpha1.ReasonSplitBrain:
		return no(v.reason, "the disks belong to different clusters")
	case v1alpha1.ReasonBootstrapping:
		if late {
			return no(v1alpha1.ReasonDeadlineExceeded, "the bootstrap has taken more than %s, and goes on: %s", deadline,
				founded.message)
		}
		return yes(v.reason, "%s", founded.message)
	case v1alpha1.ReasonPaused:
		return no(v.reason, "spec.paused is set")
	case v1alpha1.ReasonRollingUpdate:
		if late {
			return no(v1alpha1.ReasonDeadlineExceeded, "the rolling update has taken more than %s, and goes on: %s", deadline,
				v.rollMessage())
		}
		return yes(v.reason, "%s", v.rollMessage())
	}
	return no(v.reason, "everything is as the spec requests")
}

func (v *verdict) rollMessage() string {
	text := fmt.Sprintf("%d of %d pods are of an older template", len(v.outdatedSeats()), len(v.Seats))
	if v.waitsFor != "" {
		text += "; waits: " + v.waitsFor
	}
	return text
}

// ready is true if there is nothing left to wait for. Otherwise it reports the most important thing that is missing.
func (v *verdict) ready(founded, available, degraded, progressing finding) finding {
	switch {
	case v.conflict != "", founded.status != metav1.ConditionTrue:
		return no(founded.reason, "%s", founded.message)
	case available.status != metav1.ConditionTrue:
		return no(available.reason, "%s", available.message)
	case degraded.status == metav1.ConditionTrue && degraded.reason != v1alpha1.ReasonObjectMutated:
		return no(degraded.reason, "%s", degraded.message)
	case progressing.status == metav1.ConditionTrue, progressing.reason == v1alpha1.ReasonDeadlineExceeded:
		return no(progressing.reason, "%s", progressing.message)
	case v.Cluster.Spec.Paused && v.pending:
		return no(v1alpha1.ReasonPaused, "%s", v.paused().message)
	case v.count(v1alpha1.HealthHealthy) < len(v.members):
		return no(v1alpha1.ReasonMemberUnhealthy, "%s", v.unhealthyMembers())
	case v.serving() < len(v.members):
		return no(v1alpha1.ReasonMemberUnhealthy, "all members are healthy, but only %d of %d pods are "+
			"ready; the Services do not select the others yet", v.serving(), len(v.members))
	}
	return yes(v1alpha1.ReasonAllMembersHealthy, "all %d members are healthy", len(v.members))
}

// paused reports whether the operator is paused, and whether a change waits for that reason.
func (v *verdict) paused() finding {
	switch {
	case !v.Cluster.Spec.Paused:
		return no(v1alpha1.ReasonNotPaused, "spec.paused is not set")
	case v.conflict == "" && v.pending:
		return yes(v1alpha1.ReasonPaused, "changes wait until spec.paused is unset")
	}
	return yes(v1alpha1.ReasonPaused, "no change waits")
}

// transitions returns the events for what changed from one status to the next.
func transitions(before, after *v1alpha1.RaftClusterStatus) []Event {
	var events []Event
	if before.ClusterID == "" && after.ClusterID != "" {
		events = append(events, normal("ClusterFounded", "cluster %s has %d members", after.ClusterID, len(after.Members)))
	}
	if l := after.Leader; l != nil && (before.Leader == nil || *before.Leader != *l) {
		events = append(events, normal("LeaderElected", "%s (member %d) leads", l.PodName, l.MemberID))
	}
	for _, kind := range []string{
		v1alpha1.ConditionBootstrapped, v1alpha1.ConditionAvailable, v1alpha1.ConditionDegraded,
		v1alpha1.ConditionProgressing, v1alpha1.ConditionPaused,
	} {
		was, is := meta.FindStatusCondition(before.Conditions, kind), meta.FindStatusCondition(after.Conditions, kind)
		same := was != nil && was.Status == is.Status && (was.Reason == is.Reason || !isWarning(is))
		if was == nil && uneventful(is) || same {
			continue
		}
		if isWarning(is) {
			events = append(events, warning(is.Reason, "%s: %s", kind, is.Message))
		} else {
			events = append(events, normal(is.Reason, "%s: %s", kind, is.Message))
		}
	}
	return events
}

// uneventful reports whether a condition that appears for the first time needs no event.
func uneventful(c *metav1.Condition) bool {
	return slices.Contains([]string{
		v1alpha1.ReasonHealthy, v1alpha1.ReasonNotPaused, v1alpha1.ReasonWaitingForSeed, v1alpha1.ReasonReconciled,
	}, c.Reason)
}

// isWarning reports whether a person should look at a condition.
func isWarning(c *metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionDegraded:
		return c.Status == metav1.ConditionTrue
	case v1alpha1.ConditionAvailable:
		return c.Status != metav1.ConditionTrue && c.Reason != v1alpha1.ReasonWaitingForSeed
	}
	return c.Reason == v1alpha1.ReasonDeadlineExceeded || c.Reason == v1alpha1.ReasonSplitBrain
}
