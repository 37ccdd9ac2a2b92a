package decide_test

import (
	"fmt"
	"maps"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/actor"
	"github.com/kontiki-dev/kontiki/controllers/decide"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// happen is what others do. At most one thing happens in a turn.
func (s *storm) happen() {
	who, w := s.anyone(), &s.weather
	for _, one := range []struct {
		percent float64
		what    func()
	}{
		{w.kill, func() { s.kill(who) }},
		{w.silence, func() { s.silent[who] = true }},
		{w.cut, func() { s.alone[who] = true }},
		{w.cut / 2, s.cutLeader},
		{w.hang, func() { s.hung[who] = true }},
		{w.edit, s.editImage},
		{w.pause, func() { s.pause(true) }},
		{w.loseClaim, func() { s.loseClaim(who) }},
		{w.wipe, func() { s.wipe(who) }},
		{w.swap, func() { s.swap(who) }},
		{w.again, s.again},
		{w.domain, func() { s.domain = []string{modelDomain, "a.example", "b.example"}[s.rng.IntN(3)] }},
		{w.scale, s.scale},
		{w.unmark, func() { s.unmark(who) }},
		{w.copyMark, func() { s.copyMark(who) }},
		{w.deleteClaim, func() { s.deleteClaimOf(who) }},
		{w.loseStatus, s.loseStatus},
		{w.newDefault, s.upgradeOperator},
		{w.lie, s.startLying},
		{w.lag, s.fallBehind},
		{w.drain, func() { s.drain(who) }},
		{w.election, s.electAnother},
	} {
		if s.chance(one.percent) {
			one.what()
			return
		}
	}
	if s.liar != nil && s.chance(5) {
		s.liar = nil
	}
}

// recover ends what troubles nodes and the operator, so that in most turns most of it works: an update gets far only
// then.
func (s *storm) recover() {
	for _, troubled := range []map[int32]bool{s.silent, s.alone, s.hung, s.lags} {
		for ordinal := range s.size() {
			if s.chance(s.weather.recovery) {
				delete(troubled, ordinal)
			}
		}
	}
	if s.cluster.Spec.Paused && s.chance(s.weather.recovery) {
		s.pause(false)
	}
}

func (s *storm) pause(paused bool) {
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Paused = paused })
}

// meanwhile is what happens after the operator has looked, and before it acts. Transfers are rare, and one that comes
// too late can do harm only if the leader has changed.
func (s *storm) meanwhile(act decide.Act) {
	if _, transfers := act.(decide.TransferLeadership); transfers && s.chance(40) {
		s.electAnother()
	}
	if !s.chance(s.weather.race) {
		return
	}
	who := s.anyone()
	what := []func(){
		func() { s.kill(who) },
		func() { s.drain(who) },
		func() { s.alone[who] = !s.alone[who] },
		func() { s.pause(!s.cluster.Spec.Paused) },
		s.fallBehind, s.electAnother,
	}
	what[s.rng.IntN(len(what))]()
	s.elect()
}

// drain is the eviction of a pod by a person, from a Kubernetes node that is to be emptied.
func (s *storm) drain(ordinal int32) {
	if pod := s.pods[ordinal]; pod != nil {
		s.terminate(pod.uid)
	}
}

// fallBehind lets one node fall behind the leader, or two at once.
func (s *storm) fallBehind() {
	for range 1 + s.rng.IntN(2) {
		if who := s.anyone(); who != s.leader {
			s.lags[who] = true
		}
	}
}

// electAnother makes one of the nodes that can lead the leader of the next term. It may be the one that leads already.
func (s *storm) electAnother() {
	if s.elect(); s.leader >= 0 {
		able := s.electable(s.voters())
		s.lead(able[s.rng.IntN(len(able))])
	}
}

// cutLeader cuts the leader off. For a while it goes on to report that it leads, and the others elect another one.
func (s *storm) cutLeader() {
	if s.leader >= 0 {
		s.alone[s.leader] = true
	}
}

func (s *storm) editImage() {
	image := []string{"kontiki:1", "kontiki:2", "kontiki:3", "kontiki:bad", ""}[s.rng.IntN(5)]
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image = image })
	s.images[image] = true
}

// upgradeOperator is an operator with another default image. Only a cluster that has no objects yet may get it.
func (s *storm) upgradeOperator() {
	s.nodeImage = fmt.Sprintf("kontiki:default-%d", s.rng.IntN(100))
	s.mayTakeDefault()
}

// mayTakeDefault notes that the cluster may be given the operator's default, if nothing tells what it had.
func (s *storm) mayTakeDefault() {
	if s.cluster.Status.Image == "" && s.set == nil && len(s.pods) == 0 {
		s.images[s.nodeImage] = true
	}
}

// scale is `kubectl scale` of the StatefulSet, to more: fewer would end pods that are not the operator's to keep.
func (s *storm) scale() {
	if s.set != nil && s.size() < 9 {
		*s.set.Spec.Replicas = s.size() + 1
		s.set.Generation++
	}
}

// again deletes the RaftCluster, and applies it once more, perhaps with another number.
func (s *storm) again() {
	replicas := s.cluster.Spec.Replicas
	if !s.tampered { // without its mark a claim that is not asked for is not known to hold something
		replicas = []int32{1, 3, 5, 7}[s.rng.IntN(4)]
	}
	s.remove()
	s.create(replicas)
	s.ours, s.forgotten = map[int32]bool{}, true
	s.images = map[string]bool{}
	s.mayTakeDefault()
}

func (s *storm) loseClaim(ordinal int32) {
	s.kill(ordinal)
	// A claim that the intent names is as good as told: whether it was, nobody could say after a crash.
	s.lost = s.lost || s.claims[ordinal] != nil && s.cluster.Status.ClusterID != "" ||
		s.disk(ordinal) != nil && s.disk(ordinal).nodeID != 0
	delete(s.claims, ordinal)
}

// wipe empties the volume of a node, which then cannot go on.
func (s *storm) wipe(ordinal int32) {
	if disk := s.disk(ordinal); disk != nil {
		s.lost = s.lost || disk.nodeID != 0
		s.put(ordinal, &modelDisk{})
		s.kill(ordinal)
	}
}

// swap puts the disk of another cluster into the place of a member's.
func (s *storm) swap(ordinal int32) {
	if s.disk(ordinal) != nil {
		s.lost = true
		s.put(ordinal, memberDisk(strangeCluster, uint64(ordinal)+1, max(s.cluster.Spec.Replicas, ordinal+1)))
		s.kill(ordinal)
	}
}

// strangeCluster is the id of every cluster that is not the storm's own.
const strangeCluster = "strange"

func (s *storm) unmark(ordinal int32) {
	if claim := s.claims[ordinal]; claim != nil {
		s.annotate(claim, nil)
		s.tampered = true
	}
}

func (s *storm) copyMark(ordinal int32) {
	claim, other := s.claims[ordinal], s.claims[s.anyone()]
	if claim == nil || other == nil || other.Annotations == nil {
		return
	}
	s.annotate(claim, maps.Clone(other.Annotations))
	s.tampered = true
	s.lost = s.lost || s.disk(ordinal).nodeID == 0 // marked, and empty: that is how a lost disk looks
}

func (s *storm) deleteClaimOf(ordinal int32) {
	if s.claims[ordinal] != nil {
		s.lost = true // sooner or later
		s.deleteClaim(ordinal)
	}
}

func (s *storm) loseStatus() {
	s.cluster.Status, s.forgotten = v1alpha1.RaftClusterStatus{}, true
	s.version++
	s.mayTakeDefault()
}

// liar is a node that reports something else than what is.
type liar struct {
	ordinal int32
	lie     func(v *api.ClusterView)
}

// startLying picks a node of several, and its lie. The operator must take a single node for what it is worth.
func (s *storm) startLying() {
	if s.size() < 3 {
		return
	}
	who := s.anyone()
	own := []api.ConfigMember{{
		ID: uint64(who) + 1, Address: objects.PeerURL(modelName, modelNamespace, who, s.domain), Role: api.RoleVoter,
	}}
	lies := []func(v *api.ClusterView){
		func(v *api.ClusterView) { *v = api.ClusterView{State: api.StateEmpty} },
		func(v *api.ClusterView) { // a cluster of its own
			*v = api.ClusterView{
				State: api.StateMember, ClusterID: strangeCluster, NodeID: own[0].ID, Role: "LEADER", Term: s.term + 9,
				LeaderID: own[0].ID, Ready: true, Config: api.Membership{Members: own},
			}
		},
		func(v *api.ClusterView) { // it leads, in a term of its own
			v.Role, v.LeaderID, v.Term, v.Ready = "LEADER", v.NodeID, v.Term+100, true
		},
		func(v *api.ClusterView) { v.Role, v.LeaderID = "LEADER", v.NodeID },      // it leads, in this term
		func(v *api.ClusterView) { v.Config.Members, v.Term = own, v.Term+100 },   // the others are no members
		func(v *api.ClusterView) { v.NodeID = v.NodeID%uint64(s.size()) + 1 },     // it is its neighbour
		func(v *api.ClusterView) { v.LastLogIndex, v.CommitIndex = 1<<60, 1<<60 }, // it is far ahead
		func(v *api.ClusterView) { v.SeenMembers = nil },                          // it has seen no other
		func(v *api.ClusterView) { v.Ready, v.Term = true, max(v.Term, s.term) },  // it is well
	}
	s.liar = &liar{who, lies[s.rng.IntN(len(lies))]}
}

// hearLies puts the lie into what was seen.
func (s *storm) hearLies() {
	if s.liar == nil {
		return
	}
	for i := range s.last.world.Seats {
		seat := &s.last.world.Seats[i]
		if seat.Ordinal != s.liar.ordinal || seat.View == nil {
			continue
		}
		view := *seat.View
		if view.State == api.StateMember || s.chance(50) {
			s.liar.lie(&view)
			seat.View, s.last.liar = &view, seat.Ordinal
		}
	}
}

var _ actor.Nodes = (*stormNodes)(nil)
