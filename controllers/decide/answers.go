package decide

import (
	"fmt"
	"math"
	"slices"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/node/api"
)

// longestID is how many characters a cluster id may have; nodes take no longer one.
const longestID = 128

// foreignPod is the fault of a pod that has the name of a seat and is not the cluster's.
const foreignPod = "a pod that belongs to somebody else has its name: delete it, and the StatefulSet makes " +
	"the right one"

// foreign reports whether the pod in a seat is not the cluster's: it lacks the label, and what runs in it does not
// belong to a cluster here. The StatefulSet makes no second pod of that name.
func foreign(cluster string, seat *Seat) bool {
	return seat.Pod != nil && seat.Pod.Labels[v1alpha1.LabelCluster] != cluster &&
		(seat.View == nil || seat.View.State != api.StateMember)
}

// rejectStrangers drops the answers that are not those of the seat's node. An address of a pod that is gone may have
// been given to another one, which says that it is in another place (trap O20). What says nothing that a node can say
// is none.
func (s *situation) rejectStrangers() {
	s.Seats = slices.Clone(s.Seats)
	for i := range s.Seats {
		seat := &s.Seats[i]
		if seat.View == nil {
			continue
		}
		if why := s.strange(seat); why != "" {
			seat.View, seat.Silence = nil, why
		}
	}
}

// strange says why an answer is not that of the seat's node; "": it may be.
func (s *situation) strange(seat *Seat) string {
	view := seat.View
	switch {
	case foreign(s.Cluster.Name, seat):
		return foreignPod
	case view.State != api.StateMember:
		return ""
	case !plausible(view):
		return "its answer makes no sense"
	}
	self := slices.IndexFunc(view.Config.Members, func(m api.ConfigMember) bool { return m.ID == view.NodeID })
	if self < 0 {
		return ""
	}
	address := view.Config.Members[self].Address
	if ordinal, ok := s.ordinalOf(address); !ok || ordinal != seat.Ordinal {
		return fmt.Sprintf("what answers there is member %d of cluster %s, whose address is %s", view.NodeID,
			view.ClusterID, shortened(address))
	}
	return ""
}

// plausible reports whether a member can report this: it has an id and a cluster, and no two members are the same.
// Ids are at most what an API object can hold.
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
