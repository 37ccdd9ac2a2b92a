package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kontiki-dev/kontiki/node/api"
)

// Colors of the verdict (ECMA-48, SGR).
const (
	green  = "\x1b[1;32m"
	yellow = "\x1b[1;33m"
	red    = "\x1b[1;31m"
	plain  = "\x1b[0m"
)

// statusTable prints the cluster for people: the verdict, a row per node, the reasons, the next command.
func statusTable(s api.ClusterStatus, colored bool) string {
	var b strings.Builder
	b.WriteString(verdict(s, colored) + "\n")
	leader := leaderOf(s)
	t := table{right: []bool{false, true, false, false, true, true, true, true, true}}
	t.add("", "ID", "ROLE", "ADDRESS", "MATCH", "LAG", "CONTACT", "FSYNC p99", "DISK", "VERSION")
	for i := range s.Nodes {
		t.add(nodeRow(&s.Nodes[i], leader)...)
	}
	t.render(&b)
	for _, reason := range s.Health.Reasons {
		b.WriteString(printable(reason) + "\n")
	}
	if next := advice(s); next != "" {
		b.WriteString("next: " + next + "\n")
	}
	return b.String()
}

// advice describes what to do about a cluster that is not healthy, or is "".
func advice(s api.ClusterStatus) string {
	if s.Health.State == api.Healthy {
		return ""
	}
	for _, n := range s.Nodes {
		if n.Mismatch != "" {
			return "compare the --initial-cluster of all nodes, and start those that have a wrong one again with the right " +
				"one; a node that has data keeps the list in it"
		}
		if n.Notice != "" {
			return fmt.Sprintf("give node %d and the others the addresses in their data, or make those reach them; with a "+
				"quorum, change them: raftctl member update %d --url URL", n.ID, n.ID)
		}
	}
	switch s.Health.State {
	case api.NoQuorum:
		return adviceWithoutQuorum(s)
	case api.Degraded:
		if next := adviceForMissing(s); next != "" {
			return next
		}
		return "raftctl status -w"
	case api.NoLeader:
		return "raftctl status -w"
	}
	return ""
}

// adviceWithoutQuorum describes what to do if writes stop.
func adviceWithoutQuorum(s api.ClusterStatus) string {
	const stale = "stale reads work: raftctl get KEY --consistency stale"
	if len(s.Config.Members) == 0 && len(s.Nodes) == 0 {
		return "bootstrap the node: POST /api/v1/cluster/bootstrap with the cluster id, its id and all members"
	}
	if f := foundingOf(s); f != nil {
		return adviceForFounding(f)
	}
	unseated := false
	for i := range s.Nodes {
		n := &s.Nodes[i]
		unseated = unseated || answered(n) && n.Seated != nil && !*n.Seated
	}
	switch {
	case slices.ContainsFunc(s.Nodes, func(n api.NodeStatus) bool { return n.Error == partedError }):
		return "the nodes run but cannot reach each other: compare their peer addresses (raftctl status -o json) with " +
			"where they listen, and look at the network between them; " + stale
	case unseated:
		return "start the nodes marked x with the disks that they had; if so many disks are lost that no quorum is left, " +
			"start a new cluster with what stale reads still return: raftctl get KEY --consistency stale"
	}
	return "start the nodes marked x again, or, if they run, read the warnings in their logs; " + stale
}

// foundingOf returns what a new cluster waits for, or nil if no member that answers waits.
func foundingOf(s api.ClusterStatus) *api.Founding {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Founding != nil && answered(n) {
			return n.Founding
		}
	}
	return nil
}

// adviceForFounding describes what to do if a new cluster waits for members.
func adviceForFounding(f *api.Founding) string {
	present := f.Members - len(f.Missing)
	next := "start " + nodeNames(f.Missing)
	if count := f.Needed - present; count < len(f.Missing) {
		next = fmt.Sprintf("start %d of %s", count, nodeNames(f.Missing))
	}
	if majority := f.Members/2 + 1; majority < f.Needed && present >= majority {
		next += "; or, if no member ever had data, start one of the others again with --found-by-majority"
	}
	return next
}

// hangLimitMs is how long a save lasts at least that explains why a member does not answer the leader.
const hangLimitMs = 500

// adviceForMissing describes what to do about the members that do not count, or is "".
func adviceForMissing(s api.ClusterStatus) string {
	var down, cutOff []uint64
	leader := leaderOf(s)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.Error == partedError || n.Healthy && isCutOff(n, leader) && n.Disk.UnsyncedMs < hangLimitMs:
			cutOff = append(cutOff, n.ID)
		case !answered(n):
			down = append(down, n.ID)
		}
	}
	switch {
	case len(down) > 0:
		whose := "its log states why it"
		if len(down) > 1 {
			whose = "each log states why the node"
		}
		return fmt.Sprintf("start %s; the last line of %s ended", nodeNames(down), whose)
	case len(cutOff) > 0:
		return fmt.Sprintf("compare the --listen-peer of %s with its peer address (raftctl status -o json), and look at the "+
			"network", nodeNames(cutOff))
	}
	return ""
}

// nodeNames returns "node 3" or "nodes 1, 2 and 3".
func nodeNames(ids []uint64) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = fmt.Sprint(id)
	}
	if len(texts) < 2 {
		return "node " + strings.Join(texts, "")
	}
	last := len(texts) - 1
	return "nodes " + strings.Join(texts[:last], ", ") + " and " + texts[last]
}

func leaderOf(s api.ClusterStatus) *api.NodeStatus {
	for i := range s.Nodes {
		if s.LeaderID != 0 && s.Nodes[i].ID == s.LeaderID {
			return &s.Nodes[i]
		}
	}
	return nil
}

// verdict is the first line: the state of the cluster.
func verdict(s api.ClusterStatus, colored bool) string {
	word := strings.ToUpper(strings.ReplaceAll(printable(string(s.Health.State)), "_", " "))
	if colored {
		color := map[api.HealthState]string{api.Healthy: green, api.Degraded: yellow}[s.Health.State]
		if color == "" {
			color = red
		}
		word = color + word + plain
	}
	lead := fmt.Sprintf("no leader in term %d", s.Term)
	var revision uint64
	for _, n := range s.Nodes {
		revision = max(revision, n.CommitIndex)
	}
	if l := leaderOf(s); l != nil {
		lead = fmt.Sprintf("node %d leads term %d (%s)", l.ID, s.Term,
			age(time.Duration(l.LeaderForSeconds*float64(time.Second))))
	}
	spare := fmt.Sprintf("survives %d more failures", s.Health.Tolerates)
	switch {
	case s.Health.Voters == 0 && len(s.Nodes) == 0:
		return fmt.Sprintf("no cluster  %s  the node waits to be bootstrapped", word)
	case foundingOf(s) != nil:
		f := foundingOf(s)
		return fmt.Sprintf("%s  %s  a new cluster  %d of %d members answer, %d are needed at the first start",
			printable(s.ClusterID), word, f.Members-len(f.Missing), f.Members, f.Needed)
	case s.Health.Reachable < s.Health.Quorum:
		spare = fmt.Sprintf("%d are needed, writes stop", s.Health.Quorum)
	case s.Health.Tolerates == 0:
		spare = "survives no failure"
	case s.Health.Tolerates == 1:
		spare = "survives 1 more failure"
	}
	return fmt.Sprintf("%s  %s  %s  revision %s  %d of %d voters, %s", printable(s.ClusterID), word, lead,
		grouped(revision), s.Health.Reachable, s.Health.Voters, spare)
}

// nodeRow is the row of one node. An unknown value is "-", never 0.
func nodeRow(n, leader *api.NodeStatus) []string {
	address := dash(n.APIAddress)
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	id := fmt.Sprint(n.ID)
	if !n.Healthy && answered(n) { // it runs, but takes no part yet
		return []string{"!", id, "waits", address, "-", "-", "-", "-", "-", dash(n.Version)}
	}
	if !n.Healthy {
		return []string{
			"x", id, "?", address, "-", "-", lastContact(n, leader), "-", "-", dash(n.Version), clip(n.Error, mostError),
		}
	}
	mark, role, contact := "", strings.ToLower(n.State), millis(float64(n.LastContactMs))
	match, lag := matchAndLag(n, leader)
	switch {
	case leader != nil && n.ID == leader.ID:
		mark, role, contact = "*", n.State, "-"
	case n.LastContactMs < 0:
		contact = "never"
	}
	if mark == "" && (lag > lagWorthAMark || !counts(n, leader) || isTroubled(n)) {
		mark = "!"
	}
	return []string{
		mark, id, role, address, dashUnless(match >= 0, grouped(match)), dashUnless(lag >= 0, grouped(lag)), contact,
		dashUnless(n.Latency.Fsync.Count > 0, millis(n.Latency.Fsync.P99)),
		dashUnless(n.Disk.LogBytes > 0, bytesText(n.Disk.LogBytes)), dash(n.Version), clip(n.Error, mostError),
	}
}

// isTroubled reports whether a node that answers reports a fault, or another node reports one about it.
func isTroubled(n *api.NodeStatus) bool {
	return n.Error != "" || n.Disk.Slow || n.Notice != "" || n.Mismatch != "" || len(n.Alarms) > 0
}

// lastContact is how long ago a node that does not answer last sent a message. The leader receives messages all the
// time, at least since its election; without a leader, only the node that asked it last has a time, which may be long
// before the node stopped answering.
func lastContact(n, leader *api.NodeStatus) string {
	if leader != nil {
		if p, known := leader.Progress[n.ID]; known {
			heard := age(time.Duration(p.AckAgeMs)*time.Millisecond) + " ago"
			if float64(p.AckAgeMs)/1000 >= leader.LeaderForSeconds-1 {
				if n.AgeMs < 0 {
					return "never"
				}
				return ">" + heard // not since this leader was elected
			}
			return heard
		}
	}
	if n.AgeMs < 0 {
		return "never"
	}
	return age(time.Duration(n.AgeMs)*time.Millisecond) + " ago"
}

// matchAndLag returns up to which index a node's log agrees with the leader's, and how many entries it lacks; -1 if
// that is not known. A new leader has 0 for a follower that has not answered it yet.
func matchAndLag(n, leader *api.NodeStatus) (match, lag int64) {
	if leader == nil || n.ID == leader.ID {
		return int64(n.LastLogIndex), -1
	}
	known, ok := leader.MatchIndex[n.ID]
	switch {
	case !ok:
		known = n.LastLogIndex
	case known == 0:
		return -1, -1
	}
	return int64(known), max(int64(leader.LastLogIndex)-int64(known), 0)
}

// mostError is how much of an error fits into a row; the reasons below the table have all of it.
const mostError = 60

// lagWorthAMark is how many entries a follower may be behind without a mark: in a busy cluster, some always are.
const lagWorthAMark = 1000

func dash(text string) string { return dashUnless(text != "", text) }

func dashUnless(known bool, text string) string {
	if !known {
		return "-"
	}
	return text
}

// changeLine is what a watch without a terminal compares and prints: the verdict without what changes all the time,
// and the nodes that do not answer.
func changeLine(s api.ClusterStatus) string {
	var gone []string
	for _, n := range s.Nodes {
		if !n.Healthy {
			gone = append(gone, fmt.Sprint(n.ID))
		}
	}
	slices.Sort(gone)
	line := fmt.Sprintf("%s  leader %d  term %d  %d of %d voters", printable(string(s.Health.State)), s.LeaderID, s.Term,
		s.Health.Reachable, s.Health.Voters)
	if len(gone) > 0 {
		line += "  gone: " + strings.Join(gone, ", ")
	}
	return line
}
