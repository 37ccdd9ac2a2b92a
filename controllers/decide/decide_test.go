package decide_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// started returns a model whose cluster is ready.
func started(t *testing.T, replicas int32) *model {
	t.Helper()
	m := newModel(t, replicas)
	m.until("ready", m.isReady)
	for m.plans[len(m.plans)-1].Act != nil {
		m.step()
	}
	return m
}

func TestClusterIsFoundedOnceEveryNodeReportsThatItIsEmpty(t *testing.T) { // O1, O3
	t.Parallel()
	m := newModel(t, 3)
	m.silent[2] = true
	for range 20 {
		plan := m.step()
		if plan.Act != nil || plan.Status.ClusterID != "" {
			t.Fatalf("demo-2 has not answered, and the plan is %v, cluster %q", plan.Act, plan.Status.ClusterID)
		}
	}
	if c := m.condition(v1alpha1.ConditionBootstrapped); !strings.Contains(c.Message, "demo-2 does not answer") {
		t.Errorf("Bootstrapped is %q, and does not name the pod that it waits for", c.Message)
	}
	m.silent[2] = false
	m.until("ready", m.isReady)
	for i, member := range m.cluster.Status.Members {
		if member.MemberID != int64(i+1) || member.PVCUID != m.claims[int32(i)].UID || member.Health != "Healthy" {
			t.Errorf("member %d in the status: %+v", i+1, member)
		}
	}
}

func TestIntentIsWrittenBeforeAnyNodeIsBootstrapped(t *testing.T) { // O3
	t.Parallel()
	m := newModel(t, 3)
	m.until("the intent", func() bool { return m.cluster.Status.ClusterID != "" })
	if acts := m.acts(0); len(acts) > 0 {
		t.Fatalf("%v before the status has a cluster id", acts)
	}
	if got := len(m.cluster.Status.Members); got != 3 {
		t.Errorf("the intent names %d members, want 3", got)
	}
	intent := m.cluster.Status.ClusterID
	m.until("ready", m.isReady)
	if m.cluster.Status.ClusterID != intent {
		t.Errorf("the cluster id changed from %s to %s", intent, m.cluster.Status.ClusterID)
	}
}

func TestNoNodeIsBootstrappedWhileAnotherIsSilent(t *testing.T) { // O4: it may have seen the member act
	t.Parallel()
	m := newModel(t, 3)
	m.until("the intent", func() bool { return m.cluster.Status.ClusterID != "" })
	m.silent[2] = true
	for range 20 {
		if act := m.step().Act; act != nil {
			t.Fatalf("demo-2 does not answer, and the plan is %v", act)
		}
	}
	m.silent[2] = false
	m.until("ready", m.isReady)
}

func TestEachNodeIsBootstrappedOnceWithAllMembers(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	m.until("ready", m.isReady)
	given := map[uint64]int{}
	for _, act := range m.acts(0) {
		if act, ok := act.(decide.BootstrapNode); ok {
			given[act.Request.NodeID]++
			if len(act.Request.Members) != 3 || act.Request.Members[1].Address !=
				"http://demo-1.demo-peers.shop.svc.cluster.local.:7080" {
				t.Errorf("bootstrapped with the members %+v", act.Request.Members)
			}
		}
	}
	if len(given) != 3 || given[1] != 1 || given[2] != 1 || given[3] != 1 {
		t.Errorf("bootstrapped by id: %v, want each of three once", given)
	}
}

func TestSteadyClusterIsLeftAlone(t *testing.T) { // O30
	t.Parallel()
	m := started(t, 3)
	before := m.cluster.Status
	for range 10 {
		plan := m.step()
		if plan.Act != nil || len(plan.Events) > 0 || !equalStatus(before, plan.Status) {
			t.Fatalf("a steady cluster: act %v, events %v, status changed: %t", plan.Act, plan.Events,
				!equalStatus(before, plan.Status))
		}
	}
}

func TestPodWithAnEmptyDiskIsNeverBootstrappedAgain(t *testing.T) { // O2, O6
	t.Parallel()
	for name, lose := range map[string]func(m *model){
		"its claim and volume are new": func(m *model) { delete(m.claims, 2) },
		"its volume was wiped":         func(m *model) { m.disks[m.claims[2].UID] = &modelDisk{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, 3)
			delete(m.pods, 2)
			lose(m)
			for range 50 {
				if act, ok := m.step().Act.(decide.BootstrapNode); ok {
					t.Fatalf("%v", act)
				}
			}
			c := m.condition(v1alpha1.ConditionDegraded)
			if c.Status != metav1.ConditionTrue || c.Reason != v1alpha1.ReasonMemberLost ||
				!strings.Contains(c.Message, "demo-2 (member 3)") || !strings.Contains(c.Message, "Restore") {
				t.Errorf("Degraded is %s/%s: %s", c.Status, c.Reason, c.Message)
			}
			if a := m.condition(v1alpha1.ConditionAvailable); a.Reason != v1alpha1.ReasonQuorumAvailable {
				t.Errorf("Available is %s/%s: the other two go on", a.Status, a.Reason)
			}
			if member := m.cluster.Status.Members[2]; member.Health != v1alpha1.HealthLost {
				t.Errorf("member 3 is %s", member.Health)
			}
		})
	}
}

func TestReappliedOnlyNodeWhoseVolumeWasWipedIsNotBegunAnew(t *testing.T) { // O2, O4
	t.Parallel()
	m := started(t, 1)
	m.remove()
	m.create(1)
	m.disks[m.claims[0].UID] = &modelDisk{}
	for range 50 {
		if act := m.step().Act; act != nil {
			t.Fatalf("the claim is marked, its volume is empty, and the plan is %v", act)
		}
	}
	if c := m.condition(v1alpha1.ConditionDegraded); c.Reason != v1alpha1.ReasonMemberLost {
		t.Errorf("Degraded is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
}

func TestUnknownIsNotEmpty(t *testing.T) { // O4, O5
	t.Parallel()
	m := started(t, 3)
	for ordinal := range int32(3) {
		m.silent[ordinal] = true
	}
	for range 20 {
		plan := m.step()
		if plan.Act != nil {
			t.Fatalf("no node answers, and the plan is %v", plan.Act)
		}
		if plan.Desired.Replicas != 3 || plan.Desired.Quorum != 2 || plan.Status.VotingMembers != 3 {
			t.Fatalf("no node answers, and %d pods are wanted for %d voters, of which drains must leave %d",
				plan.Desired.Replicas, plan.Status.VotingMembers, plan.Desired.Quorum)
		}
	}
	if c := m.condition(v1alpha1.ConditionAvailable); c.Status != metav1.ConditionUnknown ||
		c.Reason != v1alpha1.ReasonUnreachable {
		t.Errorf("Available is %s/%s", c.Status, c.Reason)
	}
	if m.isReady() {
		t.Error("Ready, though no node answers")
	}
}

func TestQuorumLostIsSaidAndNothingIsBegunAnew(t *testing.T) { // O5
	t.Parallel()
	m := started(t, 3)
	for ordinal := range int32(3) {
		delete(m.pods, ordinal)
		delete(m.claims, ordinal)
	}
	id := m.cluster.Status.ClusterID
	for range 50 {
		if plan := m.step(); plan.Act != nil {
			t.Fatalf("all disks are lost, and the plan is %v", plan.Act)
		}
	}
	if c := m.condition(v1alpha1.ConditionAvailable); c.Reason != v1alpha1.ReasonQuorumLost ||
		c.Status != metav1.ConditionFalse {
		t.Errorf("Available is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
	if m.cluster.Status.ClusterID != id {
		t.Errorf("the cluster id became %q", m.cluster.Status.ClusterID)
	}
}

func TestReappliedClusterAdoptsItsVolumes(t *testing.T) { // O4, O12
	t.Parallel()
	m := started(t, 3)
	id := m.cluster.Status.ClusterID
	m.remove()
	m.create(3)
	before := len(m.plans)
	m.until("ready", m.isReady)
	if acts := m.changes(before); len(acts) > 0 {
		t.Errorf("an adoption needs no act, and these were done: %v", acts)
	}
	if m.cluster.Status.ClusterID != id {
		t.Errorf("the cluster id is %s, was %s", m.cluster.Status.ClusterID, id)
	}
	if c := m.condition(v1alpha1.ConditionBootstrapped); c.Reason != v1alpha1.ReasonAdopted {
		t.Errorf("Bootstrapped is %s/%s", c.Status, c.Reason)
	}
}

func TestReappliedClusterWithASmallerNumberKeepsEveryMember(t *testing.T) { // O18
	t.Parallel()
	m := started(t, 3)
	m.remove()
	m.create(1)
	m.until("ready", m.isReady)
	if *m.set.Spec.Replicas != 3 || m.cluster.Status.VotingMembers != 3 {
		t.Errorf("%d pods for %d voters", *m.set.Spec.Replicas, m.cluster.Status.VotingMembers)
	}
}

func TestReappliedClusterWithMoreReplicasReportsMissingMembers(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.remove()
	m.create(5)
	m.until("degraded", func() bool {
		return m.condition(v1alpha1.ConditionDegraded).Reason == v1alpha1.ReasonNotEnoughMembers
	})
	for range 20 {
		if act, ok := m.step().Act.(decide.BootstrapNode); ok {
			t.Fatalf("%v", act)
		}
	}
}

func TestClaimsThatALargerClusterLeftBehindAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	for ordinal := int32(3); ordinal < 5; ordinal++ {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{UID: m.uid("claim")}}
		m.claims[ordinal], m.disks[claim.UID] = claim, &modelDisk{}
	}
	m.until("ready", m.isReady)
	if *m.set.Spec.Replicas != 3 {
		t.Errorf("%d pods, want 3", *m.set.Spec.Replicas)
	}
	m.roll("kontiki:2")
}

func TestDisksOfTwoClustersStopTheOperator(t *testing.T) { // O3
	t.Parallel()
	m := started(t, 3)
	m.disk(1).clusterID, m.disk(2).clusterID = "another", "another"
	plan := m.step()
	if plan.Act != nil || plan.Desired != nil {
		t.Errorf("two clusters, and the plan is %v, objects %v", plan.Act, plan.Desired)
	}
	c := m.condition(v1alpha1.ConditionAvailable)
	if c.Reason != v1alpha1.ReasonSplitBrain || !strings.Contains(c.Message, "demo-1 has another") {
		t.Errorf("Available is %s: %s", c.Reason, c.Message)
	}
}

func TestNodeThatAnswersInTheWrongPlaceIsNotHeard(t *testing.T) { // O20
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	w.Seats[1].View = &api.ClusterView{
		State: api.StateMember, ClusterID: "another", NodeID: 1,
		Config: api.Membership{Members: []api.ConfigMember{
			{ID: 1, Address: "http://else-0.else-peers.shop.svc.cluster.local.:7080"},
		}},
	}
	plan := decide.Next(w)
	if i := slices.IndexFunc(plan.Status.Conditions, func(c metav1.Condition) bool {
		return c.Reason == v1alpha1.ReasonSplitBrain
	}); i >= 0 {
		t.Errorf("an address that another cluster's pod has now made a split brain: %s", plan.Status.Conditions[i].Message)
	}
	if health := plan.Status.Members[1].Health; health != v1alpha1.HealthUnreachable {
		t.Errorf("member 2 is %s", health)
	}
}

func TestFirstElectionIsNoLostQuorum(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	m.until("every node has its identity", func() bool {
		return m.condition(v1alpha1.ConditionBootstrapped).Status == metav1.ConditionTrue
	})
	m.cluster.Status.Conditions = slices.DeleteFunc(m.cluster.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == v1alpha1.ConditionAvailable
	})
	m.cluster.Status.Conditions = append(m.cluster.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonWaitingForSeed,
	})
	w := m.world()
	for i := range w.Seats {
		w.Seats[i].View.LeaderID, w.Seats[i].View.Role, w.Seats[i].View.Ready = 0, "FOLLOWER", false
	}
	plan := decide.Next(w)
	for _, e := range plan.Events {
		if e.Type == corev1.EventTypeWarning {
			t.Errorf("the first election makes the alarm %s: %s", e.Reason, e.Message)
		}
	}
	c := meta.FindStatusCondition(plan.Status.Conditions, v1alpha1.ConditionAvailable)
	if c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonWaitingForSeed {
		t.Errorf("Available is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
}

func TestReadyWaitsUntilTheServicesLeadToEveryNode(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.pods[1].ready = false
	plan := decide.Next(m.world())
	if plan.Status.ReadyReplicas != 2 || meta.IsStatusConditionTrue(plan.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("a pod is not ready, but the status has %d ready, Ready=True", plan.Status.ReadyReplicas)
	}
	if !meta.IsStatusConditionTrue(plan.Status.Conditions, v1alpha1.ConditionAvailable) || plan.Act != nil {
		t.Errorf("a pod that is not ready yet makes the plan %v", plan.Act)
	}
}

func TestElectionIsNoAlarm(t *testing.T) { // O30
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	for i := range w.Seats {
		w.Seats[i].View.LeaderID, w.Seats[i].View.Role, w.Seats[i].View.Ready = 0, "CANDIDATE", false
	}
	plan := decide.Next(w)
	if len(plan.Events) > 0 {
		t.Errorf("a new leader is elected, and the events are %v", plan.Events)
	}
	if plan.Status.ReadyReplicas != 0 || plan.Status.Leader != nil {
		t.Errorf("no node leads, and the status has %d ready, leader %v", plan.Status.ReadyReplicas, plan.Status.Leader)
	}
}

func TestMemberThatTheOthersDoNotReachIsDegradedAfterAWhile(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.step()
	cut := (m.leader + 1) % 3
	m.alone[cut] = true
	m.step()
	if c := m.condition(v1alpha1.ConditionDegraded); c.Status == metav1.ConditionTrue {
		t.Errorf("Degraded is immediately %s", c.Message)
	}
	m.until("degraded", func() bool {
		return m.condition(v1alpha1.ConditionDegraded).Reason == v1alpha1.ReasonMemberUnhealthy
	})
	if a := m.condition(v1alpha1.ConditionAvailable); a.Reason != v1alpha1.ReasonQuorumAvailable {
		t.Errorf("Available is %s/%s", a.Status, a.Reason)
	}
}

func TestClusterWithoutALeaderForLongIsNotAvailable(t *testing.T) { // O5
	t.Parallel()
	m := started(t, 3)
	m.alone[0], m.alone[1], m.alone[2] = true, true, true
	m.until("no longer available", func() bool {
		c := m.condition(v1alpha1.ConditionAvailable)
		return c.Status == metav1.ConditionFalse && c.Reason == v1alpha1.ReasonQuorumLost
	})
}

func TestPausedClusterIsOnlyWatched(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Paused, s.Image = true, "kontiki:2" })
	for range 10 {
		if plan := m.step(); plan.Act != nil || plan.Desired != nil {
			t.Fatalf("paused, and the plan is %v, %v", plan.Act, plan.Desired)
		}
	}
	if c := m.condition(v1alpha1.ConditionPaused); c.Status != metav1.ConditionTrue ||
		!strings.Contains(c.Message, "wait") {
		t.Errorf("Paused is %s: %s", c.Status, c.Message)
	}
	m.kill(0)
	m.step()
	if m.cluster.Status.ReadyReplicas != 2 {
		t.Errorf("%d ready: the status of a paused cluster must go on", m.cluster.Status.ReadyReplicas)
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Paused = false })
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
}

func TestPausedClusterIsNotFounded(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	m.cluster.Spec.Paused = true
	for range 10 {
		if plan := m.step(); plan.Act != nil || plan.Desired != nil || plan.Status.ClusterID != "" {
			t.Fatalf("paused from the beginning, and the plan is %+v", plan)
		}
	}
}

func TestOperatorsDefaultImageIsLatched(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	w.NodeImage = "kontiki:2" // an upgrade of the operator
	plan := decide.Next(w)
	if plan.Status.Image != "kontiki:1" || plan.Desired.Image != "kontiki:1" || plan.Act != nil {
		t.Errorf("after the upgrade the image is %s, the plan %v", plan.Status.Image, plan.Act)
	}
}

func TestDeletedClusterIsLeftToItsOwners(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.cluster.DeletionTimestamp = &metav1.Time{Time: m.now}
	if plan := decide.Next(m.world()); plan.Act != nil || plan.Desired != nil {
		t.Errorf("a cluster that is being deleted: %v", plan)
	}
}

func TestTransitionsBecomeEventsOnce(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	m.until("ready", m.isReady)
	var reasons []string
	for _, plan := range m.plans {
		for _, e := range plan.Events {
			reasons = append(reasons, e.Reason)
		}
	}
	for _, want := range []string{"ClusterFounded", "Bootstrapped", "LeaderElected", "QuorumAvailable"} {
		if n := count(reasons, want); n != 1 {
			t.Errorf("%d events %s among %v, want 1", n, want, reasons)
		}
	}
	m.kill(0)
	delete(m.claims, 0)
	var alarm *decide.Event
	for range 5 {
		for _, e := range m.step().Events {
			if e.Reason == v1alpha1.ReasonMemberLost {
				alarm = &e
			}
		}
	}
	if alarm == nil || alarm.Type != corev1.EventTypeWarning {
		t.Errorf("a lost disk gives the event %+v", alarm)
	}
}

func TestLateRollIsReportedAndGoesOn(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	for range 5 {
		m.step()
	}
	m.now = m.now.Add(20 * time.Minute)
	m.step()
	m.step()
	if c := m.condition(v1alpha1.ConditionProgressing); c.Reason != v1alpha1.ReasonDeadlineExceeded {
		t.Errorf("Progressing is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
}

// kill deletes a pod, as a person would; the StatefulSet creates it again.
func (m *model) kill(ordinal int32) { delete(m.pods, ordinal) }

// rolledTo reports whether every pod runs an image.
func (m *model) rolledTo(image string) bool {
	for ordinal := range *m.set.Spec.Replicas {
		if pod := m.pods[ordinal]; pod == nil || pod.image != image || !pod.running {
			return false
		}
	}
	return true
}

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func podsOf(acts []decide.Act) []string {
	var names []string
	for _, act := range acts {
		switch act := act.(type) {
		case decide.EvictPod:
			names = append(names, "evict "+act.Name)
		case decide.DeletePod:
			names = append(names, "delete "+act.Name)
		case decide.TransferLeadership:
			names = append(names, "transfer leadership from "+act.Name)
		}
	}
	return names
}

func podName(ordinal int32) string { return objects.PodName(modelName, ordinal) }
