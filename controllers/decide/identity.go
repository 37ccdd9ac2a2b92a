package decide

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kontiki-dev/kontiki/api/v1alpha1"
	"github.com/kontiki-dev/kontiki/controllers/objects"
	"github.com/kontiki-dev/kontiki/node/api"
)

// findCluster determines the identity of the cluster from the status, the nodes, and the claims whose node does not
// report what its disk holds: a mark only records what a node has reported, and a person may have changed it. If they
// disagree, the cluster is the one that a majority confirms; if none is, acting on either could destroy the other
// (trap O3). An id that only nodes report is not adopted: a node can be forged, or run on a disk of another cluster.
func (s *situation) findCluster() {
	ids, reports := s.reportedIDs()
	switch {
	case len(ids) == 0:
	case len(ids) > 1:
		if s.clusterID = s.prevailing(ids); s.clusterID == "" {
			s.conflict = strings.Join(reports, ", ")
		}
	case s.corroborated(ids[0]):
		s.clusterID = ids[0]
	}
}

// reportedIDs lists the different ids that are reported, and their sources.
func (s *situation) reportedIDs() (ids, reports []string) {
	add := func(source, id string) {
		if id == "" {
			return
		}
		reports = append(reports, source+" has "+shortened(id))
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add("the status", s.Cluster.Status.ClusterID)
	for i := range s.Seats {
		seat := &s.Seats[i]
		if view := s.answer(seat); view != nil {
			add("node "+objects.PodName(s.Cluster.Name, seat.Ordinal), view.ClusterID)
		} else if seat.Claim != nil {
			add("claim "+seat.Claim.Name, markedCluster(seat.Claim))
		}
	}
	return ids, reports
}

// markedCluster returns the cluster in the mark of a claim, or "" if the claim is not marked.
func markedCluster(claim *corev1.PersistentVolumeClaim) string {
	if claim == nil {
		return ""
	}
	return claim.Annotations[v1alpha1.AnnotationClusterID]
}

// corroborated reports whether a source that only the operator or an administrator writes names the cluster.
func (s *situation) corroborated(id string) bool {
	return id == s.Cluster.Status.ClusterID || id == s.Cluster.Annotations[v1alpha1.AnnotationAdopt] ||
		slices.ContainsFunc(s.Seats, func(seat Seat) bool { return markedCluster(seat.Claim) == id })
}

// prevailing returns the one of several ids that is certainly the cluster's: a majority of its members answer, and it
// is the one in the status, or, if the status names none, in the annotation, or, if there is none, in a mark. It
// returns "" if there is no such id, or more than one.
func (s *situation) prevailing(ids []string) string {
	named := s.Cluster.Status.ClusterID
	if named == "" {
		named = s.Cluster.Annotations[v1alpha1.AnnotationAdopt]
	}
	found := ""
	for _, id := range ids {
		if named != "" && id != named || !s.corroborated(id) || !s.confirmed(id) {
			continue
		}
		if found != "" {
			return ""
		}
		found = id
	}
	return found
}

// confirmed reports whether a majority of the members of a cluster answer as its members.
func (s *situation) confirmed(id string) bool {
	if s.Cluster.Status.ClusterID != id || len(s.Cluster.Status.Members) == 0 {
		return s.agreedMembers(id) != nil
	}
	var all, silent voters
	for _, m := range s.Cluster.Status.Members {
		all = append(all, MemberID(m.MemberID))
		if !s.answersFor(id, m) {
			silent = append(silent, MemberID(m.MemberID))
		}
	}
	return all.survives(silent)
}

// answersFor reports whether a member that the status lists answers at its address, as a member of the cluster.
func (s *situation) answersFor(id string, m v1alpha1.MemberStatus) bool {
	return slices.ContainsFunc(s.Seats, func(seat Seat) bool {
		view := s.answer(&seat)
		return view != nil && view.ClusterID == id && view.NodeID == uint64(m.MemberID) &&
			m.PodName == objects.PodName(s.Cluster.Name, seat.Ordinal)
	})
}

// agreedMembers returns the members of a cluster that a majority of them, and of the seats that need a pod, report:
// one node alone could leave the others out. It returns nil if there is no such list.
func (s *situation) agreedMembers(id string) []api.ConfigMember {
	for i := range s.Seats {
		view := s.answer(&s.Seats[i])
		if view == nil || view.ClusterID != id {
			continue
		}
		most := max(len(view.Config.Members), int(s.wanted(&s.Configuration)))
		if len(s.reportersOf(id, view.Config.Members)) >= majority(most) {
			return view.Config.Members
		}
	}
	return nil
}

// reportersOf returns the members of a list that report that list as their cluster's.
func (s *situation) reportersOf(id string, members []api.ConfigMember) map[uint64]bool {
	reporters := map[uint64]bool{}
	for i := range s.Seats {
		view := s.answer(&s.Seats[i])
		if view != nil && view.ClusterID == id && s.sameMembers(view.Config.Members, members) &&
			slices.ContainsFunc(members, func(m api.ConfigMember) bool { return m.ID == view.NodeID }) {
			reporters[view.NodeID] = true
		}
	}
	return reporters
}

// reportedMembers returns the members of the cluster as its nodes report them: the list that a majority agrees on; or,
// if every node has answered, the only list. It returns nil if the members are not known.
func (s *situation) reportedMembers() []api.ConfigMember {
	if agreed := s.agreedMembers(s.clusterID); agreed != nil || !s.allAnswered() {
		return agreed
	}
	var only []api.ConfigMember
	for i := range s.Seats {
		view := s.answer(&s.Seats[i])
		switch {
		case view == nil:
		case only != nil && !s.sameMembers(only, view.Config.Members):
			return nil
		default:
			only = view.Config.Members
		}
	}
	return only
}

// sameMembers reports whether two lists have the same members at the same pods. Their API addresses do not count: each
// node receives those of the others at its own time.
func (s *situation) sameMembers(a, b []api.ConfigMember) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(m api.ConfigMember) bool {
		return !slices.ContainsFunc(b, func(other api.ConfigMember) bool {
			return other.ID == m.ID && s.samePlace(other.Address, m.Address)
		})
	})
}

// samePlace reports whether two peer URLs belong to the same pod. Their DNS domain does not count: operators with
// different domains may have bootstrapped the nodes of one cluster.
func (s *situation) samePlace(a, b string) bool {
	if a == b {
		return true
	}
	one, ok := s.ordinalOf(a)
	other, also := s.ordinalOf(b)
	return ok && also && one == other
}

// rejectForeignDisks drops the answers of members of another cluster. If the cluster's id is unknown, it drops those
// of all members.
func (s *situation) rejectForeignDisks() {
	s.foreignDisks = map[int32]string{}
	for i := range s.Seats {
		seat := &s.Seats[i]
		if view := s.answer(seat); view != nil && view.ClusterID != s.clusterID {
			s.foreignDisks[seat.Ordinal] = view.ClusterID
			seat.View, seat.Silence = nil, "it is a member of another cluster, "+shortened(view.ClusterID)
		}
	}
}
