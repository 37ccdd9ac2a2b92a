package controllers_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers"
	"github.com/kontiki-dev/kontiki/controllers/objects"
)

// storm is a model in which everything goes wrong by chance: the operator dies between any two things that it does,
// looks at a world that is no more, people delete pods, claims and whole clusters, nodes are cut off. What it watches
// is that the operator's own acts stay harmless.
type storm struct {
	*model
	rng *rand.Rand
	// told is the claim on which each member of each cluster was given its identity.
	told map[string]types.UID
	// ours are the pods of members that the operator ended and that do not run again yet, by ordinal.
	ours map[int32]bool
	// lost tells that a disk was lost, so that the cluster need not become ready again.
	lost    bool
	version int // of the RaftCluster
	// operators are two, as while a new one starts and the old one does not know it yet. Each sees its own world.
	operators [2]sighting
	last      *sighting // of the one whose turn it is
	// tampered tells that people took marks away or copied them.
	tampered bool
}

// sighting is a world with what was true when it was seen.
type sighting struct {
	world   controllers.World
	version int
	alone   map[int32]bool
}

func TestOurActsNeverTakeAQuorumDown(t *testing.T) { // O2, O4, O6, O15, O29, O32
	t.Parallel()
	const seeds, steps = 150, 200
	acts := 0
	for seed := range uint64(seeds) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s := &storm{
			model: newModel(t, []int32{1, 3, 3, 5}[rng.IntN(4)]), rng: rng, told: map[string]types.UID{},
			ours: map[int32]bool{},
		}
		s.hung, s.last = map[int32]bool{}, &s.operators[0]
		for step := range steps {
			if problem := s.turn(); problem != "" {
				t.Fatalf("seed %d, step %d: %s", seed, step, problem)
			}
		}
		acts += len(s.acts(0))
		if problem := s.calm(); problem != "" {
			t.Fatalf("seed %d, after the storm: %s", seed, problem)
		}
	}
	t.Logf("%d worlds, %d passes, %d acts", seeds, seeds*steps, acts)
}

// look is what the operator's cache shows: what is, or what was the last time, or the pods of the last time, with
// what the nodes answer now.
func (s *storm) look() {
	s.last = &s.operators[0]
	if s.chance(20) {
		s.last = &s.operators[1]
	}
	switch before := s.last.world.Seats; {
	case s.last.world.Cluster != nil && s.chance(10):
	case s.last.world.Cluster != nil && s.chance(10):
		s.lookSlowly(before)
	case s.chance(20):
		*s.last = sighting{s.world(), s.version, maps.Clone(s.alone)}
		for i := range s.last.world.Seats {
			seat := &s.last.world.Seats[i]
			if i < len(before) && before[i].Pod != nil && (seat.Pod == nil || seat.Pod.UID != before[i].Pod.UID) {
				seat.View = nil // at the address of the pod that was there, nobody answers
			}
			if i < len(before) {
				seat.Pod = before[i].Pod
			}
		}
	default:
		*s.last = sighting{s.world(), s.version, maps.Clone(s.alone)}
	}
}

// lookSlowly sees what is, but some nodes answered some time ago.
func (s *storm) lookSlowly(before []controllers.Seat) {
	alone := s.last.alone
	*s.last = sighting{s.world(), s.version, maps.Clone(s.alone)}
	for i := range s.last.world.Seats {
		seat := &s.last.world.Seats[i]
		if i < len(before) && s.chance(50) && seat.Pod != nil && before[i].Pod != nil && before[i].View != nil &&
			seat.Pod.UID == before[i].Pod.UID {
			seat.View = before[i].View
			s.last.alone[seat.Ordinal] = alone[seat.Ordinal] // what was true then
		}
	}
}

func (s *storm) chance(percent float64) bool { return s.rng.Float64()*100 < percent }

func (s *storm) anyone() int32 { return s.rng.Int32N(s.size()) }

// turn is one pass of the operator, perhaps an unfinished one, and something that happens beside it.
func (s *storm) turn() string {
	s.happen()
	s.elect()
	s.look()
	plan := controllers.Decide(s.last.world)
	s.plans = append(s.plans, plan)
	problem := s.carryOut(plan)
	for ordinal := range s.size() {
		if s.chance(50) {
			s.kubelet(ordinal)
		}
		if pod := s.pods[ordinal]; pod != nil && pod.running && !pod.terminating {
			delete(s.ours, ordinal)
		}
	}
	if s.chance(80) {
		s.control()
	}
	return problem
}

// carryOut does what the loop does with a plan, and dies in it now and then.
func (s *storm) carryOut(plan controllers.Plan) string {
	if s.chance(5) || s.last.world.Cluster.UID != s.cluster.UID {
		return ""
	}
	changed := s.apply(plan.Desired)
	if s.chance(5) {
		return ""
	}
	if plan.Act != nil && !changed && s.unchanged(plan.Act) {
		if problem := s.check(plan.Act); problem != "" {
			return fmt.Sprintf("%s: %v", problem, plan.Act)
		}
		s.do(plan.Act)
		s.note(plan.Act)
	}
	if s.chance(5) || s.last.version != s.version { // an optimistic lock: the status of another world is refused
		return ""
	}
	s.cluster.Status = plan.Status
	s.version++
	return ""
}

// unchanged tells whether the loop would do an act: before a disruptive one it looks whether the pods are still those
// that were seen.
func (s *storm) unchanged(act controllers.Act) bool {
	if !act.Disruptive() {
		return true
	}
	for i := range s.last.world.Seats {
		seen, is := s.last.world.Seats[i].Pod, s.pods[s.last.world.Seats[i].Ordinal]
		if (seen == nil) != (is == nil) {
			return false
		}
		if is != nil && (seen.UID != is.uid || (seen.DeletionTimestamp != nil) != is.terminating ||
			(seen.Status.PodIP != "") != is.running) {
			return false
		}
	}
	return true
}

// check says what is wrong with an act, "" if nothing is.
func (s *storm) check(act controllers.Act) string {
	switch act := act.(type) {
	case controllers.BootstrapNode:
		return s.checkBootstrap(act)
	case controllers.EvictPod:
		return s.checkEnd(act.UID)
	case controllers.DeletePod:
		return s.checkEnd(act.UID)
	}
	return ""
}

// checkBootstrap: no identity is given again whose first life counted for anything, and no second cluster is begun
// beside one that has a disk.
func (s *storm) checkBootstrap(act controllers.BootstrapNode) string {
	ordinal, _ := objects.Ordinal(modelName, act.PodName)
	pod, disk := s.pods[ordinal], s.disk(ordinal)
	if pod == nil || pod.address() != act.PodIP || disk == nil || disk.nodeID != 0 {
		return "" // it reaches nobody, or one that refuses
	}
	claim := s.claims[ordinal].UID
	key := fmt.Sprint(act.Request.ClusterID, " ", act.Request.NodeID)
	if before, ok := s.told[key]; ok && before != claim {
		return "an identity is given a second time, to another disk"
	}
	if _, marked := s.claims[ordinal].Annotations[v1alpha1.AnnotationMemberID]; marked {
		return "an identity is given a second time, to a disk that was wiped"
	}
	for other := range s.size() {
		// Whom nobody has seen vote or acknowledge has done nothing that counted, and may be told again.
		if d := s.disk(other); d != nil && slices.Contains(d.seen, act.Request.NodeID) {
			return "an identity is given a second time, though its first life counted"
		}
	}
	for other := range s.size() {
		if d := s.disk(other); d != nil && d.nodeID != 0 && d.clusterID != act.Request.ClusterID {
			return "a second cluster is begun beside one that has a disk"
		}
	}
	return ""
}

// checkEnd: a node that votes is ended only while the others are a quorum, and while no other one is down by our hand.
func (s *storm) checkEnd(uid types.UID) string {
	victim := int32(-1)
	for ordinal, pod := range s.pods {
		if pod.uid == uid {
			victim = ordinal
		}
	}
	if victim < 0 {
		return "" // it is gone already
	}
	for ordinal, pod := range s.pods {
		if ordinal != victim && pod.terminating && s.ours[ordinal] {
			return "two pods are being replaced at once"
		}
	}
	alone := s.alone
	s.alone = s.last.alone // what the network did meanwhile is not the operator's doing
	defer func() { s.alone = alone }()
	disk, claim := s.disk(victim), s.claims[victim]
	if claim != nil && claim.DeletionTimestamp != nil && disk.nodeID != 0 {
		return "the claim goes with the pod, and the disk with it"
	}
	if !s.votes(victim) || len(disk.members) == 1 {
		return ""
	}
	others := 0
	for ordinal := range s.size() {
		if ordinal != victim && s.votes(ordinal) && !s.pods[ordinal].terminating {
			others++
		}
	}
	quorum := len(disk.members)/2 + 1
	if s.tampered && others+1 < quorum {
		return "" // nobody could know that there is a cluster, and it had no quorum to lose
	}
	if others < quorum {
		return fmt.Sprintf("only %d of %d members vote without it", others, len(disk.members))
	}
	if len(s.ours) > 0 && !s.ours[victim] {
		return fmt.Sprintf("the pods %v were ended by us and do not run yet", slices.Collect(maps.Keys(s.ours)))
	}
	return ""
}

// note remembers what was done.
func (s *storm) note(act controllers.Act) {
	switch act := act.(type) {
	case controllers.BootstrapNode:
		ordinal, _ := objects.Ordinal(modelName, act.PodName)
		if pod := s.pods[ordinal]; pod != nil && pod.address() == act.PodIP {
			s.told[fmt.Sprint(act.Request.ClusterID, " ", act.Request.NodeID)] = s.claims[ordinal].UID
		}
	case controllers.EvictPod:
		s.noteEnd(act.Name)
	case controllers.DeletePod:
		s.noteEnd(act.Name)
	}
}

// noteEnd remembers whom we ended; one that is no member is missed by nobody.
func (s *storm) noteEnd(name string) {
	ordinal, _ := objects.Ordinal(modelName, name)
	if disk := s.disk(ordinal); disk != nil && disk.nodeID != 0 {
		s.ours[ordinal] = true
	}
}

// happen is what others do.
func (s *storm) happen() {
	switch who := s.anyone(); {
	case s.chance(3):
		s.kill(who)
	case s.chance(3):
		s.silent[who] = !s.silent[who]
	case s.chance(3):
		s.alone[who] = !s.alone[who]
	case s.chance(3):
		s.edit(func(spec *v1alpha1.RaftClusterSpec) {
			spec.Image = []string{"kontiki:1", "kontiki:2", "kontiki:3", "kontiki:bad"}[s.rng.IntN(4)]
		})
		s.version++
	case s.chance(1):
		s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Paused = !spec.Paused })
		s.version++
	case s.chance(0.3):
		s.kill(who)
		s.loseClaim(who)
	case s.chance(0.3):
		s.wipe(who)
	case s.chance(0.3):
		s.again()
	case s.chance(2):
		s.hung[who] = !s.hung[who]
	case s.chance(0.5):
		s.domain = []string{modelDomain, "a.example", "b.example"}[s.rng.IntN(3)]
	default:
		s.meddle(who)
	}
}

// meddle is what people do who should not.
func (s *storm) meddle(who int32) {
	claim := s.claims[who]
	switch {
	case claim == nil:
	case s.chance(1):
		claim.Annotations, s.tampered = nil, true
	case s.chance(0.5):
		if other := s.claims[s.anyone()]; other != nil {
			claim.Annotations, s.tampered = maps.Clone(other.Annotations), true
			s.lost = s.lost || s.disk(who).nodeID == 0 // marked, and empty: that is how a lost disk looks
		}
	case s.chance(0.3):
		s.lost = true // sooner or later
		s.deleteClaim(who)
	case s.chance(0.3):
		s.cluster.Status = v1alpha1.RaftClusterStatus{}
		s.version++
	}
}

// again deletes the RaftCluster, and applies it once more, perhaps with another number.
func (s *storm) again() {
	replicas := s.cluster.Spec.Replicas
	if !s.tampered { // without its mark a claim that is not asked for is not known to hold something
		replicas = []int32{1, 3, 5}[s.rng.IntN(3)]
	}
	s.remove()
	s.create(replicas)
	s.version++
	s.ours = map[int32]bool{}
}

func (s *storm) loseClaim(ordinal int32) {
	// A claim that the intent names is as good as told: whether it was, nobody could say after a crash.
	s.lost = s.lost || s.claims[ordinal] != nil && s.cluster.Status.ClusterID != "" ||
		s.disk(ordinal) != nil && s.disk(ordinal).nodeID != 0
	delete(s.claims, ordinal)
}

// wipe empties the volume of a node, which then cannot go on.
func (s *storm) wipe(ordinal int32) {
	claim := s.claims[ordinal]
	if claim == nil {
		return
	}
	s.lost = s.lost || s.disks[claim.UID].nodeID != 0
	s.disks[claim.UID] = &modelDisk{}
	s.kill(ordinal)
}

// calm heals everything but the disks, and says what has not come right.
func (s *storm) calm() string {
	s.silent, s.alone, s.hung = map[int32]bool{}, map[int32]bool{}, map[int32]bool{}
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image, spec.Paused = "kontiki:9", false })
	if s.lost {
		return ""
	}
	for range 200 {
		s.step()
		if s.isReady() && s.rolledTo("kontiki:9") {
			before := len(s.plans)
			for range 5 {
				s.step()
			}
			acts := slices.DeleteFunc(s.acts(before), func(act controllers.Act) bool {
				_, marks := act.(controllers.MarkClaim)
				_, labels := act.(controllers.LabelPod)
				return labels || marks && s.tampered // a mark that was taken away is made again
			})
			if len(acts) > 0 {
				return fmt.Sprintf("ready, and yet the plans are %v", acts)
			}
			return ""
		}
	}
	if s.condition(v1alpha1.ConditionDegraded).Reason == v1alpha1.ReasonNotEnoughMembers {
		return "" // it was applied again with a larger number, which cannot be done yet
	}
	return fmt.Sprintf("no disk was lost, and it does not become ready: %+v", s.cluster.Status)
}
