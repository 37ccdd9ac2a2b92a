package decide_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// model is a small Kubernetes with nodes, on which plans are carried out: pods that start and end in steps, claims,
// disks, and a Raft that is reduced to its leader.
type model struct {
	t       *testing.T
	cluster *v1alpha1.RaftCluster
	set     *appsv1.StatefulSet
	pods    map[int32]*modelPod
	claims  map[int32]*corev1.PersistentVolumeClaim
	disks   map[types.UID]*modelDisk // by the UID of the claim
	silent  map[int32]bool           // the operator cannot reach these
	alone   map[int32]bool           // the other nodes cannot reach these
	hung    map[int32]bool           // the kubelet does nothing for the pods of these
	lags    map[int32]bool           // these follow the leader, and have not caught up with it
	bad     map[string]bool          // images that do not start
	domain  string                   // the DNS domain of the Kubernetes cluster, according to the operator
	term    uint64
	leader  int32 // -1: none
	// lingers is how long a partitioned node goes on to report its last state.
	lingers   time.Duration
	nodeImage string          // the operator's default
	acted     map[string]bool // the members whose votes or acknowledgements have counted, as identity names them
	serial    int
	version   int // of the RaftCluster
	now       time.Time
	plans     []decide.Plan // of every step
	// templates are those that the operator supports.
	templates objects.Templates
}

type modelPod struct {
	uid         types.UID
	revision    string
	image       string
	domain      string // the end of its own address
	running     bool
	terminating bool
	ready       bool // by the kubelet's report
	since       time.Time
	ends        time.Time // when it should have ended, if it is terminating
	owner       types.UID // its StatefulSet, or ""
	foreign     bool      // it was not made by the StatefulSet
	label       string    // whether its node has an identity, as the operator has written
	belief      belief
}

// belief is the last state of its leader that a node received, and until when it reports that state.
type belief struct {
	term, leader uint64
	until        time.Time
}

// calls reports whether a node accepts a request as addressed to itself: its own address is in it, under its id.
func (p *modelPod) calls(ordinal int32, request api.BootstrapRequest) bool {
	own := objects.PeerURL(modelName, modelNamespace, ordinal, p.domain)
	return slices.ContainsFunc(request.Members, func(m api.ConfigMember) bool {
		return m.ID == request.NodeID && m.Address == own
	})
}

// address is the pod's IP address. No other pod ever has it.
func (p *modelPod) address() string { return "ip of " + string(p.uid) }

type modelDisk struct {
	clusterID string
	nodeID    uint64
	members   []api.ConfigMember
	seen      []uint64
}

const (
	modelName      = "demo"
	modelNamespace = "shop"
	modelDomain    = "cluster.local"

	// modelIndex is the commit index of the leader: higher than the allowed lag.
	modelIndex = 10_000
)

func newModel(t *testing.T, replicas int32) *model {
	t.Helper()
	m := &model{
		t: t, pods: map[int32]*modelPod{}, claims: map[int32]*corev1.PersistentVolumeClaim{},
		disks: map[types.UID]*modelDisk{}, silent: map[int32]bool{}, alone: map[int32]bool{},
		bad: map[string]bool{"kontiki:bad": true}, leader: -1, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		domain: modelDomain, acted: map[string]bool{}, nodeImage: "kontiki:1",
	}
	m.create(replicas)
	return m
}

// create creates the RaftCluster, as `kubectl apply` would with the defaults of the CRD.
func (m *model) create(replicas int32) {
	m.version++
	m.cluster = &v1alpha1.RaftCluster{
		ObjectMeta: metav1.ObjectMeta{Name: modelName, Namespace: modelNamespace, UID: m.uid("cluster"), Generation: 1},
		Spec: v1alpha1.RaftClusterSpec{
			Replicas: replicas, ImagePullPolicy: corev1.PullIfNotPresent,
			Raft: v1alpha1.RaftTiming{HeartbeatPeriodMilliseconds: 100, ElectionTimeoutMilliseconds: 1000},
			Storage: v1alpha1.StorageSpec{
				Size: resource.MustParse("1Gi"), AccessMode: corev1.ReadWriteOnce,
				RetentionPolicy: v1alpha1.RetentionPolicy{WhenDeleted: v1alpha1.RetainVolumes},
			},
			Pod:           v1alpha1.PodSpec{TerminationGracePeriodSeconds: 60},
			ClientService: v1alpha1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Port: 8080},
			Dashboard: v1alpha1.DashboardSpec{
				Mode: v1alpha1.DashboardEnabled, Type: corev1.ServiceTypeClusterIP, Port: 8080,
			},
		},
	}
}

// remove deletes the RaftCluster: its pods and its StatefulSet are removed, its claims and their disks stay.
func (m *model) remove() {
	m.set, m.pods, m.leader = nil, map[int32]*modelPod{}, -1
}

func (m *model) uid(kind string) types.UID {
	m.serial++
	return types.UID(fmt.Sprintf("%s-%d", kind, m.serial))
}

func (m *model) disk(ordinal int32) *modelDisk {
	claim := m.claims[ordinal]
	if claim == nil {
		return nil
	}
	return m.disks[claim.UID]
}

// votes reports whether the node of an ordinal takes part in the consensus.
func (m *model) votes(ordinal int32) bool {
	pod, disk := m.pods[ordinal], m.disk(ordinal)
	return pod != nil && pod.running && disk != nil && disk.nodeID != 0 && !m.alone[ordinal]
}

// size is the number of seats.
func (m *model) size() int32 {
	n := m.cluster.Spec.Replicas
	if m.set != nil {
		n = max(n, *m.set.Spec.Replicas)
	}
	for ordinal := range m.claims {
		n = max(n, ordinal+1)
	}
	for ordinal := range m.pods {
		n = max(n, ordinal+1)
	}
	return n
}

// identity names a member of a cluster.
func identity(clusterID string, nodeID uint64) string { return fmt.Sprint(clusterID, " ", nodeID) }

// follows reports whether the node of an ordinal takes part in the consensus, and has a leader.
func (m *model) follows(ordinal int32) bool {
	leads := m.disk(m.leader) // nil: there is no leader, or its claim has just gone
	return leads != nil && m.votes(ordinal) && m.disk(ordinal).clusterID == leads.clusterID
}

// voters are the nodes that take part in the consensus of the cluster with the most of them.
func (m *model) voters() []int32 {
	var most []int32
	of := map[string][]int32{}
	for ordinal := range m.size() {
		if m.votes(ordinal) {
			id := m.disk(ordinal).clusterID
			of[id] = append(of[id], ordinal)
			if len(of[id]) > len(most) {
				most = of[id]
			}
		}
	}
	return most
}

// elect elects a leader, if a majority of the members can.
func (m *model) elect() {
	voters, members := m.voters(), 0
	if len(voters) > 0 {
		members = len(m.disk(voters[0]).members)
	}
	if len(voters) == 0 || len(voters) < members/2+1 {
		m.leader = -1
		return
	}
	if m.leader < 0 || !slices.Contains(voters, m.leader) {
		m.lead(m.electable(voters)[m.serial%len(m.electable(voters))])
	}
	for _, ordinal := range voters {
		m.acted[identity(m.disk(ordinal).clusterID, m.disk(ordinal).nodeID)] = true
		m.pods[ordinal].belief = belief{m.term, m.disk(m.leader).nodeID, m.now.Add(m.lingers)}
		for _, other := range voters {
			disk, id := m.disk(ordinal), m.disk(other).nodeID
			if ordinal != other && !slices.Contains(disk.seen, id) {
				disk.seen = append(disk.seen, id)
			}
		}
	}
}

// electable lists the voters that have caught up, or all of them if none has.
func (m *model) electable(voters []int32) []int32 {
	caughtUp := slices.DeleteFunc(slices.Clone(voters), func(ordinal int32) bool { return m.lags[ordinal] })
	if len(caughtUp) == 0 {
		return voters
	}
	return caughtUp
}

// lead makes the node of an ordinal the leader of a new term.
func (m *model) lead(ordinal int32) {
	m.leader = ordinal
	m.term++
	delete(m.lags, ordinal) // the others follow its log
}

// world is what the operator observes.
func (m *model) world() decide.World {
	m.elect()
	w := decide.World{
		Cluster: m.cluster.DeepCopy(), NodeImage: m.nodeImage, ClusterDomain: m.domain, FreshID: string(m.uid("id")),
		Now: m.now, Templates: m.templates,
	}
	if m.cluster.Spec.Paused {
		w.Others = m.others()
	}
	w.Cluster.ResourceVersion = fmt.Sprint(m.version)
	if m.set != nil {
		w.Set = m.set.DeepCopy()
	}
	for ordinal := range m.size() {
		seat := decide.Seat{Ordinal: ordinal, Silence: "no answer"}
		if claim := m.claims[ordinal]; claim != nil {
			seat.Claim = claim.DeepCopy()
		}
		if pod := m.pods[ordinal]; pod != nil {
			seat.Pod = m.podObject(ordinal, pod)
			if pod.running && !m.silent[ordinal] {
				seat.View = m.view(ordinal)
			}
		}
		w.Seats = append(w.Seats, seat)
	}
	return w
}

func (m *model) podObject(ordinal int32, p *modelPod) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: objects.PodName(modelName, ordinal), Namespace: modelNamespace, UID: p.uid,
		Labels: map[string]string{
			v1alpha1.LabelCluster: modelName, appsv1.ControllerRevisionHashLabelKey: p.revision,
		},
	}}
	if p.owner != "" {
		pod.OwnerReferences = []metav1.OwnerReference{
			{Kind: "StatefulSet", Name: modelName, UID: p.owner, Controller: new(true)},
		}
	}
	if p.foreign {
		pod.Labels = map[string]string{"run": pod.Name}
	}
	if p.label != "" {
		pod.Labels[v1alpha1.LabelState] = p.label
	}
	pod.Spec.Containers = []corev1.Container{{Name: objects.ContainerNode, Image: p.image}}
	if p.terminating {
		pod.DeletionTimestamp = &metav1.Time{Time: p.ends}
	}
	status := corev1.ContainerStatus{Name: objects.ContainerNode, Image: p.image}
	switch {
	case p.running:
		started := true
		status.State.Running, status.Started = &corev1.ContainerStateRunning{}, &started
		pod.Status.PodIP = p.address()
	case m.bad[p.image]:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
	default:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	condition := corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(p.since),
	}
	if p.ready {
		condition.Status = corev1.ConditionTrue
	}
	pod.Status.Conditions = []corev1.PodCondition{condition}
	return pod
}

func (m *model) view(ordinal int32) *api.ClusterView {
	disk := m.disk(ordinal)
	if disk == nil || disk.nodeID == 0 {
		return &api.ClusterView{State: api.StateEmpty}
	}
	v := &api.ClusterView{
		ClusterID: disk.clusterID, NodeID: disk.nodeID, State: api.StateMember, Role: "FOLLOWER", Term: m.term,
		Config: api.Membership{Members: disk.members}, SeenMembers: disk.seen, Version: "1.0.0",
		CommitIndex: modelIndex, LastApplied: modelIndex, LastLogIndex: modelIndex,
	}
	if m.follows(ordinal) {
		v.LeaderID, v.Ready = m.disk(m.leader).nodeID, true
		if m.leader == ordinal {
			v.Role = "LEADER"
		}
	} else if b := m.pods[ordinal].belief; b.until.After(m.now) {
		v.Term, v.LeaderID, v.Ready = b.term, b.leader, true
		if b.leader == disk.nodeID {
			v.Role = "LEADER"
		}
	}
	switch {
	case m.lags[ordinal] && ordinal%2 == 0: // it has just started
		v.Ready = false
	case m.lags[ordinal]:
		v.LastApplied, v.LastLogIndex = 1, 1
	}
	return v
}

// apply applies the objects of a plan, and reports whether that changed anything.
func (m *model) apply(desired *objects.Desired) bool {
	if desired == nil {
		return false
	}
	for _, o := range objects.All(*desired) {
		if o.Kind != "StatefulSet" || m.isApplied(o, desired.Replicas) {
			continue
		}
		text, err := json.Marshal(o.Config)
		if err != nil {
			m.t.Fatal(err)
		}
		generation, uid := int64(1), m.uid("set")
		if m.set != nil {
			generation, uid = m.set.Generation+1, m.set.UID
		}
		m.set = &appsv1.StatefulSet{}
		if err := json.Unmarshal(text, m.set); err != nil {
			m.t.Fatal(err)
		}
		m.set.Generation, m.set.UID = generation, uid
		return true
	}
	return false
}

// isApplied reports whether the StatefulSet is as desired. Other clients change only its replicas.
func (m *model) isApplied(o objects.Object, replicas int32) bool {
	described := o.Config.(*appsac.StatefulSetApplyConfiguration).Annotations[objects.AnnotationApplied]
	return m.set != nil && m.set.Annotations[objects.AnnotationApplied] == described && *m.set.Spec.Replicas == replicas
}

// objectOf makes the object from its description.
func objectOf(t *testing.T, o objects.Object) ctrlclient.Object {
	t.Helper()
	text, err := json.Marshal(o.Config)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// revision is the StatefulSet controller's name for a template.
func (m *model) revision() string {
	text, err := json.Marshal(m.set.Spec.Template)
	if err != nil {
		m.t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// control is the StatefulSet controller: it observes the newest template, and creates the pods and claims that are
// missing.
func (m *model) control() {
	if m.set == nil {
		return
	}
	m.set.Status.ObservedGeneration, m.set.Status.UpdateRevision = m.set.Generation, m.revision()
	for ordinal, pod := range m.pods {
		if ordinal >= *m.set.Spec.Replicas {
			pod.terminating, pod.ends = true, m.now.Add(time.Minute)
		}
	}
	for ordinal := range *m.set.Spec.Replicas {
		if m.claims[ordinal] == nil {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
				Name: objects.ClaimName(modelName, ordinal), Namespace: modelNamespace, UID: m.uid("claim"),
			}}
			m.claims[ordinal], m.disks[claim.UID] = claim, &modelDisk{}
		}
		if m.pods[ordinal] == nil {
			m.pods[ordinal] = &modelPod{
				uid: m.uid("pod"), owner: m.set.UID, revision: m.set.Status.UpdateRevision,
				image: m.set.Spec.Template.Spec.Containers[0].Image, domain: m.domain, since: m.now,
			}
		}
	}
}

// kubelet advances the pod of an ordinal by one step.
func (m *model) kubelet(ordinal int32) {
	if pod := m.pods[ordinal]; pod != nil {
		if ready := m.follows(ordinal) && m.view(ordinal).Ready; ready != pod.ready {
			pod.ready, pod.since = ready, m.now
		}
	}
	switch pod := m.pods[ordinal]; {
	case pod == nil, m.hung[ordinal]:
	case pod.terminating:
		delete(m.pods, ordinal)
		if claim := m.claims[ordinal]; claim != nil && claim.DeletionTimestamp != nil {
			delete(m.claims, ordinal) // it was held back as long as a pod used it
		}
	case !m.bad[pod.image] && m.claims[ordinal] != nil:
		pod.running = true
	}
}

// do carries out an act on the current state. An act on an object that has changed since has no effect.
func (m *model) do(act decide.Act) {
	uid := act.On().UID
	switch act := act.(type) {
	case decide.BootstrapNode:
		ordinal, _ := objects.Ordinal(modelName, act.Name)
		pod, disk := m.pods[ordinal], m.disk(ordinal)
		if pod != nil && pod.running && pod.address() == act.Address && disk != nil && disk.nodeID == 0 &&
			pod.calls(ordinal, act.Request) {
			disk.clusterID, disk.nodeID, disk.members = act.Request.ClusterID, act.Request.NodeID, act.Request.Members
		}
	case decide.MarkClaim:
		for _, claim := range m.claims {
			if claim.UID == uid {
				m.annotate(claim, map[string]string{
					v1alpha1.AnnotationClusterID: act.ClusterID, v1alpha1.AnnotationMemberID: fmt.Sprint(act.MemberID),
				})
			}
		}
	case decide.LabelPod:
		for _, pod := range m.pods {
			if pod.uid == uid {
				pod.label = act.State
			}
		}
	case decide.TransferLeadership:
		if ordinal, _ := objects.Ordinal(modelName, act.ToPod); m.votes(ordinal) {
			m.lead(ordinal)
		}
	case decide.EvictPod, decide.DeletePod:
		m.terminate(uid)
	default:
		m.t.Fatalf("an act that the model does not support: %T", act)
	}
}

// annotate replaces the annotations of a claim.
func (m *model) annotate(claim *corev1.PersistentVolumeClaim, annotations map[string]string) {
	m.serial++
	claim.Annotations, claim.ResourceVersion = annotations, fmt.Sprint(m.serial)
}

func (m *model) terminate(uid types.UID) {
	for _, pod := range m.pods {
		if pod.uid == uid {
			pod.terminating, pod.ends = true, m.now.Add(time.Minute)
		}
	}
}

// edit changes the spec as a person would.
func (m *model) edit(change func(*v1alpha1.RaftClusterSpec)) {
	change(&m.cluster.Spec)
	m.cluster.Generation++
	m.version++
}

// step is one whole pass of the operator, and time for all other components. It returns the plan that was carried out.
func (m *model) step() decide.Plan {
	plan := decide.Next(m.world())
	if !m.apply(plan.Desired) && plan.Act != nil {
		m.do(plan.Act)
	}
	m.cluster.Status = plan.Status
	m.control()
	for ordinal := range m.size() {
		m.kubelet(ordinal)
	}
	m.now = m.now.Add(time.Second)
	m.plans = append(m.plans, plan)
	return plan
}

// acts are what was planned after the first few plans.
func (m *model) acts(since int) []decide.Act {
	var acts []decide.Act
	for _, plan := range m.plans[since:] {
		if plan.Act != nil {
			acts = append(acts, plan.Act)
		}
	}
	return acts
}

// changes are the acts after the first few plans that do more than label pods.
func (m *model) changes(since int) []decide.Act {
	return slices.DeleteFunc(m.acts(since), func(act decide.Act) bool {
		_, labels := act.(decide.LabelPod)
		return labels
	})
}

// until runs passes until a condition holds.
func (m *model) until(what string, holds func() bool) {
	m.t.Helper()
	for range 200 {
		if holds() {
			return
		}
		m.step()
	}
	text, _ := json.MarshalIndent(m.cluster.Status, "", "  ")
	m.t.Fatalf("after 200 passes still not: %s; the status:\n%s", what, text)
}

func (m *model) condition(kind string) metav1.Condition {
	for _, c := range m.cluster.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{Type: kind, Status: "absent"}
}

func (m *model) isReady() bool {
	return m.condition(v1alpha1.ConditionReady).Status == metav1.ConditionTrue
}
