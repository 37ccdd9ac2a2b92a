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

// happen injects what other clients and machines do: at most one fault or change in a turn.
func (s *randomRun) happen() {
	who, w := s.anyone(), &s.rates
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

// recover ends faults of nodes and of the operator, so that in most turns most of it works: updates make progress only
// then.
func (s *randomRun) recover() {
	for _, troubled := range []map[int32]bool{s.silent, s.alone, s.hung, s.lags} {
		for ordinal := range s.size() {
			if s.chance(s.rates.recovery) {
				delete(troubled, ordinal)
			}
		}
	}
	if s.cluster.Spec.Paused && s.chance(s.rates.recovery) {
		s.pause(false)
	}
}

func (s *randomRun) pause(paused bool) {
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Paused = paused })
}

// meanwhile injects what happens after the operator has observed and before it acts. Transfers are rare, and a late
// one can do harm only if the leader has changed.
func (s *randomRun) meanwhile(act decide.Act) {
	if _, transfers := act.(decide.TransferLeadership); transfers && s.chance(40) {
		s.electAnother()
	}
	if !s.chance(s.rates.race) {
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

// drain evicts a pod, as a person would who drains a Kubernetes node.
func (s *randomRun) drain(ordinal int32) {
	if pod := s.pods[ordinal]; pod != nil {
		s.terminate(pod.uid)
	}
}

// fallBehind makes one node fall behind the leader, or two at once.
func (s *randomRun) fallBehind() {
	for range 1 + s.rng.IntN(2) {
		if who := s.anyone(); who != s.leader {
			s.lags[who] = true
		}
	}
}

// electAnother makes one of the nodes that can lead the leader of the next term. It may be the current leader.
func (s *randomRun) electAnother() {
	if s.elect(); s.leader >= 0 {
		able := s.electable(s.voters())
		s.lead(able[s.rng.IntN(len(able))])
	}
}

// cutLeader partitions the leader. For a while it goes on to report that it leads, and the others elect another one.
func (s *randomRun) cutLeader() {
	if s.leader >= 0 {
		s.alone[s.leader] = true
	}
}

func (s *randomRun) editImage() {
	image := []string{"kontiki:1", "kontiki:2", "kontiki:3", "kontiki:bad", ""}[s.rng.IntN(5)]
	s.edit(func(spec *v1alpha1.RaftClusterSpec) { spec.Image = image })
	s.images[image] = true
}

// upgradeOperator is an operator with another default image. Only a cluster without objects may receive it.
func (s *randomRun) upgradeOperator() {
	s.nodeImage = fmt.Sprintf("kontiki:default-%d", s.rng.IntN(100))
	s.mayTakeDefault()
}

// mayTakeDefault notes that the cluster may receive the operator's default, if nothing records which image it had.
func (s *randomRun) mayTakeDefault() {
	if s.cluster.Status.Image == "" && s.set == nil && len(s.pods) == 0 {
		s.images[s.nodeImage] = true
	}
}

// scale is `kubectl scale` of the StatefulSet to a larger number: a smaller one would end pods against the operator's
// will.
func (s *randomRun) scale() {
	if s.set != nil && s.size() < 9 {
		*s.set.Spec.Replicas = s.size() + 1
		s.set.Generation++
	}
}

// again deletes the RaftCluster and applies it again, perhaps with another number.
func (s *randomRun) again() {
	replicas := s.cluster.Spec.Replicas
	if !s.tampered { // without its mark, an unneeded claim is not known to hold data
		replicas = []int32{1, 3, 5, 7}[s.rng.IntN(4)]
	}
	s.remove()
	s.create(replicas)
	s.ours, s.forgotten = map[int32]bool{}, true
	s.images = map[string]bool{}
	s.mayTakeDefault()
}

func (s *randomRun) loseClaim(ordinal int32) {
	s.kill(ordinal)
	// A claim that the intent names counts as bootstrapped: after a crash, nothing shows whether it was.
	s.lost = s.lost || s.claims[ordinal] != nil && s.cluster.Status.ClusterID != "" ||
		s.disk(ordinal) != nil && s.disk(ordinal).nodeID != 0
	delete(s.claims, ordinal)
}

// wipe empties the volume of a node, which then cannot go on.
func (s *randomRun) wipe(ordinal int32) {
	if disk := s.disk(ordinal); disk != nil {
		s.lost = s.lost || disk.nodeID != 0
		s.put(ordinal, &modelDisk{})
		s.kill(ordinal)
	}
}

// swap replaces the disk of a member by one of another cluster.
func (s *randomRun) swap(ordinal int32) {
	if s.disk(ordinal) != nil {
		s.lost = true
		s.put(ordinal, memberDisk(foreignCluster, uint64(ordinal)+1, max(s.cluster.Spec.Replicas, ordinal+1)))
		s.kill(ordinal)
	}
}

// foreignCluster is the id of every cluster that is not the run's own.
const foreignCluster = "strange"

func (s *randomRun) unmark(ordinal int32) {
	if claim := s.claims[ordinal]; claim != nil {
		s.annotate(claim, nil)
		s.tampered = true
	}
}

func (s *randomRun) copyMark(ordinal int32) {
	claim, other := s.claims[ordinal], s.claims[s.anyone()]
	if claim == nil || other == nil || other.Annotations == nil {
		return
	}
	s.annotate(claim, maps.Clone(other.Annotations))
	s.tampered = true
	s.lost = s.lost || s.disk(ordinal).nodeID == 0 // marked and empty: that is what a lost disk looks like
}

func (s *randomRun) deleteClaimOf(ordinal int32) {
	if s.claims[ordinal] != nil {
		s.lost = true // sooner or later
		s.deleteClaim(ordinal)
	}
}

func (s *randomRun) loseStatus() {
	s.cluster.Status, s.forgotten = v1alpha1.RaftClusterStatus{}, true
	s.version++
	s.mayTakeDefault()
}

// liar is a node that sends false views.
type liar struct {
	ordinal int32
	lie     func(v *api.ClusterView)
}

// startLying picks one of several nodes, and its false view. The operator must treat it as the report of one node.
func (s *randomRun) startLying() {
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
				State: api.StateMember, ClusterID: foreignCluster, NodeID: own[0].ID, Role: "LEADER", Term: s.term + 9,
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
		func(v *api.ClusterView) { v.Ready, v.Term = true, max(v.Term, s.term) },  // it is healthy
	}
	s.liar = &liar{who, lies[s.rng.IntN(len(lies))]}
}

// addLies puts the false view into the observation.
func (s *randomRun) addLies() {
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

var _ actor.Nodes = (*runNodes)(nil)
