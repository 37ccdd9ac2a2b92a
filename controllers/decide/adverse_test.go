package decide_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/node/api"
)

// deleteClaim is `kubectl delete pvc`: the claim is removed once no pod uses it.
func (m *model) deleteClaim(ordinal int32) {
	m.claims[ordinal].DeletionTimestamp = &metav1.Time{Time: m.now}
}

func TestCorrectionOfWhatKeepsANodeFromItsIdentityIsRolledOut(t *testing.T) { // O14
	t.Parallel()
	for name, correct := range map[string]func(m *model){
		"the DNS domain that the operator was given": func(m *model) { m.domain = "right.example" },
		"the image": func(m *model) {
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
			for _, pod := range m.pods {
				pod.domain = "nowhere" // its old template makes it refuse every identity
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newModel(t, 3)
			m.until("one of three has its identity", func() bool { return m.disk(0) != nil && m.disk(0).nodeID != 0 })
			correct(m)
			m.until("ready", m.isReady)
		})
	}
}

func TestAnotherClusterDomainRollsAndRejectsNoAnswer(t *testing.T) { // O20
	t.Parallel()
	m := started(t, 3)
	before := len(m.plans)
	m.domain = "other.example"
	m.step()
	m.until("ready", m.isReady)
	if did := podsOf(m.acts(before)); len(did) != 4 {
		t.Errorf("another domain was rolled by %v, want three evictions and a transfer", did)
	}
	if m.cluster.Status.VotingMembers != 3 {
		t.Errorf("%d members are left", m.cluster.Status.VotingMembers)
	}
}

func TestPodWhoseClaimIsBeingDeletedIsNotReplaced(t *testing.T) { // O9: its disk would go with it
	t.Parallel()
	m := started(t, 3)
	m.step()
	follower := (m.leader + 1) % 3
	m.deleteClaim(follower)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 50 {
		m.step()
	}
	if m.claims[follower] == nil || m.disk(follower).nodeID == 0 {
		t.Fatalf("the roll cost %s its disk", podName(follower))
	}
	if c := m.condition(v1alpha1.ConditionDegraded); !strings.Contains(c.Message, podName(follower)) ||
		!strings.Contains(c.Message, "claim") || c.Reason != v1alpha1.ReasonMemberUnhealthy {
		t.Errorf("Degraded is %s: %s", c.Reason, c.Message)
	}
	if c := m.condition(v1alpha1.ConditionProgressing); !strings.Contains(c.Message, "claim data-"+podName(follower)) {
		t.Errorf("Progressing is %q", c.Message)
	}
}

func TestOnlyNodeWhoseClaimIsBeingDeletedIsNotReplaced(t *testing.T) { // O9
	t.Parallel()
	m := started(t, 1)
	m.deleteClaim(0)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 20 {
		if act := m.step().Act; act != nil {
			t.Fatalf("the plan is %v", act)
		}
	}
}

func TestBrokenPodWhoseClaimIsBeingDeletedIsNotReplaced(t *testing.T) { // O9
	t.Parallel()
	m := started(t, 3)
	m.bad["kontiki:1"] = true
	m.kill(2)
	m.step()
	m.deleteClaim(2)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 20 {
		if act := m.step().Act; act != nil {
			t.Fatalf("its disk holds member 3, and the plan is %v", act)
		}
	}
}

func TestClusterIsNotFoundedOnAClaimThatIsBeingDeleted(t *testing.T) { // O9
	t.Parallel()
	m := newModel(t, 3)
	m.until("its pods run", func() bool { return m.pods[1] != nil && m.pods[1].running })
	m.deleteClaim(1)
	for range 5 {
		m.step()
	}
	if m.cluster.Status.ClusterID != "" {
		t.Fatal("the intent names a claim that is being deleted, so that its member would be lost from the start")
	}
	m.pods[1].terminating, m.pods[1].ends = true, m.now.Add(time.Minute)
	m.until("ready", m.isReady)
}

// brokenFor runs one minute of passes of a cluster with a fault.
func (m *model) brokenFor(seconds int) {
	for range seconds {
		m.step()
	}
}

func TestPodThatNeverEndsIsSaid(t *testing.T) { // O19: only a person can determine that its machine does not come back
	t.Parallel()
	m := started(t, 3)
	m.step()
	dead := (m.leader + 1) % 3
	m.alone[dead], m.silent[dead] = true, true
	m.hung = map[int32]bool{dead: true}
	m.pods[dead].terminating, m.pods[dead].ends = true, m.now.Add(time.Minute)
	m.brokenFor(400)
	if act := m.plans[len(m.plans)-1].Act; act != nil {
		t.Errorf("the plan is %v", act)
	}
	if c := m.condition(v1alpha1.ConditionDegraded); c.Status != metav1.ConditionTrue ||
		!strings.Contains(c.Message, podName(dead)) || !strings.Contains(c.Message, "out-of-service") {
		t.Errorf("Degraded is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
	m.quietFor(t, 50)
}

// quietFor checks that a fault that does not change causes no writes of the status.
func (m *model) quietFor(t *testing.T, passes int) {
	t.Helper()
	before := m.cluster.Status
	for range passes {
		if plan := m.step(); !equalStatus(before, plan.Status) || len(plan.Events) > 0 {
			t.Fatalf("the fault is the same, but the status becomes %+v, with the events %v", plan.Status, plan.Events)
		}
	}
}

func TestPodThatNeverStartsIsReported(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.kill(1)
	m.hung = map[int32]bool{1: true} // its volume is still attached to a machine that is gone
	m.brokenFor(400)
	if c := m.condition(v1alpha1.ConditionDegraded); c.Status != metav1.ConditionTrue ||
		!strings.Contains(c.Message, "demo-1") {
		t.Errorf("Degraded is %s/%s: %s", c.Status, c.Reason, c.Message)
	}
	m.quietFor(t, 50)
}

func TestLateBootstrapIsReported(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	m.cluster.Spec.Image = "kontiki:bad"
	var warned []decide.Event
	for range 700 {
		for _, e := range m.step().Events {
			if e.Type == corev1.EventTypeWarning {
				warned = append(warned, e)
			}
		}
	}
	if c := m.condition(v1alpha1.ConditionProgressing); c.Reason != v1alpha1.ReasonDeadlineExceeded ||
		!strings.Contains(c.Message, "kontiki:bad cannot be pulled") {
		t.Errorf("Progressing is %s: %s", c.Reason, c.Message)
	}
	if len(warned) != 1 {
		t.Errorf("the warnings are %v, want one", warned)
	}
	m.quietFor(t, 20)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("ready", m.isReady)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:3" })
	m.step()
	m.step()
	if c := m.condition(v1alpha1.ConditionProgressing); c.Reason != v1alpha1.ReasonRollingUpdate {
		t.Errorf("a roll that has just begun: Progressing is %s: %s", c.Reason, c.Message)
	}
}

func TestNodesThatWaitedLongForTheLastOneAreNoTrouble(t *testing.T) { // O30
	t.Parallel()
	m := newModel(t, 3)
	m.silent[2] = true // its image takes long to pull
	m.brokenFor(400)
	m.silent[2] = false
	m.until("ready", func() bool {
		for _, e := range m.plans[len(m.plans)-1].Events {
			if e.Type == corev1.EventTypeWarning {
				t.Errorf("nothing is wrong, but there is a warning: %s", e.Message)
			}
		}
		return m.isReady()
	})
}

func TestCrashLoopIsOneTrouble(t *testing.T) { // O30
	t.Parallel()
	m := started(t, 3)
	crashed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}
	phases := []corev1.ContainerStatus{
		{State: crashed},
		{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}},
		{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}
	events, writes := 0, 0
	for i := range 40 {
		w := m.world()
		seat := &w.Seats[2]
		seat.View, seat.Silence = nil, "nothing answers on its API port"
		status := phases[i%len(phases)]
		status.Name, status.LastTerminationState = "raftnode", crashed
		seat.Pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
		plan := decide.Next(w)
		events += len(plan.Events)
		if !equalStatus(m.cluster.Status, plan.Status) {
			writes++
		}
		m.cluster.Status = plan.Status
		m.now = m.now.Add(5 * time.Second)
	}
	if events > 1 || writes > 3 {
		t.Errorf("one crash loop made %d events and %d writes of the status", events, writes)
	}
	if c := m.condition(v1alpha1.ConditionDegraded); !strings.Contains(c.Message, "exit code 3") {
		t.Errorf("Degraded is %q", c.Message)
	}
}

func TestWordsOfTheRuntimeThatDifferFromTryToTryAreLeftOut(t *testing.T) { // O30
	t.Parallel()
	m := started(t, 3)
	said := map[string]bool{}
	for _, id := range []string{"0af3", "77c1"} {
		w := m.world()
		w.Seats[2].View = nil
		w.Seats[2].Pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "raftnode", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
				Reason: "RunContainerError", Message: "failed to start container " + id,
			}},
		}}
		said[condition(decide.Next(w), v1alpha1.ConditionDegraded).Message] = true
	}
	if len(said) != 1 {
		t.Errorf("each try to start a container writes the status anew: %v", said)
	}
}

func condition(plan decide.Plan, kind string) metav1.Condition {
	for _, c := range plan.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{}
}

func TestContainerThatWasAddedIsNotTheNode(t *testing.T) { // O14
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	m.until("one pod has the bad image", func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(m.pods)), func(p *modelPod) bool { return m.bad[p.image] })
	})
	m.step()
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.step()
	w := m.world()
	yes := true
	for i := range w.Seats {
		s := &w.Seats[i].Pod.Status
		s.ContainerStatuses = append([]corev1.ContainerStatus{{
			Name: "istio-proxy", Started: &yes, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}, s.ContainerStatuses...)
	}
	if act, ok := decide.Next(w).Act.(decide.DeletePod); !ok || !strings.Contains(act.Why, "does not run") {
		t.Errorf("the node's container does not run, though another one in its pod does, and the plan is %v",
			decide.Next(w).Act)
	}
}

func TestNodeWithAnotherTermDoesNotHideTheLeader(t *testing.T) {
	t.Parallel()
	for _, term := range []uint64{0, 1 << 40, math.MaxUint64} {
		m := started(t, 3)
		m.step()
		w := m.world()
		odd := (m.leader + 1) % 3
		w.Seats[odd].View.Term, w.Seats[odd].View.LeaderID = term, 0
		plan := decide.Next(w)
		if plan.Status.Leader == nil || plan.Status.ReadyReplicas != 2 {
			t.Errorf("two of three follow a leader, the third is in term %d: leader %v, %d ready", term, plan.Status.Leader,
				plan.Status.ReadyReplicas)
		}
	}
}

func TestNonsenseOfANodeDoesNotReachTheStatus(t *testing.T) { // O5: the API server would refuse the status
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	for name, lie := range map[string]func(v *api.ClusterView){
		"a long version":    func(v *api.ClusterView) { v.Version = long },
		"a long cluster id": func(v *api.ClusterView) { v.ClusterID = long },
		"no cluster id":     func(v *api.ClusterView) { v.ClusterID = "" },
		"an id above int64": func(v *api.ClusterView) {
			v.NodeID, v.Config.Members[0].ID = math.MaxUint64, math.MaxUint64
		},
		"no id":                        func(v *api.ClusterView) { v.NodeID = 0; v.Config.Members = nil },
		"an unknown state":             func(v *api.ClusterView) { v.State = api.LifeCycle(long) },
		"an unknown role":              func(v *api.ClusterView) { v.Role = long },
		"members with one id":          func(v *api.ClusterView) { v.Config.Members[1].ID = 1; v.Term += 5 },
		"members with other addresses": func(v *api.ClusterView) { v.Config.Members[2].Address = far; v.Term += 5 },
		"a member without an id":       func(v *api.ClusterView) { v.Config.Members[2].ID = 0; v.Term += 5 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, known := range []bool{true, false} {
				m := started(t, 3)
				w := m.world()
				view := *w.Seats[0].View
				view.Config.Members = append([]api.ConfigMember{}, view.Config.Members...)
				lie(&view)
				w.Seats[0].View = &view
				if !known {
					w.Cluster.Status = v1alpha1.RaftClusterStatus{}
				}
				checkStatus(t, decide.Next(w).Status)
			}
		})
	}
}

const far = "http://demo-2147483647.demo-peers.shop.svc.cluster.local.:7080"

// checkStatus finds what the CRD would refuse.
func checkStatus(t *testing.T, status v1alpha1.RaftClusterStatus) {
	t.Helper()
	seen := map[int64]bool{}
	for _, m := range status.Members {
		if seen[m.MemberID] || m.MemberID <= 0 {
			t.Errorf("member id %d is no key of a list: %+v", m.MemberID, status.Members)
		}
		if len(m.PodName) > 63 {
			t.Errorf("member %d has the pod %q", m.MemberID, m.PodName)
		}
		seen[m.MemberID] = true
	}
	if len(status.Version) > 128 || len(status.ClusterID) > 128 {
		t.Errorf("a version of %d bytes, a cluster id of %d", len(status.Version), len(status.ClusterID))
	}
	for _, c := range status.Conditions {
		if len(c.Message) > 32768 {
			t.Errorf("the message of %s has %d bytes", c.Type, len(c.Message))
		}
	}
}

func TestMarkThatAPersonWroteGivesWayToTheDisk(t *testing.T) { // O10
	t.Parallel()
	for name, annotations := range map[string]map[string]string{
		"another cluster": {v1alpha1.AnnotationClusterID: "nonsense", v1alpha1.AnnotationMemberID: "2"},
		"no number":       {v1alpha1.AnnotationClusterID: "nonsense", v1alpha1.AnnotationMemberID: "-x"},
		"another member":  {v1alpha1.AnnotationMemberID: "1"},
		"none any more":   nil,
	} {
		m := started(t, 3)
		id := m.cluster.Status.ClusterID
		m.claims[1].Annotations = annotations
		m.until(name+": marked again", func() bool {
			return m.claims[1].Annotations[v1alpha1.AnnotationClusterID] == id &&
				m.claims[1].Annotations[v1alpha1.AnnotationMemberID] == "2"
		})
		m.until("ready", m.isReady)
	}
}

func TestMarksThatWereCopiedDoNotMakeOneMemberTwo(t *testing.T) { // O10
	t.Parallel()
	m := started(t, 3)
	m.remove()
	m.create(3)
	m.claims[1].Annotations = m.claims[0].Annotations
	for ordinal := range int32(3) {
		m.disks[m.claims[ordinal].UID] = &modelDisk{}
	}
	for range 30 {
		plan := m.step()
		if plan.Act != nil {
			t.Fatalf("every disk is lost, and the plan is %v", plan.Act)
		}
		checkStatus(t, plan.Status)
	}
}

func TestLongNonsenseOnAClaimDoesNotSilenceTheStatus(t *testing.T) { // O5
	t.Parallel()
	m := newModel(t, 3)
	m.step()
	m.claims[1].Annotations = map[string]string{v1alpha1.AnnotationClusterID: strings.Repeat("x", 1<<17)}
	for range 5 {
		checkStatus(t, m.step().Status)
	}
}

func TestStatusThatAPersonWipedIsMadeAnew(t *testing.T) { // O4
	t.Parallel()
	m := started(t, 3)
	m.step()
	before := m.cluster.Status
	at := len(m.plans)
	m.cluster.Status = v1alpha1.RaftClusterStatus{}
	m.until("ready", m.isReady)
	if m.cluster.Status.ClusterID != before.ClusterID || len(m.cluster.Status.Members) != 3 || len(m.acts(at)) > 0 {
		t.Errorf("the status became %+v, by %v", m.cluster.Status, m.acts(at))
	}
}

func TestStatusWithoutItsClusterIDFoundsNoSecondCluster(t *testing.T) { // O3, O4
	t.Parallel()
	m := started(t, 3)
	m.cluster.Status.ClusterID = ""
	for ordinal := range int32(3) {
		m.claims[ordinal].Annotations, m.disks[m.claims[ordinal].UID] = nil, &modelDisk{}
	}
	for range 30 {
		if plan := m.step(); plan.Act != nil || plan.Status.ClusterID != "" {
			t.Fatalf("the status names members, and the plan is %v, cluster %q", plan.Act, plan.Status.ClusterID)
		}
	}
}

func TestPodOfAnotherOwnerIsNotEnded(t *testing.T) { // it has the name of a seat, but does not belong to the cluster
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	theirs := w.Seats[2].Pod
	theirs.Labels, theirs.UID = map[string]string{"run": "demo-2"}, "theirs"
	theirs.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	w.Seats[2].View = nil
	plan := decide.Next(w)
	if plan.Act != nil {
		t.Errorf("the plan is %v", plan.Act)
	}
	if c := condition(plan, v1alpha1.ConditionDegraded); !strings.Contains(c.Message, "outside of this cluster") {
		t.Errorf("Degraded is %q", c.Message)
	}
}

func TestUnreachableNodeDoesNotHoldUpTheLeader(t *testing.T) { // O15, O19
	t.Parallel()
	for _, cut := range []int32{0, 4} {
		m := started(t, 5)
		m.step()
		m.leader = 2
		m.term++
		m.alone[cut], m.silent[cut] = true, true
		m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
		for range 100 {
			m.step()
		}
		for ordinal := range int32(5) {
			if pod := m.pods[ordinal]; (pod.image == "kontiki:2") == (ordinal == cut) {
				t.Errorf("%s is cut off, and %s runs %s", podName(cut), podName(ordinal), pod.image)
			}
		}
		if c := m.condition(v1alpha1.ConditionProgressing); !strings.Contains(c.Message, podName(cut)) {
			t.Errorf("Progressing does not report what the update waits for: %q", c.Message)
		}
	}
}
