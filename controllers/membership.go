package controllers

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/client"
)

// maxLag is how many entries behind the leader's commit index a member may have applied and still count as caught up.
// The views of one pass are some milliseconds apart, in which a busy cluster commits hundreds.
const maxLag = 5000

// knowledge is how much the operator knows of the configuration of the cluster (trap O4).
type knowledge int

const (
	configUnknown knowledge = iota // nothing: there may be members, or none
	configStale                    // from before: who the members are, not how they do
	configKnown                    // confirmed by a leader whom a majority follows
)

// situation is what a World means.
type situation struct {
	World
	// clusterID is the identity that the status, the claims or the nodes tell; "": none of them tells one.
	clusterID string
	// conflict says which disks belong to another cluster than the rest; "": all agree.
	conflict string
	members  []member // in the order of their ids
	config   knowledge
	leader   *member // whom a majority follows in the highest term; nil: none is known
}

// member is one member of the configuration, and the seat that it has.
type member struct {
	id      uint64
	pvcUID  types.UID // of the claim that it lives on; "": not known
	seat    *Seat     // nil: no pod's name belongs to its address
	address client.ConfigMember
	health  v1alpha1.MemberHealth
	why     string // it is not healthy; for people
	// passing: it answers, and may come right by itself: an election, or a node that catches up.
	passing bool
}

func (m *member) podName(cluster string) string {
	if m.seat == nil {
		return ""
	}
	return objects.PodName(cluster, m.seat.Ordinal)
}

// answer is the view of the node in the seat if it is a member of the cluster.
func (s *situation) answer(seat *Seat) *client.ClusterView {
	if seat == nil || seat.View == nil || seat.View.State != client.StateMember {
		return nil
	}
	return seat.View
}

// assess finds out what a World means.
func assess(w World) *situation {
	s := &situation{World: w}
	s.rejectStrangers()
	s.findCluster()
	if s.conflict != "" {
		return s
	}
	s.findMembers()
	s.findLeader()
	for i := range s.members {
		m := &s.members[i]
		m.health, m.why = s.judge(m)
		m.passing = m.health == v1alpha1.HealthUnhealthy && s.answer(m.seat) != nil && !s.unreadyForLong(m.seat.Pod)
	}
	return s
}

// rejectStrangers drops the answers of nodes that say they are in another place: an address of a pod that is gone may
// have been given to another one (trap O20).
func (s *situation) rejectStrangers() {
	s.Seats = slices.Clone(s.Seats)
	for i := range s.Seats {
		seat := &s.Seats[i]
		view := s.answer(seat)
		if view == nil {
			continue
		}
		self := slices.IndexFunc(view.Config.Members, func(m client.ConfigMember) bool { return m.ID == view.NodeID })
		if self < 0 {
			continue
		}
		if ordinal, ok := s.ordinalOf(view.Config.Members[self].Address); !ok || ordinal != seat.Ordinal {
			seat.View = nil
			seat.Silence = fmt.Sprintf("what answers there is member %d of cluster %s, whose address is %s", view.NodeID,
				view.ClusterID, view.Config.Members[self].Address)
		}
	}
}

// ordinalOf gives the ordinal of the pod that a peer URL belongs to.
func (s *situation) ordinalOf(peerURL string) (int32, bool) {
	u, err := url.Parse(peerURL)
	if err != nil {
		return 0, false
	}
	labels := strings.SplitN(u.Hostname(), ".", 4)
	if len(labels) < 3 || labels[1] != objects.PeerServiceName(s.Cluster.Name) || labels[2] != s.Cluster.Namespace {
		return 0, false
	}
	return objects.Ordinal(s.Cluster.Name, labels[0])
}

// findCluster takes the cluster id from the status, the claims and the nodes. They must not disagree: acting on
// either would destroy the other (trap O3).
func (s *situation) findCluster() {
	var ids, told []string
	tell := func(who, id string) {
		if id == "" {
			return
		}
		told = append(told, who+" says "+id)
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	tell("the status", s.Cluster.Status.ClusterID)
	for i := range s.Seats {
		seat := &s.Seats[i]
		if seat.Claim != nil {
			tell("claim "+seat.Claim.Name, seat.Claim.Annotations[v1alpha1.AnnotationClusterID])
		}
		if view := s.answer(seat); view != nil {
			tell("node "+objects.PodName(s.Cluster.Name, seat.Ordinal), view.ClusterID)
		}
	}
	switch len(ids) {
	case 0:
	case 1:
		s.clusterID = ids[0]
	default:
		s.conflict = strings.Join(told, ", ")
	}
}

// findMembers takes the members from the status, else from a node that is one, else, when every node has answered and
// none is one, from the claims.
func (s *situation) findMembers() {
	switch status := s.Cluster.Status.Members; {
	case s.clusterID == "":
		return
	case len(status) > 0:
		for _, m := range status {
			s.addMember(uint64(m.MemberID), m.PodName, m.PVCUID)
		}
	case s.newestView() != nil:
		for _, m := range s.newestView().Config.Members {
			if ordinal, ok := s.ordinalOf(m.Address); ok {
				s.addMember(m.ID, objects.PodName(s.Cluster.Name, ordinal), "")
			}
		}
	case s.allAnswered():
		for _, seat := range s.Seats {
			if id, ok := markedAs(seat.Claim); ok {
				s.addMember(id, objects.PodName(s.Cluster.Name, seat.Ordinal), seat.Claim.UID)
			}
		}
	}
	slices.SortFunc(s.members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	if len(s.members) > 0 {
		s.config = configStale
	}
}

// newestView is the view of the member whose term is highest; nil: no member answered.
func (s *situation) newestView() *client.ClusterView {
	var newest *client.ClusterView
	for i := range s.Seats {
		if view := s.answer(&s.Seats[i]); view != nil && (newest == nil || view.Term > newest.Term) {
			newest = view
		}
	}
	return newest
}

// allAnswered tells whether every node that there should be has answered.
func (s *situation) allAnswered() bool {
	wanted := s.wanted()
	return !slices.ContainsFunc(s.Seats, func(seat Seat) bool { return seat.Ordinal < wanted && seat.View == nil })
}

// markedAs gives the member that a claim is marked to hold.
func markedAs(claim *corev1.PersistentVolumeClaim) (uint64, bool) {
	if claim == nil {
		return 0, false
	}
	id, err := strconv.ParseUint(claim.Annotations[v1alpha1.AnnotationMemberID], 10, 63)
	return id, err == nil && id > 0
}

// addMember adds a member. Where the volume is not known yet, it is the one on which the member was seen.
func (s *situation) addMember(id uint64, podName string, pvcUID types.UID) {
	m := member{id: id, pvcUID: pvcUID}
	if ordinal, ok := objects.Ordinal(s.Cluster.Name, podName); ok {
		if i := slices.IndexFunc(s.Seats, func(seat Seat) bool { return seat.Ordinal == ordinal }); i >= 0 {
			m.seat = &s.Seats[i]
		}
		m.address = client.ConfigMember{
			ID: id, Role: client.RoleVoter,
			Address:    objects.PeerURL(s.Cluster.Name, s.Cluster.Namespace, ordinal, s.ClusterDomain),
			APIAddress: objects.APIURL(s.Cluster.Name, s.Cluster.Namespace, ordinal, s.ClusterDomain),
		}
	}
	if m.seat != nil && m.seat.Claim != nil {
		marked, _ := markedAs(m.seat.Claim)
		if view := s.answer(m.seat); marked == id && pvcUID == "" || view != nil && view.NodeID == id {
			m.pvcUID = m.seat.Claim.UID
		}
	}
	s.members = append(s.members, m)
}

// quorum is a majority of the members.
func (s *situation) quorum() int { return len(s.members)/2 + 1 }

// findLeader finds the member that says it leads in the highest term, and that a majority follows, itself included.
func (s *situation) findLeader() {
	newest := s.newestView()
	if newest == nil {
		return
	}
	followers := 0
	var leader *member
	for i := range s.members {
		m := &s.members[i]
		view := s.answer(m.seat)
		if view == nil || view.NodeID != m.id || view.Term != newest.Term {
			continue
		}
		if view.LeaderID == newest.LeaderID && newest.LeaderID != 0 {
			followers++
		}
		if view.Role == roleLeader {
			leader = m
		}
	}
	if leader != nil && leader.id == newest.LeaderID && followers >= s.quorum() {
		s.leader, s.config = leader, configKnown
	}
}

// The roles of a ClusterView, as the seed spells them.
const (
	roleLeader    = "LEADER"
	roleFollower  = "FOLLOWER"
	roleCandidate = "CANDIDATE"
)

// judge says how a member does, and if it is not healthy, why.
func (s *situation) judge(m *member) (v1alpha1.MemberHealth, string) {
	if m.seat == nil {
		return v1alpha1.HealthLost, fmt.Sprintf("no pod has the place of member %d", m.id)
	}
	if why := s.diskLost(m); why != "" {
		return v1alpha1.HealthLost, why
	}
	pod, view := m.seat.Pod, m.seat.View
	switch {
	case pod == nil:
		return v1alpha1.HealthStarting, "its pod does not exist yet"
	case pod.DeletionTimestamp != nil:
		return v1alpha1.HealthStarting, "its pod is being replaced"
	case view == nil:
		return silent(m.seat)
	case view.State != client.StateMember:
		return v1alpha1.HealthStarting, "it was not told its identity yet"
	case view.NodeID != m.id:
		return v1alpha1.HealthUnhealthy, fmt.Sprintf("it says that it is member %d", view.NodeID)
	}
	return s.judgeAnswer(m, view)
}

func (s *situation) judgeAnswer(m *member, view *client.ClusterView) (v1alpha1.MemberHealth, string) {
	switch {
	case s.leader == nil:
		return v1alpha1.HealthUnhealthy, "no leader has a majority"
	case view.LeaderID != s.leader.id || view.Term != s.leader.seat.View.Term:
		return v1alpha1.HealthUnhealthy, fmt.Sprintf("it does not follow the leader, member %d", s.leader.id)
	case !view.Ready:
		return v1alpha1.HealthUnhealthy, "it says that it is not ready to serve"
	case view.LastApplied+maxLag < s.leader.seat.View.CommitIndex:
		return v1alpha1.HealthUnhealthy, "it is far behind the leader"
	}
	return v1alpha1.HealthHealthy, ""
}

// patience is how long a node that answers may be not ready before it counts as broken.
const patience = 10 * time.Second

// unreadyForLong tells whether the kubelet has found a node not ready for longer than a start or an election takes. It
// is the kubelet's word that counts here, because it has a time: the operator itself remembers nothing (trap O32).
func (s *situation) unreadyForLong(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status != corev1.ConditionTrue && s.Now.Sub(c.LastTransitionTime.Time) > patience
		}
	}
	return false
}

// silent judges a node that did not answer by its pod.
func silent(seat *Seat) (v1alpha1.MemberHealth, string) {
	if running(seat.Pod) {
		if !started(seat.Pod) {
			return v1alpha1.HealthStarting, "its pod starts"
		}
		return v1alpha1.HealthUnreachable, "its pod runs, but it does not answer: " + seat.Silence
	}
	if why := stuck(seat.Pod); why != "" {
		return v1alpha1.HealthUnhealthy, why
	}
	return v1alpha1.HealthStarting, "its pod starts"
}

// diskLost says why a member's disk is another than the one that it had, "" if it is not known to be. A member whose
// disk is lost must never vote again: it may vote twice in a term, and has forgotten what it acknowledged (trap O6).
func (s *situation) diskLost(m *member) string {
	claim, view := m.seat.Claim, m.seat.View
	if member := s.answer(m.seat); member != nil && member.NodeID == m.id {
		return "" // it has what it had, wherever that lies
	}
	name := objects.ClaimName(s.Cluster.Name, m.seat.Ordinal)
	if claim == nil {
		if m.pvcUID != "" || s.bootstrapped() {
			return fmt.Sprintf("its claim %s is gone", name)
		}
		return ""
	}
	if m.pvcUID != "" && claim.UID != m.pvcUID {
		return fmt.Sprintf("its claim %s was replaced by a new one", name)
	}
	if view == nil || view.State != client.StateEmpty {
		return ""
	}
	if _, marked := markedAs(claim); marked || s.bootstrapped() {
		return fmt.Sprintf("the volume of its claim %s is empty", name)
	}
	if witness := s.witness(m.id); witness != "" {
		return fmt.Sprintf("the volume of its claim %s is empty, but %s knows that it held entries or votes", name, witness)
	}
	return ""
}

// witness names a node that has seen a member hold entries or votes; "": none has.
func (s *situation) witness(id uint64) string {
	for i := range s.Seats {
		if view := s.answer(&s.Seats[i]); view != nil && view.NodeID != id && slices.Contains(view.SeenMembers, id) {
			return objects.PodName(s.Cluster.Name, s.Seats[i].Ordinal)
		}
	}
	return ""
}

// count is the number of members of one health.
func (s *situation) count(health v1alpha1.MemberHealth) int {
	n := 0
	for i := range s.members {
		if s.members[i].health == health {
			n++
		}
	}
	return n
}

// wanted is the number of seats that need a pod. No pod is taken from a member, nor from a volume that may hold one,
// because a number in the spec is smaller (trap O18).
func (s *situation) wanted() int32 {
	most := s.Cluster.Spec.Replicas
	for i := range s.members {
		if seat := s.members[i].seat; seat != nil {
			most = max(most, seat.Ordinal+1)
		}
	}
	for i := range s.Seats {
		if _, marked := markedAs(s.Seats[i].Claim); marked {
			most = max(most, s.Seats[i].Ordinal+1)
		}
	}
	return most
}
