package decide

import (
	"fmt"
	"math"
	"slices"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/node/api"
)

// longestID is the maximum length of a cluster id. Nodes refuse a longer one.
const longestID = 128

// foreignPod describes a pod that has the name of a seat but does not belong to the cluster.
const foreignPod = "a pod outside of this cluster has its name: delete it, and the StatefulSet creates " +
	"the right one"

// foreign reports whether the pod in a seat is outside of the cluster: it lacks the label, and its node is not a
// member of any cluster. The StatefulSet cannot create a second pod with the same name.
func foreign(cluster string, seat *Seat) bool {
	return seat.Pod != nil && seat.Pod.Labels[v1alpha1.LabelCluster] != cluster &&
		(seat.View == nil || seat.View.State != api.StateMember)
}

// rejectForeignAnswers drops the answers that do not come from the node of the seat. The address of a deleted pod may
// have been assigned to another pod, whose node reports another address (trap O20). Answers that no node can give are
// dropped, too.
func (s *situation) rejectForeignAnswers() {
	s.Seats = slices.Clone(s.Seats)
	for i := range s.Seats {
		seat := &s.Seats[i]
		if seat.View == nil {
			continue
		}
		if why := s.whyForeign(seat); why != "" {
			seat.View, seat.Silence = nil, why
		}
	}
}

// whyForeign returns why an answer cannot be that of the seat's node, or "" if it may be.
func (s *situation) whyForeign(seat *Seat) string {
	view := seat.View
	switch {
	case foreign(s.Cluster.Name, seat):
		return foreignPod
	case view.State != api.StateMember:
		return ""
	case !plausible(view):
		return "its answer is invalid"
	}
	self := slices.IndexFunc(view.Config.Members, func(m api.ConfigMember) bool { return m.ID == view.NodeID })
	if self < 0 {
		return ""
	}
	address := view.Config.Members[self].Address
	if ordinal, ok := s.ordinalOf(address); !ok || ordinal != seat.Ordinal {
		return fmt.Sprintf("the node at its address is member %d of cluster %s, whose own address is %s", view.NodeID,
			view.ClusterID, shortened(address))
	}
	return ""
}

// plausible reports whether a member can report this view: it has an id and a cluster, and no two members have the
// same id. Ids fit into the integer type of an API object.
func plausible(view *api.ClusterView) bool {
	possible := func(id uint64) bool { return 0 < id && id <= math.MaxInt64 }
	if !possible(view.NodeID) || view.ClusterID == "" || len(view.ClusterID) > longestID {
		return false
	}
	seen := map[uint64]bool{}
	for _, m := range view.Config.Members {
		if !possible(m.ID) || seen[m.ID] {
			return false
		}
		seen[m.ID] = true
	}
	return true
}
