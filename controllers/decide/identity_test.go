package decide_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// member returns a disk that holds a member of a cluster whose members are at the addresses of the first seats.
func memberDisk(clusterID string, id uint64, members int32) *modelDisk {
	disk := &modelDisk{clusterID: clusterID, nodeID: id}
	for ordinal := range members {
		disk.members = append(disk.members, api.ConfigMember{
			ID: uint64(ordinal) + 1, Role: api.RoleVoter,
			Address: objects.PeerURL(modelName, modelNamespace, ordinal, modelDomain),
		})
	}
	return disk
}

// put replaces the data on the volume of an ordinal.
func (m *model) put(ordinal int32, disk *modelDisk) { m.disks[m.claims[ordinal].UID] = disk }

func TestForgedNodeFoundsNoCluster(t *testing.T) { // O3
	t.Parallel()
	for name, forge := range map[string]func(m *model){
		"one node that leads itself": func(m *model) {
			disk := memberDisk("EVIL", 2, 2)
			disk.members = disk.members[1:]
			m.put(1, disk)
		},
		"one member of three": func(m *model) { m.put(1, memberDisk("EVIL", 2, 3)) },
		"a majority": func(m *model) {
			m.put(0, memberDisk("EVIL", 1, 3))
			m.put(1, memberDisk("EVIL", 2, 3))
		},
		"all nodes": func(m *model) {
			for ordinal := range int32(3) {
				m.put(ordinal, memberDisk("EVIL", uint64(ordinal)+1, 3))
			}
		},
		"a pod that is not the StatefulSet's": func(m *model) {
			m.put(1, memberDisk("EVIL", 2, 3))
			m.pods[1].foreign = true
		},
		"one whose claim is marked with another cluster": func(m *model) {
			m.put(1, memberDisk("EVIL", 2, 3))
			m.annotate(m.claims[1], map[string]string{
				v1alpha1.AnnotationClusterID: "of before", v1alpha1.AnnotationMemberID: "2",
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newModel(t, 3)
			m.silent[2] = true
			m.until("the pods run", func() bool { return m.pods[2] != nil && m.pods[2].running })
			forge(m)
			m.silent[2] = false
			for range 30 {
				plan := m.step()
				if plan.Act != nil || plan.Status.ClusterID != "" || len(plan.Status.Members) > 0 || m.isReady() {
					t.Fatalf("nothing but nodes names the cluster EVIL; the plan is %v, the status %+v", plan.Act, plan.Status)
				}
			}
			if c := m.condition(v1alpha1.ConditionBootstrapped); !strings.Contains(c.Message, "EVIL") &&
				!strings.Contains(c.Message, "outside of this cluster") {
				t.Errorf("Bootstrapped is %q", c.Message)
			}
			m.edit(func(s *v1alpha1.RaftClusterSpec) { s.Image = "kontiki:2" })
			for range 10 {
				for _, act := range []decide.Act{m.step().Act} {
					if end, ok := act.(decide.DeletePod); ok && m.disk(ordinalOf(end.Name)).nodeID != 0 {
						t.Fatalf("%s may be a member of a cluster whose status was lost, and the plan is %v", end.Name, act)
					}
				}
			}
		})
	}
}

func ordinalOf(podName string) int32 {
	ordinal, _ := objects.Ordinal(modelName, podName)
	return ordinal
}

func TestClusterThatOnlyItsNodesNameIsAdoptedOnRequest(t *testing.T) { // O4
	t.Parallel()
	m := started(t, 3)
	id := m.cluster.Status.ClusterID
	m.remove()
	m.create(3)
	for ordinal := range int32(3) {
		m.annotate(m.claims[ordinal], nil) // as in a backup without annotations
	}
	for range 20 {
		m.step()
	}
	c := m.condition(v1alpha1.ConditionReady)
	want := v1alpha1.AnnotationAdopt + "=" + id
	if !strings.Contains(c.Message, want) || m.cluster.Status.ClusterID != "" {
		t.Fatalf("Ready is %q, and does not state what to do: annotate with %s", c.Message, want)
	}
	m.cluster.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "another"}
	for range 5 {
		if m.step(); m.cluster.Status.ClusterID != "" {
			t.Fatalf("asked to adopt another cluster, it adopted %s", m.cluster.Status.ClusterID)
		}
	}
	m.cluster.Annotations = map[string]string{v1alpha1.AnnotationAdopt: id}
	m.until("ready", m.isReady)
	if m.cluster.Status.ClusterID != id {
		t.Errorf("adopted %s, not %s", m.cluster.Status.ClusterID, id)
	}
}

func TestOneMarkCorroboratesACluster(t *testing.T) { // O4
	t.Parallel()
	m := started(t, 3)
	id := m.cluster.Status.ClusterID
	m.remove()
	m.create(3)
	m.annotate(m.claims[0], nil)
	m.annotate(m.claims[2], nil)
	m.until("ready", m.isReady)
	if m.cluster.Status.ClusterID != id {
		t.Errorf("adopted %s, not %s", m.cluster.Status.ClusterID, id)
	}
}

func TestNodeThatForgesTheMembersDoesNotLeaveTheOthersOut(t *testing.T) { // O4
	t.Parallel()
	m := started(t, 3)
	m.remove()
	m.create(3)
	forged := memberDisk(m.disk(1).clusterID, 2, 2)
	forged.members = forged.members[1:]
	m.term += 100
	m.put(1, forged)
	m.until("adopted", func() bool { return m.cluster.Status.ClusterID != "" })
	if n := len(m.cluster.Status.Members); n != 3 {
		t.Errorf("two of three nodes report three members, and the status has %d", n)
	}
}

func TestDiskOfAnotherClusterDoesNotStopTheRest(t *testing.T) { // O3
	t.Parallel()
	for _, replicas := range []int32{3, 5, 7} {
		for _, lost := range []string{"nothing", "the status", "the RaftCluster"} {
			t.Run(fmt.Sprintf("%d nodes, %s is lost", replicas, lost), func(t *testing.T) {
				t.Parallel()
				m := started(t, replicas)
				id := m.cluster.Status.ClusterID
				switch lost {
				case "the status":
					m.cluster.Status = v1alpha1.RaftClusterStatus{}
				case "the RaftCluster":
					m.remove()
					m.create(replicas)
				}
				const odd = 1
				m.put(odd, memberDisk("another", odd+1, replicas)) // as after a restore of the wrong backup
				m.until("the foreign disk is reported", func() bool {
					return m.condition(v1alpha1.ConditionDegraded).Reason == v1alpha1.ReasonMemberLost
				})
				if c := m.condition(v1alpha1.ConditionDegraded); !strings.Contains(c.Message, "another cluster, another") {
					t.Errorf("Degraded is %q", c.Message)
				}
				if m.cluster.Status.ClusterID != id || m.cluster.Status.VotingMembers != replicas {
					t.Errorf("the status is %+v", m.cluster.Status)
				}
				m.until("available", func() bool {
					return m.condition(v1alpha1.ConditionAvailable).Reason == v1alpha1.ReasonQuorumAvailable
				})
				if replicas == 3 {
					return // the quorum needs the two others
				}
				m.roll2("kontiki:2")
				if m.disk(odd).clusterID != "another" {
					t.Error("the foreign disk was changed")
				}
			})
		}
	}
}

func TestMinorityOfTheDisksDoesNotDecideWhichClusterItIs(t *testing.T) { // O3
	t.Parallel()
	m := started(t, 5)
	for ordinal := range int32(3) {
		m.put(ordinal, memberDisk("another", uint64(ordinal)+1, 5))
	}
	for range 5 {
		if plan := m.step(); plan.Act != nil || plan.Desired != nil {
			t.Fatalf("two of five disks are of the status's cluster, and the plan is %v", plan.Act)
		}
	}
	if c := m.condition(v1alpha1.ConditionAvailable); c.Reason != v1alpha1.ReasonSplitBrain {
		t.Errorf("Available is %s: %s", c.Reason, c.Message)
	}
}

func TestSilentNodeWithAnotherClaimIsNotLost(t *testing.T) { // O4: its volume may be its original one
	t.Parallel()
	m := started(t, 3)
	was := m.claims[1]
	restored := was.DeepCopy()
	restored.UID = types.UID("restored") // bound to the same volume
	m.claims[1], m.disks["restored"] = restored, m.disks[was.UID]
	for name, see := range map[string]func(w decide.World){
		"its node is silent": func(decide.World) {},
		"its pod starts":     func(w decide.World) { w.Seats[1].Pod.Status.ContainerStatuses = nil },
		"its pod is missing": func(w decide.World) { w.Seats[1].Pod = nil },
		"its claim is gone":  func(w decide.World) { w.Seats[1].Claim = nil }, // and its pod still uses it
	} {
		w := m.world()
		w.Seats[1].View = nil
		see(w)
		plan := decide.Next(w)
		if health := plan.Status.Members[1].Health; health == v1alpha1.HealthLost {
			t.Errorf("%s, and it counts as lost", name)
		}
		if plan.Status.Members[1].PVCUID != was.UID {
			t.Errorf("%s, and its disk is taken to be on %s", name, plan.Status.Members[1].PVCUID)
		}
	}
	m.step()
	if uid := m.cluster.Status.Members[1].PVCUID; uid != "restored" {
		t.Errorf("its node answers, and the status has the claim %s", uid)
	}
}

func TestPageIsServedByMembersOnly(t *testing.T) {
	t.Parallel()
	m := newModel(t, 3)
	labelled := func(ordinal int32) bool {
		service := objects.DashboardService(objects.Desired{Cluster: m.cluster})
		for key, value := range service.Spec.Selector {
			if m.podObject(ordinal, m.pods[ordinal]).Labels[key] != value {
				return false
			}
		}
		return true
	}
	m.until("ready", func() bool {
		for ordinal, pod := range m.pods {
			if pod.running && m.disk(ordinal).nodeID == 0 && labelled(ordinal) {
				t.Fatalf("the Service of the dashboard selects %s, which would accept any identity", podName(ordinal))
			}
		}
		return m.isReady() && m.plans[len(m.plans)-1].Act == nil
	})
	m.kill(1)
	m.until("labelled again", func() bool { return m.pods[1] != nil && labelled(0) && labelled(1) && labelled(2) })
	m.put(1, &modelDisk{}) // its container is restarted, in the same pod
	m.step()
	if labelled(1) {
		t.Error("the Service of the dashboard selects an empty node")
	}
	if !labelled(0) || !labelled(2) {
		t.Error("the Service of the dashboard does not select the others")
	}
}

func TestLabelInTheSpecOpensNoEmptyNode(t *testing.T) {
	t.Parallel()
	m := newModel(t, 1)
	m.cluster.Spec.Pod.Labels = map[string]string{v1alpha1.LabelState: v1alpha1.StateMember, "team": "a"}
	set := objects.StatefulSet(objects.Desired{Cluster: m.cluster})
	if labels := set.Spec.Template.Labels; labels[v1alpha1.LabelState] != "" || labels["team"] != "a" {
		t.Errorf("the pods are created with the labels %v", labels)
	}
}

// begunAndForgotten bootstraps a cluster of three and removes its status when two nodes have their identity.
func begunAndForgotten(t *testing.T, between func(m *model)) *model {
	t.Helper()
	m := newModel(t, 3)
	holders := func() (n int) {
		for _, disk := range m.disks {
			if disk.nodeID != 0 {
				n++
			}
		}
		return n
	}
	m.until("one node has its identity", func() bool { return holders() == 1 })
	between(m)
	m.until("two nodes have their identity", func() bool { return holders() == 2 })
	m.until("their claims are marked", func() bool {
		_, waits := decide.Next(m.world()).Act.(decide.BootstrapNode)
		return waits
	})
	m.cluster.Status = v1alpha1.RaftClusterStatus{}
	return m
}

func TestNodesBootstrappedWithTwoDomainsAreOneCluster(t *testing.T) { // O4, O20; found by seed 34 of the random test
	t.Parallel()
	m := begunAndForgotten(t, func(m *model) { m.domain = "a.example" })
	m.until("ready", m.isReady)
}

func TestMemberIsNotBootstrappedOnceItsWitnessesMayBeLost(t *testing.T) { // O6; found by seed 111 of the random test
	t.Parallel()
	m := begunAndForgotten(t, func(*model) {})
	m.until("the members are adopted", func() bool { return len(m.cluster.Status.Members) == 3 })
	for ordinal := range int32(3) { // another operator bootstrapped the third member, and its disk is lost as well
		m.kill(ordinal)
		delete(m.claims, ordinal)
	}
	for range 20 {
		if act, ok := m.step().Act.(decide.BootstrapNode); ok {
			t.Fatalf("no disk is left that could report what the member stored, but the plan is %v", act)
		}
	}
}

func TestNoPodIsTakenWhileTheMembersAreUnknown(t *testing.T) { // O18
	t.Parallel()
	for name, lose := range map[string]func(m *model){
		"the RaftCluster was applied again and the StatefulSet was left behind": func(m *model) {
			replicas := m.set
			m.create(3)
			m.set = replicas
		},
		"the StatefulSet was left behind, and a person removed the marks": func(m *model) {
			for ordinal := range int32(5) {
				m.annotate(m.claims[ordinal], nil)
			}
			m.create(3)
		},
		"only the pods were left behind": func(m *model) {
			for ordinal := range int32(5) {
				m.annotate(m.claims[ordinal], nil)
			}
			m.create(3)
			m.set = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := started(t, 5)
			lose(m)
			for ordinal := range int32(5) {
				m.silent[ordinal] = true
			}
			for range 20 {
				if plan := m.step(); plan.Desired.Replicas != 5 {
					t.Fatalf("no node answers, and %d pods are wanted of five", plan.Desired.Replicas)
				}
			}
		})
	}
}

func TestForgedObjectsDoNotGrowTheCluster(t *testing.T) { // O18
	t.Parallel()
	m := newModel(t, 3)
	m.step()
	m.claims[40] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: objects.ClaimName(modelName, 40), UID: "forged", Annotations: map[string]string{
			v1alpha1.AnnotationMemberID: "41",
		},
	}}
	m.disks["forged"] = &modelDisk{}
	m.pods[50] = &modelPod{uid: "forged", running: true}
	if plan := decide.Next(m.world()); plan.Desired.Replicas != 3 {
		t.Errorf("a claim and a pod of high ordinals make a StatefulSet of %d", plan.Desired.Replicas)
	}
}

func TestClusterIsFoundedWithTheMembersOfTheSpec(t *testing.T) { // O18
	t.Parallel()
	m := newModel(t, 3)
	m.until("its pods run", func() bool { return m.pods[2] != nil && m.pods[2].running })
	*m.set.Spec.Replicas = 5 // as with `kubectl scale`, while the operator observes
	m.control()
	m.until("ready", m.isReady)
	if n := m.cluster.Status.VotingMembers; n != 3 {
		t.Errorf("the cluster has %d members", n)
	}
	if slices.Contains([]int32{3, 4}, m.leader) || *m.set.Spec.Replicas != 3 {
		t.Errorf("%d pods, and %s leads", *m.set.Spec.Replicas, podName(m.leader))
	}
}
