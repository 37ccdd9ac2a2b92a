package decide_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
)

func equalStatus(a, b v1alpha1.RaftClusterStatus) bool { return reflect.DeepEqual(a, b) }

// roll runs passes until the cluster is ready with an image, and returns the acts.
func (m *model) roll(image string) []decide.Act {
	m.t.Helper()
	before := len(m.plans)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = image })
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo(image) })
	return m.acts(before)
}

func TestRollTakesOnePodAtATimeAndTheLeaderLast(t *testing.T) { // O14, O15
	t.Parallel()
	for _, replicas := range []int32{3, 5, 7} {
		m := started(t, replicas)
		m.leader = replicas - 1 // it has the highest ordinal, and still is not the first
		m.term++
		m.step()
		leader := podName(m.leader)
		did := podsOf(m.roll("kontiki:2"))
		if len(did) != int(replicas)+1 {
			t.Fatalf("%d pods were rolled by %v", replicas, did)
		}
		if want := []string{"transfer leadership from " + leader, "evict " + leader}; !slices.Equal(did[replicas-1:], want) {
			t.Errorf("the last acts are %v, want %v", did[replicas-1:], want)
		}
		followers := did[:replicas-1]
		if !slices.IsSortedFunc(followers, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("the followers were taken as %v, want the highest first", followers)
		}
	}
}

func TestOnlyNodeIsReplacedWithoutATransfer(t *testing.T) {
	t.Parallel()
	m := started(t, 1)
	if did := podsOf(m.roll("kontiki:2")); !slices.Equal(did, []string{"evict demo-0"}) {
		t.Errorf("one node was rolled by %v", did)
	}
}

func TestBadImageStopsAtOnePodAndItsCorrectionGoesOn(t *testing.T) { // O14
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	before := len(m.plans)
	for range 50 {
		m.step()
	}
	if did := podsOf(m.acts(before)); len(did) != 1 {
		t.Fatalf("a bad image was rolled by %v, want one pod", did)
	}
	if c := m.condition(v1alpha1.ConditionDegraded); !strings.Contains(c.Message, "kontiki:bad cannot be pulled") {
		t.Errorf("Degraded is %q", c.Message)
	}
	if c := m.condition(v1alpha1.ConditionAvailable); c.Reason != v1alpha1.ReasonQuorumAvailable {
		t.Errorf("Available is %s/%s", c.Status, c.Reason)
	}
	did := podsOf(m.roll("kontiki:2"))
	if len(did) == 0 || !strings.HasPrefix(did[0], "delete ") {
		t.Errorf("the correction was rolled by %v, want the broken pod first", did)
	}
}

// Only the broken pod can bring the quorum back.
func TestBadImageIsCorrectedWhileAMachineIsGone(t *testing.T) { // O14, O19
	t.Parallel()
	for what, goAway := range map[string]func(m *model, ordinal int32){
		"and its pod never ends": func(m *model, ordinal int32) {
			m.pods[ordinal].terminating, m.pods[ordinal].ends = true, m.now.Add(time.Minute)
		},
		"and its pod is not made anew": func(m *model, ordinal int32) { m.kill(ordinal) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m := started(t, 3)
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
			m.until("one pod has the bad image", func() bool { return m.broken() >= 0 && m.leader >= 0 })
			broken := m.broken()
			gone := (broken + 1) % 3
			goAway(m, gone)
			m.alone[gone], m.silent[gone], m.hung = true, true, map[int32]bool{gone: true}
			for range 20 {
				m.step()
			}
			if m.leader >= 0 {
				t.Fatal("two of three members are down, and one leads")
			}
			before := len(m.plans)
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
			m.until("a quorum is back", func() bool {
				return m.condition(v1alpha1.ConditionAvailable).Reason == v1alpha1.ReasonQuorumAvailable
			})
			if did := podsOf(m.acts(before)); !slices.Contains(did, "delete "+podName(broken)) {
				t.Errorf("%s was unstuck by %v", podName(broken), did)
			}
			m.alone[gone], m.silent[gone], m.hung = false, false, nil
			m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
		})
	}
}

// broken is the ordinal of a pod with a bad image; -1: none.
func (m *model) broken() int32 {
	for ordinal, pod := range m.pods {
		if m.bad[pod.image] {
			return ordinal
		}
	}
	return -1
}

func TestPodThatEndsIsNotDeletedAgain(t *testing.T) {
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	m.until("one pod has the bad image", func() bool { return m.broken() >= 0 })
	broken := m.broken()
	m.hung = map[int32]bool{broken: true} // its end takes long
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	before := len(m.plans)
	for range 20 {
		m.step()
	}
	if did := podsOf(m.acts(before)); !slices.Equal(did, []string{"delete " + podName(broken)}) {
		t.Errorf("one pod ends slowly, and the acts are %v", did)
	}
}

func TestPodThatEndsInAPlaceThatNoNodeNeedsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		m := started(t, 3)
		m.step()
		extra := &modelPod{
			uid: "extra", revision: "of-before", image: "kontiki:0", domain: m.domain, running: running,
			terminating: true, ends: m.now,
		}
		m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
		m.step()
		w := m.world()
		w.Seats = append(w.Seats, decide.Seat{Ordinal: 3, Pod: m.podObject(3, extra), Silence: "no answer"})
		if act, ok := decide.Next(w).Act.(decide.EvictPod); !ok {
			t.Errorf("demo-3 is no member and ends, running: %t; the plan is %v", running, act)
		}
	}
}

func TestBadImageFromTheBeginningIsUnstuckByItsCorrection(t *testing.T) { // O14
	t.Parallel()
	m := newModel(t, 3)
	m.cluster.Spec.Image = "kontiki:bad"
	for range 20 {
		m.step()
	}
	if c := m.condition(v1alpha1.ConditionBootstrapped); !strings.Contains(c.Message, "kontiki:bad cannot be pulled") {
		t.Errorf("Bootstrapped is %q", c.Message)
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("ready", m.isReady)
}

func TestNothingIsRolledWhileAMemberIsDown(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 3)
	m.bad["kontiki:1"] = true // from now on no pod of the old image starts
	m.kill(0)
	m.step()
	m.step()
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	before := len(m.plans)
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
	if did := podsOf(m.acts(before)); did[0] != "delete demo-0" {
		t.Errorf("demo-0 does not run, and the acts are %v", did)
	}
}

// A member that has not caught up counts neither as one to replace freely nor as part of the remaining quorum.
func TestUnhealthyMemberIsReplacedOnlyIfTheOthersAreAQuorum(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.step() // applies the template
	m.elect()
	m.lags = map[int32]bool{(m.leader + 1) % 3: true, (m.leader + 2) % 3: true}
	for range 10 {
		if act := m.step().Act; act != nil {
			t.Fatalf("only the leader is healthy, and the plan is %v", act)
		}
	}
	if c := m.condition(v1alpha1.ConditionProgressing); !strings.Contains(c.Message, "a quorum is 2") {
		t.Errorf("Progressing is %q", c.Message)
	}
	lagging := (m.leader + 1) % 3
	m.lags = map[int32]bool{lagging: true}
	if act, ok := m.step().Act.(decide.DeletePod); !ok || act.Name != podName(lagging) {
		t.Errorf("two are healthy without %s, and the plan is %v", podName(lagging), m.plans[len(m.plans)-1].Act)
	}
}

func TestMemberInAnotherTermIsNotHealthy(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	behind := (m.leader + 1) % 3
	w.Seats[behind].View.Term-- // it follows the same leader, and has not received its latest term
	for _, member := range decide.Next(w).Status.Members {
		if is := member.Health == v1alpha1.HealthHealthy; is == (member.PodName == podName(behind)) {
			t.Errorf("%s is in the term before, and %s is %s", podName(behind), member.PodName, member.Health)
		}
	}
}

func TestLeaderDoesNotHandOverIfTheOthersAreNoQuorum(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 3)
	m.lead(2)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("one follower is replaced", func() bool {
		return m.pods[1] != nil && m.pods[1].image == "kontiki:2" && m.pods[1].ready
	})
	m.silent[0], m.alone[0] = true, true
	for range 10 {
		if act := m.step().Act; act != nil {
			if _, labels := act.(decide.LabelPod); !labels {
				t.Fatalf("demo-0 is cut off, and the plan is %v", act)
			}
		}
	}
}

func TestLeadershipGoesToAHealthyMember(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 5)
	m.lead(4)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("three followers are replaced", func() bool { return m.pods[1] != nil && m.pods[1].image == "kontiki:2" })
	m.deleteClaim(0) // so that its pod is left alone
	m.lags = map[int32]bool{0: true}
	for range 20 {
		if act, ok := m.step().Act.(decide.TransferLeadership); ok {
			if act.ToPod == "demo-0" {
				t.Errorf("demo-0 is not ready, and the plan is %v", act)
			}
			return
		}
	}
	t.Error("no transfer was planned")
}

// decided runs passes until the plan is an act of a kind, and returns the world of that decision. The act is not done
// yet.
func decided[A decide.Act](s *randomRun) (decide.World, A) {
	s.t.Helper()
	for range 60 {
		s.see()
		if act, ok := decide.Next(s.last.world).Act.(A); ok {
			return s.last.world, act
		}
		s.step()
	}
	s.t.Fatal("no such act was planned")
	panic("unreachable")
}

func TestATransferIsForTheTermItWasDecidedIn(t *testing.T) { // O29
	t.Parallel()
	for what, elect := range map[string]func(s *randomRun){
		"the same leader, elected again": func(s *randomRun) { s.lead(s.leader) },
		"another leader":                 func(s *randomRun) { s.lead((s.leader + 1) % 3) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newCalm(started(t, 3))
			s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki:2" })
			w, act := decided[decide.TransferLeadership](s)
			elect(s)
			leader := s.leader
			if err := s.carry(w, act); !errors.Is(err, actor.ErrStale) {
				t.Errorf("the term is another, and the answer is %v", err)
			}
			if s.leader != leader {
				t.Errorf("the leadership went from %s to %s", podName(leader), podName(s.leader))
			}
		})
	}
}

func TestNoPodIsReplacedWhoseClaimIsDeletedMeanwhile(t *testing.T) { // O9, O29
	t.Parallel()
	s := newCalm(started(t, 3))
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki:2" })
	w, act := decided[decide.EvictPod](s)
	s.deleteClaim(ordinalOf(act.Name))
	if err := s.carry(w, act); !errors.Is(err, actor.ErrStale) {
		t.Errorf("its disk would go with %s, and the answer is %v", act.Name, err)
	}
	if s.problem != "" {
		t.Error(s.problem)
	}
}

func TestNoPodIsReplacedIfADrainHasTakenAnother(t *testing.T) { // O29
	t.Parallel()
	s := newCalm(started(t, 3))
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image = "kontiki:2" })
	w, act := decided[decide.EvictPod](s)
	for ordinal := range int32(3) {
		if podName(ordinal) != act.Name && ordinal != s.leader {
			s.drain(ordinal)
		}
	}
	if err := s.carry(w, act); !errors.Is(err, actor.ErrStale) {
		t.Errorf("another pod ends, and the answer is %v", err)
	}
	if s.problem != "" {
		t.Error(s.problem)
	}
}

func TestNothingIsRolledWhileANodeIsCutOff(t *testing.T) { // O15, O19
	t.Parallel()
	m := started(t, 3)
	m.step()
	cut := (m.leader + 1) % 3
	m.alone[cut], m.silent[cut] = true, true
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 30 {
		if act := m.step().Act; act != nil {
			t.Fatalf("%s is cut off, and the plan is %v", podName(cut), act)
		}
	}
	if c := m.condition(v1alpha1.ConditionProgressing); !strings.Contains(c.Message, "a quorum is 2") {
		t.Errorf("Progressing is %q", c.Message)
	}
	m.alone[cut], m.silent[cut] = false, false
	m.until("rolled", func() bool { return m.isReady() && m.rolledTo("kontiki:2") })
}

func TestNothingIsRolledWhileNoNodeAnswers(t *testing.T) { // O4
	t.Parallel()
	m := started(t, 3)
	for ordinal := range int32(3) {
		m.silent[ordinal] = true
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	for range 30 {
		if act := m.step().Act; act != nil {
			t.Fatalf("no node answers, and the plan is %v", act)
		}
	}
}

func TestLostMemberDoesNotHoldUpALargerCluster(t *testing.T) {
	t.Parallel()
	m := started(t, 5)
	m.kill(4)
	delete(m.claims, 4)
	m.roll2("kontiki:2")
	if c := m.condition(v1alpha1.ConditionDegraded); c.Reason != v1alpha1.ReasonMemberLost {
		t.Errorf("Degraded is %s/%s", c.Status, c.Reason)
	}
}

// roll2 is roll for a cluster that does not become ready any more.
func (m *model) roll2(image string) {
	m.t.Helper()
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = image })
	m.until("every pod runs "+image, func() bool { return m.rolledTo(image) })
}

func TestBadImageThatIsTakenOutOfTheSpecGivesTheDefaultBack(t *testing.T) { // O14
	t.Parallel()
	m := started(t, 3)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:bad" })
	for range 20 {
		m.step()
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "" })
	m.until("ready with the default", func() bool { return m.isReady() && m.rolledTo("kontiki:1") })
}

func TestReappliedClusterRecoversFromABadImage(t *testing.T) { // O14; found by seed 237 of the random test
	t.Parallel()
	m := started(t, 3)
	m.remove()
	m.create(3)
	m.cluster.Spec.Image = "kontiki:bad"
	for range 20 {
		m.step()
	}
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
	m.until("ready", m.isReady)
}

func TestUpdateToRepairTheQuorumReportsWhatToDo(t *testing.T) { // O15
	t.Parallel()
	m := started(t, 3)
	m.alone[0], m.alone[1], m.alone[2] = true, true, true // the election timeout is too short for the disks
	m.brokenFor(20)
	m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Raft.ElectionTimeoutMilliseconds = 2000 })
	for range 20 {
		if act := m.step().Act; act != nil {
			t.Fatalf("no node leads, and the plan is %v", act)
		}
	}
	if c := m.condition(v1alpha1.ConditionProgressing); !strings.Contains(c.Message, "delete the outdated pods yourself") {
		t.Errorf("Progressing is %q", c.Message)
	}
	for ordinal := range int32(3) {
		m.kill(ordinal)
		m.step()
	}
	m.alone = map[int32]bool{}
	m.until("ready", m.isReady)
}

func TestOutdatedIsByTheNewestRevisionThatWasSeen(t *testing.T) { // O16
	t.Parallel()
	m := started(t, 3)
	w := m.world()
	w.Set.Status.CurrentRevision = "of-long-ago" // as it stays under OnDelete
	if plan := decide.Next(w); plan.Act != nil || condition(plan, v1alpha1.ConditionReady).Status != "True" {
		t.Errorf("every pod has the newest template, and the plan is %v", plan.Act)
	}
	w.Set.Generation++ // the StatefulSet controller has not observed yet: the revision is that of the template before
	w.Set.Status.UpdateRevision = "of-before"
	plan := decide.Next(w)
	if plan.Act != nil {
		t.Errorf("the newest revision is not known yet, and the plan is %v", plan.Act)
	}
	if c := condition(plan, v1alpha1.ConditionProgressing); c.Reason != v1alpha1.ReasonRollingUpdate {
		t.Errorf("Progressing is %s", c.Reason)
	}
}
