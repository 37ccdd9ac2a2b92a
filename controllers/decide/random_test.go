package decide_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/node/api"
)

// randomRun is a model with random faults: the operator crashes between any two of its steps, its cache is stale,
// people delete pods, claims and whole clusters, nodes are partitioned, and one sends false views. The test checks
// that the operator's own acts stay safe, and that its status is true. The production code carries out its acts.
type randomRun struct {
	*model
	rng   *rand.Rand
	rates rates
	nodes *runNodes
	api   *runAPI
	// given is the claim on which each member of each cluster received its identity.
	given map[string]types.UID
	// ours are the ordinals of the members' pods that the operator ended and that do not run again yet.
	ours map[int32]bool
	// images are those that the nodes of the RaftCluster may run.
	images map[string]bool
	// lost is set if a disk was lost, so that the cluster need not become ready again.
	lost bool
	// operators are two, as while a new one starts and the old one has not stopped yet. Each observes its own world.
	operators [2]sighting
	last      *sighting // of the operator in this turn
	// tampered is set if people removed or copied marks.
	tampered bool
	// forgotten is set if a status was lost, and with it the claims of the members.
	forgotten bool
	liar      *liar
	problem   string
}

// sighting is an observed world with the state of the nodes at that time.
type sighting struct {
	world   decide.World
	version int
	alone   map[int32]bool
	lags    map[int32]bool
	liar    int32 // -1: every view was true
}

// rates are how often each fault happens, in percent of the turns. Each run has its own, because what is rare in one
// must be frequent in another to coincide with other rare faults.
type rates struct {
	crash, stale, race                                    float64 // of the operator
	kill, silence, cut, hang, lag                         float64 // of nodes
	drain, election                                       float64
	recovery                                              float64 // of each node from each fault
	loseClaim, wipe, swap                                 float64 // of disks
	edit, pause, again, domain, scale                     float64 // by people
	unmark, copyMark, deleteClaim, loseStatus, newDefault float64 // by people, against the documentation
	lie, pass                                             float64 // pass: a longer time passes
}

// draw draws the rates of a run.
func draw(rng *rand.Rand) rates {
	often := func(percent float64) float64 { return percent * []float64{0, 1, 1, 1, 6}[rng.IntN(5)] }
	return rates{
		crash: often(5), stale: often(10),
		kill: often(3), silence: often(3), cut: often(3), hang: often(2),
		loseClaim: often(0.3), wipe: often(0.3), swap: often(0.1),
		edit: often(3), pause: often(1), again: often(0.3), domain: often(0.5), scale: often(0.5),
		unmark: often(0.5), copyMark: often(0.2), deleteClaim: often(0.2), loseStatus: often(0.3), newDefault: often(1),
		lie: often(1), pass: often(3),
		race: often(20), lag: often(3), drain: often(2), election: often(2),
		recovery: []float64{1, 1, 20, 40}[rng.IntN(4)],
	}
}

const (
	runSeeds = 250
	runSteps = 200
)

func TestOurActsNeverTakeAQuorumDown(t *testing.T) { // O2, O4, O6, O15, O29, O32
	t.Parallel()
	for seed := range uint64(runSeeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if runFailed.Load() && testing.Short() {
				t.Skip("another run has failed, and -short stops at the first")
			}
			defer func() { runFailed.CompareAndSwap(false, t.Failed()) }()
			s := newRandomRun(t, seed)
			for step := range runSteps {
				if s.turn(); s.problem != "" {
					t.Fatalf("step %d: %s", step, s.problem)
				}
			}
			if s.calm(); s.problem != "" {
				t.Fatalf("after the faults: %s", s.problem)
			}
		})
	}
}

// runFailed is set once a run has failed.
var runFailed atomic.Bool

func newRandomRun(t *testing.T, seed uint64) *randomRun {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	s := newCalm(newModel(t, []int32{1, 3, 3, 5, 7}[rng.IntN(5)]))
	s.rng, s.rates, s.lingers = rng, draw(rng), 4*time.Second
	if s.rates.recovery > 10 { // otherwise hardly any run would get as far
		s.until("ready", s.isReady)
		for ordinal, claim := range s.claims {
			s.given[identity(s.disk(ordinal).clusterID, s.disk(ordinal).nodeID)] = claim.UID
		}
		s.editImage()
	}
	return s
}

// newCalm makes a run of a model without random faults.
func newCalm(m *model) *randomRun {
	s := &randomRun{
		model: m, given: map[string]types.UID{}, ours: map[int32]bool{}, images: map[string]bool{"kontiki:1": true},
	}
	s.nodes, s.api = &runNodes{s: s}, &runAPI{s: s}
	s.hung, s.lags, s.last = map[int32]bool{}, map[int32]bool{}, &s.operators[0]
	return s
}

// complain notes the first failure.
func (s *randomRun) complain(problem string) {
	if s.problem == "" {
		s.problem = problem
	}
}

func (s *randomRun) chance(percent float64) bool { return s.rng.Float64()*100 < percent }

func (s *randomRun) anyone() int32 { return s.rng.Int32N(s.size()) }

// look sets what the operator's cache contains: the current state, or that of the last time, or the pods of the last
// time with what the nodes answer now.
func (s *randomRun) look() {
	s.last = &s.operators[0]
	if s.chance(20) {
		s.last = &s.operators[1]
	}
	before := s.last.world.Seats
	switch known := s.last.world.Cluster != nil; {
	case known && s.chance(s.rates.stale):
		return
	case known && s.chance(s.rates.stale):
		s.lookSlowly(before)
	case s.chance(2 * s.rates.stale):
		s.see()
		s.lookAtOldPods(before)
	default:
		s.see()
	}
	s.addLies()
}

// see observes the current state. A node that was partitioned a moment ago reports its last state, because it has not
// noticed yet.
func (s *randomRun) see() {
	w := s.world() // it may elect a leader
	*s.last = sighting{w, s.version, maps.Clone(s.alone), maps.Clone(s.lags), -1}
	for ordinal, pod := range s.pods {
		if pod.belief.until.After(s.now) && pod.belief.term == s.term {
			delete(s.last.alone, ordinal)
		}
	}
}

// lookSlowly observes the current state, but some nodes answered some time ago.
func (s *randomRun) lookSlowly(before []decide.Seat) {
	alone, lags := s.last.alone, s.last.lags
	s.see()
	for i := range s.last.world.Seats {
		seat := &s.last.world.Seats[i]
		if i < len(before) && s.chance(50) && seat.Pod != nil && before[i].Pod != nil && before[i].View != nil &&
			seat.Pod.UID == before[i].Pod.UID {
			seat.View = before[i].View
			s.last.alone[seat.Ordinal], s.last.lags[seat.Ordinal] = alone[seat.Ordinal], lags[seat.Ordinal] // as it was then
		}
	}
}

// lookAtOldPods observes the current state, but the pods of the last time.
func (s *randomRun) lookAtOldPods(before []decide.Seat) {
	for i := range s.last.world.Seats {
		seat := &s.last.world.Seats[i]
		if i < len(before) && before[i].Pod != nil && (seat.Pod == nil || seat.Pod.UID != before[i].Pod.UID) {
			seat.View = nil // the address of the former pod does not answer
		}
		if i < len(before) {
			seat.Pod = before[i].Pod
		}
	}
}

// turn is one pass of the operator, perhaps an unfinished one, and one fault or change beside it.
func (s *randomRun) turn() {
	s.now = s.now.Add(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
	if s.chance(s.rates.pass) {
		s.now = s.now.Add(time.Duration(s.rng.IntN(1200)) * time.Second)
	}
	s.recover()
	s.happen()
	s.elect()
	s.look()
	plan := decide.Next(s.last.world)
	s.plans = append(s.plans, plan)
	s.checkStatus(&plan)
	s.carryOut(plan)
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
}

// carryOut carries out a plan as the loop does, and sometimes crashes in it.
func (s *randomRun) carryOut(plan decide.Plan) {
	if s.chance(s.rates.crash) || s.last.world.Cluster.UID != s.cluster.UID {
		return
	}
	s.checkDesired(plan.Desired)
	changed := s.apply(plan.Desired)
	if s.chance(s.rates.crash) {
		return
	}
	s.meanwhile(plan.Act)
	if plan.Act != nil && !changed {
		err := s.carry(s.last.world, plan.Act)
		if s.problem != "" {
			s.problem += fmt.Sprintf(": %v", plan.Act)
		}
		if _, ok := errors.AsType[*api.Error](err); err != nil && !ok && !errors.Is(err, actor.ErrStale) {
			s.complain(fmt.Sprintf("%v: %v", plan.Act, err))
		}
	}
	if s.chance(s.rates.crash) || s.last.version != s.version { // the API server refuses a status with an old version
		return
	}
	if !equality.Semantic.DeepEqual(s.cluster.Status, plan.Status) {
		s.cluster.Status = plan.Status
		s.version++
	}
}

// carry carries out an act as a pass does, with all its preconditions.
func (s *randomRun) carry(w decide.World, act decide.Act) error {
	return (&actor.Actor{Kube: s.api, Live: s.api, Nodes: s.nodes}).Do(s.t.Context(), w, act)
}

// calm ends every fault but lost disks, and checks that the cluster recovers.
func (s *randomRun) calm() {
	s.silent, s.alone, s.hung, s.lags, s.liar = map[int32]bool{}, map[int32]bool{}, map[int32]bool{}, nil, nil
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image, spec.Paused = "kontiki:9", false })
	if s.lost {
		return
	}
	for _, disk := range s.disks {
		if disk.nodeID != 0 && s.forgotten { // a person confirms the id in the condition
			s.cluster.Annotations = map[string]string{v1alpha1.AnnotationAdopt: disk.clusterID}
		}
	}
	for range 200 {
		s.step()
		if s.isReady() && s.rolledTo("kontiki:9") {
			s.stayCalm()
			return
		}
	}
	if s.condition(v1alpha1.ConditionDegraded).Reason == v1alpha1.ReasonNotEnoughMembers {
		return // it was applied again with a larger number, which is not supported yet
	}
	s.complain(fmt.Sprintf("no disk was lost, and it does not become ready: %+v", s.cluster.Status))
}

// stayCalm lets the operator finish its marks and labels. After that it must do nothing.
func (s *randomRun) stayCalm() {
	for range 3 * s.size() {
		s.step()
	}
	before := len(s.plans)
	for range 5 {
		s.step()
	}
	if acts := s.acts(before); len(acts) > 0 {
		s.complain(fmt.Sprintf("ready, and yet the plans are %v", acts))
	}
	if slices.ContainsFunc(s.plans[before:], func(p decide.Plan) bool { return len(p.Events) > 0 }) {
		s.complain("ready, and yet there are events")
	}
}
